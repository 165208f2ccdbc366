"""Stage 1: Gaussians, eight at a time, to 64-byte splat records on the image plane."""

# pyright: reportCallIssue=false, reportArgumentType=false
from __future__ import annotations

import numpy as np

from .kernel import kernel
from .lanes import (
    any_lane,
    broadcast,
    lane_ceil,
    lane_floor,
    lane_max,
    lane_min,
    lane_sqrt,
    scalar_sqrt,
    select,
)
from .memory import load, load_column, store_rows

f32 = np.float32

# The record of one splat, in floats.
RECORD = 16
CENTER_U, CENTER_V = 0, 1  # pixels
CONIC_UU, CONIC_UV, CONIC_VV = 2, 3, 4  # exponent / 16 = uu du^2 + uv du dv + vv dv^2
OPACITY = 5
CUTOFF = 6  # the exponent / 16 at which alpha falls to 1/255
DEPTH = 7
CHANNELS = 8  # four of them: rgb and the first feature
LEFT, RIGHT, TOP, BOTTOM = (
    12,
    13,
    14,
    15,
)  # pixels with alpha >= 1/255 lie in this box; RIGHT = -1: not visible


@kernel
def project(
    means, quats, scales, opacities, log_cutoffs, colours, feature, w2c, K, width, height, limits, records
):
    """All arrays are flat float32 and hold a multiple of eight rows. log_cutoffs: ln(255 opacity).
    w2c: 12 numbers; K: fx, fy, cx, cy; limits: near plane, dilation. Records are written in order."""
    one, two, half = f32(1), f32(2), f32(0.5)
    near, dilation = limits[0], limits[1]
    fx, fy, cx, cy = K[0], K[1], K[2], K[3]
    w, h = f32(width), f32(height)
    # The Jacobian is frozen 15 % of the image size outside of the image (see rasterize_torch).
    slope_left, slope_right = (f32(-0.15) * w - cx) / fx, (f32(1.15) * w - cx) / fx
    slope_top, slope_bottom = (f32(-0.15) * h - cy) / fy, (f32(1.15) * h - cy) / fy
    r00, r01, r02, t0 = w2c[0], w2c[1], w2c[2], w2c[3]
    r10, r11, r12, t1 = w2c[4], w2c[5], w2c[6], w2c[7]
    r20, r21, r22, t2 = w2c[8], w2c[9], w2c[10], w2c[11]
    steepest_x, steepest_y = max(-slope_left, slope_right), max(-slope_top, slope_bottom)
    stretch = scalar_sqrt(
        one + steepest_x * steepest_x + steepest_y * steepest_y
    )  # the Jacobian's norm / (f / z)
    focal = max(fx, fy)
    zero = broadcast(f32(0))
    for i in range(0, opacities.size, 8):
        mx = load_column(means, 3 * i, 3)
        my = load_column(means, 3 * i + 1, 3)
        mz = load_column(means, 3 * i + 2, 3)
        z = mx * r20 + my * r21 + mz * r22 + t2
        opacity = load(opacities, i)
        inverse_z = one / lane_max(z, near)
        slope_x = (mx * r00 + my * r01 + mz * r02 + t0) * inverse_z
        slope_y = (mx * r10 + my * r11 + mz * r12 + t1) * inverse_z
        u = slope_x * fx + cx
        v = slope_y * fy + cy
        s0 = load_column(scales, 3 * i, 3)
        s1 = load_column(scales, 3 * i + 1, 3)
        s2 = load_column(scales, 3 * i + 2, 3)
        # A generous radius before the costly part: 3.34 sigma of the largest scale, and the dilation.
        radius = lane_max(lane_max(s0, s1), s2) * inverse_z * (f32(3.34) * stretch * focal) + f32(3.4)
        visible = (z > near) & (opacity >= f32(1 / 255))
        visible = visible & (u > zero - radius) & (v > zero - radius) & (u < radius + w) & (v < radius + h)
        if not any_lane(visible):
            for lane in range(8):
                records[RECORD * (i + lane) + RIGHT] = f32(-1)
            continue
        # Rotation matrix of wxyz, normalised on the way; a zero quaternion gives the identity, as in torch.
        qw = load_column(quats, 4 * i, 4)
        qx = load_column(quats, 4 * i + 1, 4)
        qy = load_column(quats, 4 * i + 2, 4)
        qz = load_column(quats, 4 * i + 3, 4)
        scale = two / lane_max(qw * qw + qx * qx + qy * qy + qz * qz, f32(1e-24))
        xx, yy, zz = qx * qx * scale, qy * qy * scale, qz * qz * scale
        xy, xz, yz = qx * qy * scale, qx * qz * scale, qy * qz * scale
        wx, wy, wz = qw * qx * scale, qw * qy * scale, qw * qz * scale
        m00, m01, m02 = one - (yy + zz), xy - wz, xz + wy
        m10, m11, m12 = xy + wz, one - (xx + zz), yz - wx
        m20, m21, m22 = xz - wy, yz + wx, one - (xx + yy)
        # Rows of Jacobian @ w2c rotation: (a0, a1, a2) for u, (b0, b1, b2) for v.
        ju, jv = inverse_z * fx, inverse_z * fy
        ju_z = zero - ju * lane_min(lane_max(slope_x, slope_left), slope_right)
        jv_z = zero - jv * lane_min(lane_max(slope_y, slope_top), slope_bottom)
        a0, a1, a2 = ju * r00 + ju_z * r20, ju * r01 + ju_z * r21, ju * r02 + ju_z * r22
        b0, b1, b2 = jv * r10 + jv_z * r20, jv * r11 + jv_z * r21, jv * r12 + jv_z * r22
        # Their products with the Gaussian's scaled axes: a square root of the 2D covariance.
        p0 = (a0 * m00 + a1 * m10 + a2 * m20) * s0
        p1 = (a0 * m01 + a1 * m11 + a2 * m21) * s1
        p2 = (a0 * m02 + a1 * m12 + a2 * m22) * s2
        q0 = (b0 * m00 + b1 * m10 + b2 * m20) * s0
        q1 = (b0 * m01 + b1 * m11 + b2 * m21) * s1
        q2 = (b0 * m02 + b1 * m12 + b2 * m22) * s2
        cov_uu = p0 * p0 + p1 * p1 + p2 * p2 + dilation
        cov_uv = p0 * q0 + p1 * q1 + p2 * q2
        cov_vv = q0 * q0 + q1 * q1 + q2 * q2 + dilation
        # As a sum of squares: the usual difference of products has no correct digit left for long needles.
        n0, n1, n2 = p1 * q2 - p2 * q1, p2 * q0 - p0 * q2, p0 * q1 - p1 * q0
        determinant = n0 * n0 + n1 * n1 + n2 * n2 + (cov_uu + cov_vv - dilation) * dilation
        inverse = one / determinant
        # The ellipse exponent = -ln(255 opacity) fits exactly into this box of pixel centres.
        log_cutoff = load(log_cutoffs, i)
        reach = lane_max(log_cutoff, f32(0)) * two
        reach_u, reach_v = lane_sqrt(reach * cov_uu), lane_sqrt(reach * cov_vv)
        left = lane_max(lane_ceil(u - reach_u - half), f32(0))
        right = lane_min(lane_floor(u + reach_u + half), w)
        top = lane_max(lane_ceil(v - reach_v - half), f32(0))
        bottom = lane_min(lane_floor(v + reach_v + half), h)
        visible = visible & (determinant > f32(0)) & (left < right) & (top < bottom)
        right = select(visible, right, broadcast(f32(-1)))
        uu, uv, vv = (
            cov_vv * inverse * f32(-1 / 32),
            cov_uv * inverse * f32(1 / 16),
            cov_uu * inverse * f32(-1 / 32),
        )
        r = RECORD * i
        store_rows(records, r, RECORD, u, v, uu, uv, vv, opacity, log_cutoff * f32(-1 / 16), z)
        red = load_column(colours, 3 * i, 3)
        green = load_column(colours, 3 * i + 1, 3)
        blue = load_column(colours, 3 * i + 2, 3)
        extra = load(feature, i)
        store_rows(records, r + CHANNELS, RECORD, red, green, blue, extra, left, right, top, bottom)
