"""Stage 5: each splat's slots summed, and carried through the projection to Gaussians and camera, eight at a time."""

# pyright: reportCallIssue=false, reportArgumentType=false
from __future__ import annotations

import numpy as np

from . import harmonics
from .channels import lane_sums
from .composite import source
from .composite_backward import CHANNEL_SUMS, SLOT
from .ewa import (
    CENTER,
    DILATION,
    axes_in_image,
    covariance,
    image_from_world,
    jacobian,
    load_quats,
    load_vectors,
    rotation,
    slope_limits,
)
from .kernel import kernel
from .lanes import broadcast, keep, lane_max, lane_sqrt
from .memory import load, load_column, load_rows, store, store_column
from .records import CHANNELS, OPACITY, RECORD, RIGHT, f32

# What is summed for the camera: the gradient of w2c's first three rows, of fx, fy, cx, cy, and of the optical centre.
CAMERA_SUMS = 24


@kernel
def project_backward(
    first, last, begins, limits, ends, offset, means, quats, scales, opacities, sh, coefficients, camera,
    width, height, antialiased, records, groups, first_slot, slots, sums, means_gradient, quats_gradient,
    scales_gradient, opacities_gradient, sh_gradient, feature_gradient, absolute_gradient, camera_sums,
):  # fmt: skip
    """The blocks first:last, whose Gaussians are begins:limits and whose records are begins:ends.

    Writes the Gaussians' rows of the gradients, flat and starting with Gaussian `offset` (feature_gradient may be
    empty; absolute_gradient, flat [N, 2], too, and comes as zeros), and each block's camera_sums, flat [24].
    """
    for block in range(first, last):
        done = begins[block] - offset
        sums_at = CAMERA_SUMS * block
        done = _block(
            begins[block], ends[block], done, offset, means, quats, scales, opacities, sh, coefficients, camera,
            width, height, antialiased, records, groups, first_slot, slots, sums, means_gradient, quats_gradient,
            scales_gradient, opacities_gradient, sh_gradient, feature_gradient, absolute_gradient, camera_sums,
            sums_at,
        )  # fmt: skip
        _clear(
            done, limits[block] - offset, coefficients, means_gradient, quats_gradient, scales_gradient,
            opacities_gradient, sh_gradient, feature_gradient,
        )  # fmt: skip


@kernel
def _clear(
    begin, end, coefficients, means_gradient, quats_gradient, scales_gradient, opacities_gradient, sh_gradient,
    feature_gradient,
):  # fmt: skip
    """Nothing flows to Gaussians out of view."""
    if begin < end:
        means_gradient[3 * begin : 3 * end] = f32(0)
        quats_gradient[4 * begin : 4 * end] = f32(0)
        scales_gradient[3 * begin : 3 * end] = f32(0)
        opacities_gradient[begin:end] = f32(0)
        sh_gradient[3 * coefficients * begin : 3 * coefficients * end] = f32(0)
        if feature_gradient.size > 0:
            feature_gradient[begin:end] = f32(0)


