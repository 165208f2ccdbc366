"""Rigid and similarity transforms `b_from_a`, and unit quaternions in wxyz order."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def invert_rigid(b_from_a: Float[Tensor, "*B 4 4"]) -> Float[Tensor, "*B 4 4"]:
    """a_from_b for a rotation and translation (no scale)."""
    rotation = b_from_a[..., :3, :3].transpose(-1, -2)
    translation = -rotation @ b_from_a[..., :3, 3:]
    return torch.cat([torch.cat([rotation, translation], dim=-1), b_from_a[..., 3:, :]], dim=-2)


def transform_points(b_from_a: Float[Tensor, "4 4"], points: Float[Tensor, "*S 3"]) -> Float[Tensor, "*S 3"]:
    """Points given in a, expressed in b."""
    return points @ b_from_a[:3, :3].T + b_from_a[:3, 3]


def split_similarity(b_from_a: Float[Tensor, "4 4"]) -> tuple[Float[Tensor, "3 3"], Float[Tensor, ""]]:
    """Rotation and scale of a rigid or similarity transform. Raises ValueError for shear or a reflection."""
    linear = b_from_a[:3, :3]
    determinant = torch.linalg.det(linear)
    if determinant <= 0:
        raise ValueError(
            f"b_from_a must be a rotation times a positive scale; its determinant is {determinant:.3g}. "
            "A reflection cannot be applied to Gaussians: use render.conventions to change axes."
        )
    scale = determinant ** (1 / 3)
    rotation = linear / scale
    error = (rotation @ rotation.T - torch.eye(3, dtype=linear.dtype, device=linear.device)).abs().max()
    if error > 1e-3:
        raise ValueError(
            f"b_from_a must be a rotation times one scale; its axes are not orthogonal (error {error:.3g})."
        )
    return rotation, scale


def matrix_from_quats(quats: Float[Tensor, "*S 4"]) -> Float[Tensor, "*S 3 3"]:
    """Rotation matrices of wxyz quaternions, which need not be normalised."""
    w, x, y, z = torch.nn.functional.normalize(quats, dim=-1).unbind(-1)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def quats_from_matrix(rotations: Float[Tensor, "*S 3 3"]) -> Float[Tensor, "*S 4"]:
    """Unit wxyz quaternions of rotation matrices, with w >= 0."""
    m00, m01, m02, m10, m11, m12, m20, m21, m22 = rotations.flatten(-2).unbind(-1)
    # Each row is 4 q_i q; the one with the largest q_i is never close to zero.
    candidates = [
        [1 + m00 + m11 + m22, m21 - m12, m02 - m20, m10 - m01],
        [m21 - m12, 1 + m00 - m11 - m22, m01 + m10, m02 + m20],
        [m02 - m20, m01 + m10, 1 - m00 + m11 - m22, m12 + m21],
        [m10 - m01, m02 + m20, m12 + m21, 1 - m00 - m11 + m22],
    ]
    table = torch.stack([torch.stack(row, dim=-1) for row in candidates], dim=-2)
    best = table.diagonal(dim1=-2, dim2=-1).argmax(dim=-1)
    row = torch.take_along_dim(table, best[..., None, None], dim=-2).squeeze(-2)
    quats = torch.nn.functional.normalize(row, dim=-1)
    return torch.where(quats[..., :1] < 0, -quats, quats)


def multiply_quats(left: Float[Tensor, "*#S 4"], right: Float[Tensor, "*#S 4"]) -> Float[Tensor, "*#S 4"]:
    """The rotation `right` followed by `left`, as wxyz quaternions (Hamilton product)."""
    w1, x1, y1, z1 = left.unbind(-1)
    w2, x2, y2, z2 = right.unbind(-1)
    product = [
        w1 * w2 - x1 * x2 - y1 * y2 - z1 * z2,
        w1 * x2 + x1 * w2 + y1 * z2 - z1 * y2,
        w1 * y2 - x1 * z2 + y1 * w2 + z1 * x2,
        w1 * z2 + x1 * y2 - y1 * x2 + z1 * w2,
    ]
    return torch.stack(product, dim=-1)
