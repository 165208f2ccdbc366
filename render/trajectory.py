"""Where cameras go: looking at things, circling them, gliding from one camera to another."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from .camera import Camera
from .transforms import invert_rigid, matrix_from_quats, quats_from_matrix


def look_at(
    eye: Float[Tensor, "*#B 3"], target: Float[Tensor, "*#B 3"], up: Float[Tensor, "*#B 3"] | None = None
) -> Float[Tensor, "*B 4 4"]:
    """w2c of a camera at eye whose +z axis points at target, with `up` (world +z by default) up in the image.

    Raises ValueError when eye and target coincide, or when up points along the view.
    """
    up = eye.new_tensor([0.0, 0.0, 1.0]) if up is None else up
    eye, target, upward = torch.broadcast_tensors(eye, target, up)
    forward = target - eye
    right = torch.linalg.cross(forward, upward)
    shortest = forward.norm(dim=-1) * upward.norm(dim=-1)
    if (right.norm(dim=-1) <= 1e-6 * shortest).any():
        raise ValueError("look_at needs a target away from eye, and an up that is not along the view.")
    forward = torch.nn.functional.normalize(forward, dim=-1)
    right = torch.nn.functional.normalize(right, dim=-1)
    rotation = torch.stack([right, torch.linalg.cross(forward, right), forward], dim=-2)
    w2c = torch.eye(4, dtype=eye.dtype, device=eye.device).repeat(*eye.shape[:-1], 1, 1)
    w2c[..., :3, :3] = rotation
    w2c[..., :3, 3] = -(rotation @ eye[..., None]).squeeze(-1)
    return w2c


def orbit(
    target: Float[Tensor, "3"],
    radius: float,
    count: int,
    *,
    width: int,
    height: int,
    fov_x_degrees: float,
    elevation_degrees: float = 20.0,
) -> Camera:
    """`count` cameras on a full circle around the world's +z axis through target (metres), looking at it."""
    angles = torch.arange(count, dtype=target.dtype, device=target.device) * (2 * math.pi / count)
    elevation = math.radians(elevation_degrees)
    level = math.cos(elevation)
    offset = torch.stack(
        [angles.cos() * level, angles.sin() * level, torch.full_like(angles, math.sin(elevation))], dim=-1
    )
    return Camera.from_fov(width, height, fov_x_degrees, look_at(target + radius * offset, target))


def sway(camera: Camera, distance: float, radius: float, count: int) -> Camera:
    """`count` cameras on a circle in the image plane of one camera, all looking at the point `distance`
    metres ahead of it: shows depth without leaving what the camera saw."""
    angles = torch.arange(count, dtype=camera.dtype, device=camera.device) * (2 * math.pi / count)
    zero = torch.zeros_like(angles)
    eyes = torch.stack([radius * angles.cos(), radius * angles.sin(), zero], dim=-1)
    ahead, up = eyes.new_tensor([0.0, 0.0, distance]), eyes.new_tensor([0.0, -1.0, 0.0])
    swayed_from_camera = look_at(eyes, ahead, up)
    return Camera(camera.K.expand(count, 3, 3), swayed_from_camera @ camera.w2c, camera.width, camera.height)


def interpolate(first: Camera, last: Camera, count: int) -> Camera:
    """`count` cameras from first to last, both included: straight centres, even turning, blended K."""
    if count < 2:
        raise ValueError(f"interpolate needs a count of at least 2, for both ends; got {count}.")
    if (first.width, first.height) != (last.width, last.height):
        raise ValueError("interpolate needs cameras of one image size. Use resized() first.")
    t = torch.linspace(0, 1, count, dtype=first.dtype, device=first.device)[:, None]
    start, end = quats_from_matrix(first.c2w[:3, :3]), quats_from_matrix(last.c2w[:3, :3])
    c2w = torch.eye(4, dtype=first.dtype, device=first.device).repeat(count, 1, 1)
    c2w[:, :3, :3] = matrix_from_quats(_slerp(start, end, t))
    c2w[:, :3, 3] = torch.lerp(first.center, last.center, t)
    K = torch.lerp(first.K, last.K, t[:, :, None])
    return Camera(K, invert_rigid(c2w), first.width, first.height)


def _slerp(start: Tensor, end: Tensor, t: Tensor) -> Tensor:
    cosine = (start * end).sum()
    end = torch.where(cosine < 0, -end, end)  # q and -q are one rotation: take the shorter way
    angle = torch.atan2((end - cosine.abs() * start).norm(), cosine.abs())
    if angle < 1e-6:
        return torch.lerp(start, end, t)
    return (torch.sin((1 - t) * angle) * start + torch.sin(t * angle) * end) / torch.sin(angle)
