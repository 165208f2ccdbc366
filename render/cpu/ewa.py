"""What projection and its backward pass share: rotation, Jacobian and covariance of eight Gaussians.

Source: Zwicker et al. 2001, EWA volume splatting, with gsplat's constants (see rasterize_torch, the readable twin).
"""

# pyright: reportCallIssue=false, reportArgumentType=false
from __future__ import annotations

from .kernel import kernel
from .lanes import lane_max, lane_min
from .memory import load_column
from .records import f32

# The numbers that describe one camera to the kernels, flat: w2c's first three rows, then these.
FX, FY, CX, CY = 12, 13, 14, 15
CENTER = 16  # the optical centre in the world, three numbers
NEAR, DILATION = 19, 20
CAMERA = 21


@kernel
def slope_limits(camera, width, height):
    """x / z and y / z at which the Jacobian is frozen, 15 % of the image size outside of the image: left, right,
    top, bottom."""
    w, h = f32(width), f32(height)
    return (
        (f32(-0.15) * w - camera[CX]) / camera[FX],
        (f32(1.15) * w - camera[CX]) / camera[FX],
        (f32(-0.15) * h - camera[CY]) / camera[FY],
        (f32(1.15) * h - camera[CY]) / camera[FY],
    )


@kernel
def load_vectors(array, i):
    """Three columns of eight rows of a flat [N, 3] array."""
    return load_column(array, 3 * i, 3), load_column(array, 3 * i + 1, 3), load_column(array, 3 * i + 2, 3)


@kernel
def load_quats(quats, i):
    """w, x, y, z of eight quaternions, and their squared lengths, a tiny number for zero."""
    w, x = load_column(quats, 4 * i, 4), load_column(quats, 4 * i + 1, 4)
    y, z = load_column(quats, 4 * i + 2, 4), load_column(quats, 4 * i + 3, 4)
    return w, x, y, z, lane_max(w * w + x * x + y * y + z * z, f32(1e-24))


@kernel
def rotation(w, x, y, z, scale):
    """Nine entries, row by row, of the rotation matrices of quaternions; scale: two over their squared length. The
    identity for all zeros, as in torch."""
    one = f32(1)
    xs, ys, zs = x * scale, y * scale, z * scale
    xx, yy, zz = x * xs, y * ys, z * zs
    xy, xz, yz = x * ys, x * zs, y * zs
    wx, wy, wz = w * xs, w * ys, w * zs
    return (
        one - (yy + zz),
        xy - wz,
        xz + wy,
        xy + wz,
        one - (xx + zz),
        yz - wx,
        xz - wy,
        yz + wx,
        one - (xx + yy),
    )


@kernel
def jacobian(camera, limits, slope_x, slope_y, inverse_z):
    """Jacobian of the projection: du/dx, du/dz, dv/dy, dv/dz, and the slopes it was taken at."""
    ju, jv = inverse_z * camera[FX], inverse_z * camera[FY]
    held_x = lane_min(lane_max(slope_x, limits[0]), limits[1])
    held_y = lane_min(lane_max(slope_y, limits[2]), limits[3])
    return ju, ju * held_x * f32(-1), jv, jv * held_y * f32(-1), held_x, held_y


@kernel
def image_from_world(camera, ju, ju_z, jv, jv_z):
    """Rows of Jacobian @ w2c's rotation: three entries for u, three for v."""
    return (
        ju * camera[0] + ju_z * camera[8],
        ju * camera[1] + ju_z * camera[9],
        ju * camera[2] + ju_z * camera[10],
        jv * camera[4] + jv_z * camera[8],
        jv * camera[5] + jv_z * camera[9],
        jv * camera[6] + jv_z * camera[10],
    )


@kernel
def axes_in_image(rows, m):
    """The Gaussian's three axes, of length one, in the image: entries for u, then for v. m: its rotation."""
    return (
        rows[0] * m[0] + rows[1] * m[3] + rows[2] * m[6],
        rows[0] * m[1] + rows[1] * m[4] + rows[2] * m[7],
        rows[0] * m[2] + rows[1] * m[5] + rows[2] * m[8],
        rows[3] * m[0] + rows[4] * m[3] + rows[5] * m[6],
        rows[3] * m[1] + rows[4] * m[4] + rows[5] * m[7],
        rows[3] * m[2] + rows[4] * m[5] + rows[5] * m[8],
    )


@kernel
def covariance(p0, p1, p2, q0, q1, q2, dilation):
    """uu, uv, vv of the dilated covariance in px^2, its determinant, and that without the dilation.

    p, q: the scaled axes in the image, a square root of the covariance.
    """
    uu = p0 * p0 + p1 * p1 + p2 * p2 + dilation
    uv = p0 * q0 + p1 * q1 + p2 * q2
    vv = q0 * q0 + q1 * q1 + q2 * q2 + dilation
    # As a sum of squares: the usual difference of products has no correct digit left for long needles.
    n0, n1, n2 = p1 * q2 - p2 * q1, p2 * q0 - p0 * q2, p0 * q1 - p1 * q0
    area = n0 * n0 + n1 * n1 + n2 * n2
    return uu, uv, vv, area + (uu + vv - dilation) * dilation, area
