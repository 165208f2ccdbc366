"""Lift: one Gaussian for each trusted pixel, a flat disc on the surface that covers its pixel."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from render.gaussians import Gaussians
from render.geometry import normals_from_depth, quats_from_matrix
from render.spherical_harmonics import sh_from_rgb

from .truth import checked_depth
from .view import View

MIN_CONFIDENCE = 0.3
PIXEL_SIGMA = 0.4  # standard deviation of a disc in pixels: the best of .3 to .6 on held-out views
THICKNESS = 0.1  # of a disc, as a share of its width
OPACITY = 0.95
SMALLEST_COSINE = 0.3  # discs seen at a more grazing angle are not stretched further
EDGE = 0.06  # a step between neighbours larger than this share of the depth is a depth edge


class Lifted(NamedTuple):
    """Gaussians; confidence in 0..1; unit direction from the camera, world; pixel = v * W + u."""

    gaussians: Gaussians
    confidence: Float[Tensor, "N"]
    direction: Float[Tensor, "N 3"]
    pixel: Int[Tensor, "N"]


def lift(view: View, *, min_confidence: float = MIN_CONFIDENCE, mask: Bool[Tensor, "H W"] | None = None) -> Lifted:
    """One Gaussian for each pixel of the view that has depth and enough confidence (and lies in `mask`).

    A disc's size is PIXEL_SIGMA * depth / focal, stretched by the slant of the surface. Without confidence
    every measured pixel counts fully.
    Raises ValueError when the view has no depth or one that is not finite and >= 0.
    """
    trusted = trusted_pixels(view, min_confidence)
    if mask is not None:
        trusted = trusted & mask
    assert view.depth is not None
    normals = normals_from_depth(view.depth, view.camera)
    return lift_pixels(view, trusted.flatten().nonzero().squeeze(1), normals)


def trusted_pixels(view: View, min_confidence: float = MIN_CONFIDENCE) -> Bool[Tensor, "H W"]:
    """Where the view has depth, enough confidence, and does not float between two surfaces.

    Raises ValueError when the view has no depth or one that is not finite and >= 0.
    """
    if view.depth is None:
        raise ValueError(
            "lift and fuse need View.depth; got None. Measure it: "
            "depth, confidence = depth_source(…)([view]); replace(view, depth=depth, confidence=confidence)."
        )
    depth = checked_depth(view.depth)
    trusted = (depth > 0) & ~_floating(depth)
    if view.confidence is not None:
        trusted = trusted & (view.confidence >= min_confidence)
    return trusted


def lift_pixels(view: View, pixel: Int[Tensor, "N"], normals: Float[Tensor, "H W 3"]) -> Lifted:
    """Gaussians of the given pixels (v * W + u), which must have depth; normals as of normals_from_depth."""
    assert view.depth is not None
    camera = view.camera
    origin, rays = camera.rays()
    ray = rays.reshape(-1, 3)[pixel]
    depth = view.depth.flatten()[pixel]
    distance = ray.norm(dim=-1, keepdim=True)
    direction = ray / distance
    normal = normals.reshape(-1, 3)[pixel]
    # a surface of unknown orientation faces the camera
    normal = torch.where((normal * normal).sum(-1, keepdim=True) > 0.5, normal, -direction)

    cosine = (normal * direction).sum(-1, keepdim=True).abs().clamp(SMALLEST_COSINE, 1)
    slant = direction - (direction * normal).sum(-1, keepdim=True) * normal
    upright = torch.linalg.cross(normal, camera.w2c[0, :3].expand_as(normal))
    # seen head-on there is no slant direction: any tangent will do
    along = torch.where(slant.norm(dim=-1, keepdim=True) > 1e-3, slant, upright)
    along = torch.nn.functional.normalize(along, dim=-1)
    across = torch.linalg.cross(normal, along)
    width = PIXEL_SIGMA * depth[:, None] / (0.5 * (camera.K[0, 0] + camera.K[1, 1]))
    gaussians = Gaussians(
        means=origin + depth[:, None] * ray,
        quats=quats_from_matrix(torch.stack([along, across, normal], dim=-1)),
        scales=torch.cat([width / cosine, width, THICKNESS * width], dim=-1),
        opacities=torch.full_like(depth, OPACITY),
        sh=sh_from_rgb(view.image.reshape(-1, 3)[pixel]),
    )
    confidence = torch.ones_like(depth) if view.confidence is None else view.confidence.flatten()[pixel]
    return Lifted(gaussians, confidence, direction, pixel)


def _floating(depth: Float[Tensor, "H W"]) -> Bool[Tensor, "H W"]:
    """Pixels that lie between two surfaces: a depth edge on both sides, one nearer and one farther."""
    floating = torch.zeros_like(depth, dtype=torch.bool)
    for axis in (0, 1):
        size = depth.shape[axis]
        if size < 3:
            continue
        before, middle, after = (depth.narrow(axis, start, size - 2) for start in range(3))
        step = EDGE * middle
        rising = (middle - before > step) & (after - middle > step)
        falling = (before - middle > step) & (middle - after > step)
        measured = (before > 0) & (after > 0)
        floating.narrow(axis, 1, size - 2).logical_or_((rising | falling) & measured)
    return floating