@kernel
def _block(
    begin, end, done, offset, means, quats, scales, opacities, sh, coefficients, camera,
    width, height, antialiased, records, groups, first_slot, slots, sums, means_gradient, quats_gradient,
    scales_gradient, opacities_gradient, sh_gradient, feature_gradient, absolute_gradient, camera_sums, sums_at,
):  # fmt: skip
    """The records begin:end; `done` is the next Gaussian to be written. Returns the next one after these."""
    one, two, half = f32(1), f32(2), f32(0.5)
    zero = broadcast(f32(0))
    limits = slope_limits(camera, width, height)
    gathered = np.zeros(8 * SLOT, np.float32)
    t00, t01, t02, t03 = zero, zero, zero, zero
    t10, t11, t12, t13 = zero, zero, zero, zero
    t20, t21, t22, t23 = zero, zero, zero, zero
    k_fx, k_fy, k_cx, k_cy = zero, zero, zero, zero
    c_x, c_y, c_z = zero, zero, zero
    for row in range(begin, end, 8):
        i = 8 * np.int64(groups[row >> 3]) - offset
        if done < i:
            _clear(
                done, i, coefficients, means_gradient, quats_gradient, scales_gradient, opacities_gradient,
                sh_gradient, feature_gradient,
            )  # fmt: skip
        done = i + 8
        for lane in range(8):
            count, slot = np.int64(slots[row + lane]), np.int64(first_slot[row + lane]) * SLOT
            moments, light = zero, zero
            for k in range(count):
                moments = moments + load(sums, slot + SLOT * k)
                light = light + load(sums, slot + SLOT * k + CHANNEL_SUMS)
            store(gathered, SLOT * lane, moments)
            store(gathered, SLOT * lane + CHANNEL_SUMS, light)
        s, s_u, s_v, s_uu, s_uv, s_vv, abs_u, abs_v = load_rows(gathered, 0, SLOT)
        d_z, d_red, d_green, d_blue, d_feature, _, _, _ = load_rows(gathered, CHANNEL_SUMS, SLOT)
        # Eight rows of which some may be out of sight: their records are stale, and everything is masked with this.
        visible = load_column(records, RECORD * row + RIGHT, RECORD) > f32(0)

        # The forward pass again, up to the covariance.
        mx, my, mz = load_vectors(means, i)
        s0, s1, s2 = load_vectors(scales, i)
        inverse_z = one / (mx * camera[8] + my * camera[9] + mz * camera[10] + camera[11])
        slope_x = (mx * camera[0] + my * camera[1] + mz * camera[2] + camera[3]) * inverse_z
        slope_y = (mx * camera[4] + my * camera[5] + mz * camera[6] + camera[7]) * inverse_z
        ju, ju_z, jv, jv_z, held_x, held_y = jacobian(camera, limits, slope_x, slope_y, inverse_z)
        free_x = (slope_x >= limits[0]) & (slope_x <= limits[1])
        free_y = (slope_y >= limits[2]) & (slope_y <= limits[3])
        qw, qx, qy, qz, squared = load_quats(quats, i)
        quat_scale = one / lane_sqrt(squared)
        qw, qx, qy, qz = qw * quat_scale, qx * quat_scale, qy * quat_scale, qz * quat_scale
        m = rotation(qw, qx, qy, qz, broadcast(two))
        rows = image_from_world(camera, ju, ju_z, jv, jv_z)
        a0, a1, a2, b0, b1, b2 = axes_in_image(rows, m)
        p0, p1, p2, q0, q1, q2 = a0 * s0, a1 * s1, a2 * s2, b0 * s0, b1 * s1, b2 * s2
        cov_uu, cov_uv, cov_vv, determinant, area = covariance(p0, p1, p2, q0, q1, q2, camera[DILATION])
        inverse = one / determinant
        uu, uv, vv = cov_vv * inverse, zero - cov_uv * inverse, cov_uu * inverse

        # Centre and covariance. exponent = -1/2 d.C.d with C = covariance^-1, so dL/dcovariance = -C (dL/dC) C.
        d_u, d_v = zero - (uu * s_u + uv * s_v), zero - (uv * s_u + vv * s_v)
        g_uu, g_uv, g_vv = s_uu * half, s_uv * half, s_vv * half
        h00, h01 = uu * g_uu + uv * g_uv, uu * g_uv + uv * g_vv
        h10, h11 = uv * g_uu + vv * g_uv, uv * g_uv + vv * g_vv
        # Twice the gradient of the covariance: what its square root (p, q) is multiplied with.
        w00, w01 = zero - (h00 * uu + h01 * uv) * two, zero - (h00 * uv + h01 * vv) * two
        w11 = zero - (h10 * uv + h11 * vv) * two
        if antialiased:
            # d ln sqrt(area / determinant) = 1/2 tr((undilated^-1 - C) dcovariance); -s is the gradient of ln opacity.
            over_area, dilation = one / lane_max(area, f32(1e-30)), camera[DILATION]
            w00 = w00 - s * ((cov_vv - dilation) * over_area - uu)
            w01 = w01 + s * (cov_uv * over_area + uv)
            w11 = w11 - s * ((cov_uu - dilation) * over_area - vv)

        # Scales, rotation, and the rows of Jacobian @ rotation. e = covariance gradient @ (p, q).
        e0, e1, e2 = w00 * p0 + w01 * q0, w00 * p1 + w01 * q1, w00 * p2 + w01 * q2
        f0, f1, f2 = w01 * p0 + w11 * q0, w01 * p1 + w11 * q1, w01 * p2 + w11 * q2
        store_column(scales_gradient, 3 * i, 3, keep(visible, e0 * a0 + f0 * b0))
        store_column(scales_gradient, 3 * i + 1, 3, keep(visible, e1 * a1 + f1 * b1))
        store_column(scales_gradient, 3 * i + 2, 3, keep(visible, e2 * a2 + f2 * b2))
        e0, e1, e2, f0, f1, f2 = e0 * s0, e1 * s1, e2 * s2, f0 * s0, f1 * s1, f2 * s2
        m00, m01, m02 = rows[0] * e0 + rows[3] * f0, rows[0] * e1 + rows[3] * f1, rows[0] * e2 + rows[3] * f2
        m10, m11, m12 = rows[1] * e0 + rows[4] * f0, rows[1] * e1 + rows[4] * f1, rows[1] * e2 + rows[4] * f2
        m20, m21, m22 = rows[2] * e0 + rows[5] * f0, rows[2] * e1 + rows[5] * f1, rows[2] * e2 + rows[5] * f2
        g_w = qx * (m21 - m12) + qy * (m02 - m20) + qz * (m10 - m01)
        g_x = qy * (m10 + m01) + qz * (m20 + m02) + qw * (m21 - m12) - qx * (m11 + m22) * two
        g_y = qx * (m10 + m01) + qz * (m21 + m12) + qw * (m02 - m20) - qy * (m00 + m22) * two
        g_z = qx * (m20 + m02) + qy * (m21 + m12) + qw * (m10 - m01) - qz * (m00 + m11) * two
        # Through the normalisation: only what is across the quaternion counts.
        along, quat_scale = g_w * qw + g_x * qx + g_y * qy + g_z * qz, quat_scale * two
        store_column(quats_gradient, 4 * i, 4, keep(visible, (g_w - along * qw) * quat_scale))
        store_column(quats_gradient, 4 * i + 1, 4, keep(visible, (g_x - along * qx) * quat_scale))
        store_column(quats_gradient, 4 * i + 2, 4, keep(visible, (g_y - along * qy) * quat_scale))
        store_column(quats_gradient, 4 * i + 3, 4, keep(visible, (g_z - along * qz) * quat_scale))
        a_x = keep(visible, e0 * m[0] + e1 * m[1] + e2 * m[2])
        a_y = keep(visible, e0 * m[3] + e1 * m[4] + e2 * m[5])
        a_z = keep(visible, e0 * m[6] + e1 * m[7] + e2 * m[8])
        b_x = keep(visible, f0 * m[0] + f1 * m[1] + f2 * m[2])
        b_y = keep(visible, f0 * m[3] + f1 * m[4] + f2 * m[5])
        b_z = keep(visible, f0 * m[6] + f1 * m[7] + f2 * m[8])

        # The Jacobian ju = fx / z, ju_z = -fx / z slope, and the centre u = fx slope + cx; likewise v.
        ju, ju_z, jv, jv_z = keep(visible, ju), keep(visible, ju_z), keep(visible, jv), keep(visible, jv_z)
        d_u, d_v = keep(visible, d_u), keep(visible, d_v)
        slope_x, slope_y = keep(visible, slope_x), keep(visible, slope_y)
        held_x, held_y, inverse_z = keep(visible, held_x), keep(visible, held_y), keep(visible, inverse_z)
        d_ju = a_x * camera[0] + a_y * camera[1] + a_z * camera[2]
        d_ju_z = a_x * camera[8] + a_y * camera[9] + a_z * camera[10]
        d_jv = b_x * camera[4] + b_y * camera[5] + b_z * camera[6]
        d_jv_z = b_x * camera[8] + b_y * camera[9] + b_z * camera[10]
        g_x, g_y = d_u * ju, d_v * jv
        g_z = keep(visible, d_z) - g_x * slope_x - g_y * slope_y - inverse_z * (ju * d_ju + jv * d_jv)
        c_u, c_v = ju * inverse_z * d_ju_z, jv * inverse_z * d_jv_z
        free_u, free_v = keep(free_x, c_u), keep(free_y, c_v)
        g_x, g_y = g_x - free_u, g_y - free_v
        g_z = g_z + held_x * (c_u + free_u) + held_y * (c_v + free_v)
        # Where the slope is held, fx slope is a constant minus cx; where it is free, it moves with fx.
        k_fx = k_fx + d_u * slope_x + inverse_z * (d_ju - keep(free_x, held_x * d_ju_z))
        k_fy = k_fy + d_v * slope_y + inverse_z * (d_jv - keep(free_y, held_y * d_jv_z))
        k_cx = k_cx + d_u + inverse_z * (d_ju_z - keep(free_x, d_ju_z))
        k_cy = k_cy + d_v + inverse_z * (d_jv_z - keep(free_y, d_jv_z))

        # Colour: clamped at 0 below; its direction runs from the optical centre to the mean.
        d_red = keep(visible & (load_column(records, RECORD * row + CHANNELS + 1, RECORD) > f32(0)), d_red)
        d_green = keep(visible & (load_column(records, RECORD * row + CHANNELS + 2, RECORD) > f32(0)), d_green)
        d_blue = keep(visible & (load_column(records, RECORD * row + CHANNELS + 3, RECORD) > f32(0)), d_blue)
        v_x, v_y, v_z = zero, zero, zero
        if coefficients > 1:
            dx, dy, dz = mx - camera[CENTER], my - camera[CENTER + 1], mz - camera[CENTER + 2]
            shorten = one / lane_sqrt(lane_max(dx * dx + dy * dy + dz * dz, f32(1e-24)))
            dx, dy, dz = dx * shorten, dy * shorten, dz * shorten
            v_x, v_y, v_z = harmonics.backward(sh, i, coefficients, dx, dy, dz, (d_red, d_green, d_blue), sh_gradient)
            along = v_x * dx + v_y * dy + v_z * dz
            v_x, v_y, v_z = (v_x - along * dx) * shorten, (v_y - along * dy) * shorten, (v_z - along * dz) * shorten
            c_x, c_y, c_z = c_x - v_x, c_y - v_y, c_z - v_z
        else:
            harmonics.backward_constant(i, (d_red, d_green, d_blue), sh_gradient)

        store_column(means_gradient, 3 * i, 3, g_x * camera[0] + g_y * camera[4] + g_z * camera[8] + v_x)
        store_column(means_gradient, 3 * i + 1, 3, g_x * camera[1] + g_y * camera[5] + g_z * camera[9] + v_y)
        store_column(means_gradient, 3 * i + 2, 3, g_x * camera[2] + g_y * camera[6] + g_z * camera[10] + v_z)
        # s sums alpha dL/dalpha; the compensation, if any, is a factor of both opacities.
        shown = load_column(records, RECORD * row + OPACITY, RECORD)
        if antialiased:
            shown = load(opacities, i)
        store(opacities_gradient, i, keep(visible, zero - s / shown))
        if feature_gradient.size > 0:
            store(feature_gradient, i, keep(visible, d_feature))
        if absolute_gradient.size > 0:
            store_column(absolute_gradient, 2 * i, 2, keep(visible, abs_u))
            store_column(absolute_gradient, 2 * i + 1, 2, keep(visible, abs_v))

        t00, t01, t02 = t00 + g_x * mx + ju * a_x, t01 + g_x * my + ju * a_y, t02 + g_x * mz + ju * a_z
        t10, t11, t12 = t10 + g_y * mx + jv * b_x, t11 + g_y * my + jv * b_y, t12 + g_y * mz + jv * b_z
        t20, t21 = t20 + g_z * mx + ju_z * a_x + jv_z * b_x, t21 + g_z * my + ju_z * a_y + jv_z * b_y
        t22 = t22 + g_z * mz + ju_z * a_z + jv_z * b_z
        t03, t13, t23 = t03 + g_x, t13 + g_y, t23 + g_z
    store(camera_sums, sums_at, lane_sums((t00, t01, t02, t03, t10, t11, t12, t13)))
    store(camera_sums, sums_at + 8, lane_sums((t20, t21, t22, t23, k_fx, k_fy, k_cx, k_cy)))
    store(camera_sums, sums_at + 16, lane_sums((c_x, c_y, c_z)))
    return done


@kernel
def gather_features(first, last, begins, ends, groups, first_slot, slots, sums, column, channels, gradient):
    """Adds up the channel sums of each record's slots into its Gaussian's columns `column` and on of gradient, flat
    [N, channels], in the blocks first:last."""
    wanted = min(8, channels - column)
    for block in range(first, last):
        for row in range(begins[block], ends[block]):
            slot, gaussian = np.int64(first_slot[row]) * SLOT + CHANNEL_SUMS, source(groups, row)
            for k in range(np.int64(slots[row])):
                for c in range(wanted):
                    gradient[gaussian * channels + column + c] += sums[slot + SLOT * k + c]
