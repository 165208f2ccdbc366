"""Stage 1: Gaussians, eight at a time, to splat records on the image plane."""

# pyright: reportCallIssue=false, reportArgumentType=false
from __future__ import annotations

from .ewa import (
    CENTER,
    CX,
    CY,
    DILATION,
    FX,
    FY,
    NEAR,
    axes_in_image,
    covariance,
    image_from_world,
    jacobian,
    load_quats,
    load_vectors,
    rotation,
    slope_limits,
)
from .harmonics import evaluate, evaluate_constant
from .kernel import kernel
from .lanes import (
    any_lane,
    broadcast,
    lane_ceil,
    lane_floor,
    lane_log,
    lane_max,
    lane_min,
    lane_sqrt,
    not_finite,
    scalar_sqrt,
    select,
)
from .memory import load, store_rows
from .records import CHANNELS, RECORD, f32


@kernel
def project(
    first, last, begins, ends, offset, means, quats, scales, opacities, sh, coefficients, feature, camera,
    width, height, antialiased, records, groups,
):  # fmt: skip
    """Projects the Gaussians begins[b]:ends[b] of each block b in first:last, eight at a time.

    Eight of which none is in view leave nothing; the others get the next eight records from begins[b] on, and
    groups says of each eight records which eight Gaussians they are. ends[b] becomes the end of the records.
    All arrays are flat float32 and start with Gaussian `offset`. feature: one number a Gaussian, or empty;
    camera: see ewa. Returns -1, or the first of eight Gaussians among which a value is not finite or out of range;
    colours and rotations are looked at only in view.
    """
    one, two, half = f32(1), f32(2), f32(0.5)
    near, dilation = camera[NEAR], camera[DILATION]
    fx, fy = camera[FX], camera[FY]
    w, h = f32(width), f32(height)
    limits = slope_limits(camera, width, height)
    steepest_x, steepest_y = max(-limits[0], limits[1]), max(-limits[2], limits[3])
    # The Jacobian's norm is at most focal / z times this.
    stretch = scalar_sqrt(one + steepest_x * steepest_x + steepest_y * steepest_y)
    focal = max(fx, fy)
    zero = broadcast(f32(0))
    for block in range(first, last):
        row = begins[block]
        for i in range(begins[block] - offset, ends[block] - offset, 8):
            mx, my, mz = load_vectors(means, i)
            s0, s1, s2 = load_vectors(scales, i)
            opacity = load(opacities, i)
            # One sum for all: it is finite if they are, but for numbers near the end of float32, which are refused too.
            bad = not_finite(mx + my + mz + s0 + s1 + s2 + opacity) | (opacity < f32(0)) | (opacity > one)
            bad = bad | (lane_min(lane_min(s0, s1), s2) < f32(0))
            if any_lane(bad):
                return offset + i
            z = mx * camera[8] + my * camera[9] + mz * camera[10] + camera[11]
            inverse_z = one / lane_max(z, near)
            slope_x = (mx * camera[0] + my * camera[1] + mz * camera[2] + camera[3]) * inverse_z
            slope_y = (mx * camera[4] + my * camera[5] + mz * camera[6] + camera[7]) * inverse_z
            u = slope_x * fx + camera[CX]
            v = slope_y * fy + camera[CY]
            # A generous radius before the costly part: 3.34 sigma of the largest scale, and the dilation.
            radius = lane_max(lane_max(s0, s1), s2) * inverse_z * (f32(3.34) * stretch * focal) + f32(3.4)
            visible = (z > near) & (opacity >= f32(1 / 255))
            visible = visible & (u > zero - radius) & (v > zero - radius) & (u < radius + w) & (v < radius + h)
            if not any_lane(visible):
                continue
            qw, qx, qy, qz, squared = load_quats(quats, i)
            ju, ju_z, jv, jv_z, _, _ = jacobian(camera, limits, slope_x, slope_y, inverse_z)
            axes = axes_in_image(image_from_world(camera, ju, ju_z, jv, jv_z), rotation(qw, qx, qy, qz, two / squared))
            cov_uu, cov_uv, cov_vv, determinant, area = covariance(
                axes[0] * s0, axes[1] * s1, axes[2] * s2, axes[3] * s0, axes[4] * s1, axes[5] * s2, dilation
            )
            inverse = one / determinant
            if antialiased:
                # A splat below the pixel's size keeps its light, not its opacity (Yu et al. 2024, Mip-Splatting).
                opacity = opacity * lane_sqrt(area * inverse)
                visible = visible & (opacity >= f32(1 / 255))
            # The ellipse alpha = 1/255 fits exactly into this box of pixel centres.
            log_cutoff = lane_log(lane_max(opacity * f32(255), one))
            reach = log_cutoff * two
            reach_u, reach_v = lane_sqrt(reach * cov_uu), lane_sqrt(reach * cov_vv)
            left = lane_max(lane_ceil(u - reach_u - half), f32(0))
            right = lane_min(lane_floor(u + reach_u + half), w)
            top = lane_max(lane_ceil(v - reach_v - half), f32(0))
            bottom = lane_min(lane_floor(v + reach_v + half), h)
            visible = visible & (determinant > f32(0)) & (left < right) & (top < bottom)
            if not any_lane(visible):
                continue
            right = select(visible, right, broadcast(f32(-1)))
            inverse = inverse * f32(1 / 32)
            uu, uv, vv = cov_vv * inverse * f32(-1), cov_uv * inverse * two, cov_uu * inverse * f32(-1)
            if coefficients > 1:
                dx, dy, dz = mx - camera[CENTER], my - camera[CENTER + 1], mz - camera[CENTER + 2]
                shorten = one / lane_sqrt(lane_max(dx * dx + dy * dy + dz * dz, f32(1e-24)))
                red, green, blue = evaluate(sh, i, coefficients, dx * shorten, dy * shorten, dz * shorten)
            else:
                red, green, blue = evaluate_constant(sh, i)
            if any_lane(not_finite(qw + qx + qy + qz + red + green + blue)):
                return offset + i
            extra = zero
            if feature.size > 0:
                extra = load(feature, i)
            groups[row >> 3] = (offset + i) >> 3
            r = RECORD * row
            row += 8
            store_rows(records, r, RECORD, u, v, uu, uv, vv, opacity, log_cutoff * f32(-1 / 16), z)
            red, green, blue = lane_max(red, f32(0)), lane_max(green, f32(0)), lane_max(blue, f32(0))
            store_rows(records, r + CHANNELS + 1, RECORD, red, green, blue, extra, left, right, top, bottom)
        ends[block] = row
    return -1
