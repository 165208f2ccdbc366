"""Maps between pixels, depth, points and normals; and, re-exported, the transforms that they rest on."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from .camera import Camera
from .camera import pixel_grid as pixel_grid
from .transforms import invert_rigid as invert_rigid
from .transforms import matrix_from_quats as matrix_from_quats
from .transforms import multiply_quats as multiply_quats
from .transforms import quats_from_matrix as quats_from_matrix
from .transforms import split_similarity as split_similarity
from .transforms import transform_points as transform_points


def project(
    points: Float[Tensor, "*P 3"], camera: Camera
) -> tuple[Float[Tensor, "*Q 2"], Float[Tensor, "*Q"]]:
    """Pixels (u, v) and depth (z in the camera, metres) of world points.

    The leading axes of points broadcast with the camera's batch axes: a camera [V] takes points [V, N, 3], or
    [1, N, 3] for the same points in every camera. Pixels mean nothing where depth <= 0.
    """
    extra = points.ndim - 1 - len(camera.batch_shape)
    if extra < 0:
        raise ValueError(
            f"points must lead with the camera's batch axes {list(camera.batch_shape)}; got "
            f"{list(points.shape)}. For the same points in every camera pass points[None]."
        )
    ones = (1,) * extra
    w2c = camera.w2c.reshape(*camera.batch_shape, *ones, 4, 4)
    K = camera.K.reshape(*camera.batch_shape, *ones, 3, 3)
    in_camera = (w2c[..., :3, :3] @ points[..., None]).squeeze(-1) + w2c[..., :3, 3]
    depth = in_camera[..., 2]
    divisor = torch.where(depth.abs() < 1e-12, torch.full_like(depth, 1e-12), depth)[..., None]
    focal = torch.stack([K[..., 0, 0], K[..., 1, 1]], dim=-1)
    return in_camera[..., :2] / divisor * focal + K[..., :2, 2], depth


def unproject(depth: Float[Tensor, "*B H W"], camera: Camera) -> Float[Tensor, "*B H W 3"]:
    """World points of a depth image; pixels of depth 0 fall on the camera centre."""
    origins, directions = camera.rays()
    if depth.shape[-2:] != directions.shape[-3:-1]:
        raise ValueError(
            f"depth must be [*B, {camera.height}, {camera.width}] like the camera; got {list(depth.shape)}."
        )
    return origins[..., None, None, :] + depth[..., None] * directions


def normals_from_depth(depth: Float[Tensor, "*B H W"], camera: Camera) -> Float[Tensor, "*B H W 3"]:
    """Unit surface normals in the world, facing the camera; 0 where unknown.

    Along each image axis the neighbour with the smaller step in depth is used, so normals do not smear over
    depth edges. Unknown: no depth, or no measured neighbour along one of the axes.
    """
    points = unproject(depth, camera)
    along_u = _smaller_step(points, depth, axis=-1)
    along_v = _smaller_step(points, depth, axis=-2)
    normals = torch.linalg.cross(along_v, along_u)
    length = normals.norm(dim=-1, keepdim=True)
    normals = torch.where(length > 0, normals / length.clamp(min=1e-30), torch.zeros_like(normals))
    _, directions = camera.rays()
    away = (normals * directions).sum(dim=-1, keepdim=True) > 0
    normals = torch.where(away, -normals, normals)
    return normals * (depth > 0)[..., None]


def _smaller_step(points: Tensor, depth: Tensor, axis: int) -> Tensor:
    """Difference of neighbouring points along an image axis (-1 is u, -2 is v); 0 where unmeasured."""
    step = points.diff(dim=axis - 1)
    measured = (depth > 0).narrow(axis, 1, depth.shape[axis] - 1)
    measured = measured & (depth > 0).narrow(axis, 0, depth.shape[axis] - 1)
    change = torch.where(measured, depth.diff(dim=axis).abs(), torch.inf)
    no_step = torch.zeros_like(points.narrow(axis - 1, 0, 1))
    no_change = torch.full_like(depth.narrow(axis, 0, 1), torch.inf)
    forward, backward = torch.cat([step, no_step], axis - 1), torch.cat([no_step, step], axis - 1)
    change_forward = torch.cat([change, no_change], axis)
    change_backward = torch.cat([no_change, change], axis)
    chosen = torch.where((change_forward <= change_backward)[..., None], forward, backward)
    known = torch.minimum(change_forward, change_backward).isfinite()
    return torch.where(known[..., None], chosen, torch.zeros_like(chosen))
