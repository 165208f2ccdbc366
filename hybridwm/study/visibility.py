"""Which pixels of a true frame show something that the observed beginning had already shown."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from render.camera import Camera
from render.geometry import project, unproject

RELATIVE_TOLERANCE = 0.03
ABSOLUTE_TOLERANCE = 0.05  # metres


def seen_before(
    depth: Float[Tensor, "H W"],
    camera: Camera,
    view_depths: list[Float[Tensor, "h w"]],
    view_cameras: list[Camera],
) -> Bool[Tensor, "H W"]:
    """True where the pixel's 3D point was seen in one of the observed views (their left eyes).

    A point counts as seen in a view when it projects into the image and one of the four pixels around the
    projection has a depth within 3 % or 5 cm of the point's own. Depths are true ones, in metres; pixels
    without depth (0) are not seen.
    """
    if len(view_depths) != len(view_cameras):
        raise ValueError(
            f"expected one depth for each observed camera; got {len(view_depths)} depths and "
            f"{len(view_cameras)} cameras; do pass both of every start view"
        )
    points = unproject(depth, camera)
    seen = torch.zeros(depth.shape, dtype=torch.bool, device=depth.device)
    for view_depth, view_camera in zip(view_depths, view_cameras, strict=True):
        seen |= _visible(points, view_depth, view_camera)
    return seen & (depth > 0)


def _visible(points: Tensor, view_depth: Tensor, view_camera: Camera) -> Tensor:
    """Whether each point [H, W, 3] is on the surface that the view measured."""
    pixels, z = project(points, view_camera)
    height, width = view_depth.shape
    inside = (z > 0) & (pixels[..., 0] >= 0) & (pixels[..., 0] < width)
    inside = inside & (pixels[..., 1] >= 0) & (pixels[..., 1] < height)
    corner = torch.floor(torch.nan_to_num(pixels - 0.5).clamp(-1e6, 1e6)).long()
    tolerance = torch.clamp(RELATIVE_TOLERANCE * z, min=ABSOLUTE_TOLERANCE)
    close = torch.zeros_like(inside)
    for right in (0, 1):
        for down in (0, 1):
            u = (corner[..., 0] + right).clamp(0, width - 1)
            v = (corner[..., 1] + down).clamp(0, height - 1)
            there = view_depth[v, u]
            close = close | ((there > 0) & ((there - z).abs() <= tolerance))
    return inside & close
