"""How much of a camera's view other cameras cover, and which few of them cover most together."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from render import Camera
from render.geometry import project

GRID = 8
"""Frustum points along each side of the image."""
LEAST = 0.01
"""Share of the view that a camera must add to be picked at all."""


def frustum_points(camera: Camera, depths: Sequence[float]) -> Float[Tensor, "P 3"]:
    """World points on a grid over the image, at each depth (metres)."""
    coarse = camera.resized(GRID, GRID)
    origin, directions = coarse.rays()
    return torch.cat([origin + depth * directions.reshape(-1, 3) for depth in depths])


def seen_from(
    points: Float[Tensor, "P 3"], cameras: Camera
) -> tuple[Bool[Tensor, "N P"], Float[Tensor, "N P 2"], Float[Tensor, "N P"]]:
    """Whether each point falls into each camera's image; its pixel (u, v) and its depth there, metres."""
    pixels, z = project(points.expand(len(cameras), -1, 3), cameras)
    inside = (z > 0.05) & (pixels >= 0).all(-1)
    return inside & (pixels[..., 0] < cameras.width) & (pixels[..., 1] < cameras.height), pixels, z


def alignment(points: Float[Tensor, "P 3"], camera: Camera, others: Camera) -> Float[Tensor, "N P"]:
    """0…1: how alike the points look from a camera and from others: the cosine between the directions in which they are
    seen (0 from behind), times the ratio of the distances."""
    here, there = points - camera.center, points[None] - others.center[:, None]
    near, far = here.norm(dim=-1).clamp(min=1e-6), there.norm(dim=-1).clamp(min=1e-6)
    cosine = (here * there).sum(-1) / (near * far)
    return cosine.clamp(min=0) * torch.minimum(near / far, far / near)


def pick(values: Float[Tensor, "N P"], count: int) -> list[int]:
    """Rows that together are worth most, greedily: a point is worth what the best of the picked rows gives it.

    At most `count`, fewer where no other row adds LEAST of the points. (Greedy maximum coverage comes within 1 − 1/e of
    the best choice: Nemhauser, Wolsey & Fisher 1978.)
    """
    picked: list[int] = []
    held = values.new_zeros(values.shape[1])
    for _ in range(min(count, len(values))):
        gain = (values - held).clamp(min=0).mean(1)
        best = int(gain.argmax())
        if float(gain[best]) < LEAST:
            break
        picked.append(best)
        held = torch.maximum(held, values[best])
    return picked
