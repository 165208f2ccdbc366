"""Do a world's cameras and depths belong together? Depth of one view, warped into another by their cameras.

A pixel of the first view becomes a point, and the point falls on (u, v) of the second view at depth z. It *agrees*
when the second view's surface passes through depth z, to within `relative` of it, at some place no farther than
`pixels` from (u, v); between pixel centres inverse depth is interpolated, which is exact on planes. It is *co-visible*
when it falls inside the second image, where that image has measured depth within that distance, and is not hidden
behind another point of the first view. So the depth that is judged never decides what is judged: a wrong camera
cannot pass its errors off as occlusions.

What moves by itself must be left out by the caller: depth 0 there, in both views.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import grid_sample

from recon import View
from render.geometry import project, unproject

from .episodes import Episode

PIXELS = 1.0
RELATIVE = 0.02
HIDDEN = 0.05  # a point is hidden where another of its own view is nearer by more than this share, and not by its slope
# places in the unit disc where the second view's surface is looked at: the centre, and rings at half and full radius
_DISC = [(0.0, 0.0)] + [
    (r * math.cos(k * math.pi / 4), r * math.sin(k * math.pi / 4)) for r in (0.5, 1.0) for k in range(8)
]


@dataclass(frozen=True)
class Reprojection:
    """agreeing: share of the co-visible pixels that agree. covisible: share of the pixels with depth that are
    co-visible. error: median of |depth found - depth expected| / expected at (u, v) itself, over co-visible pixels.
    pixels: how many co-visible ones there were. NaN stands where nothing could be judged."""

    agreeing: float
    covisible: float
    error: float
    pixels: int


def reproject(
    before: View, after: View, *, pixels: float = PIXELS, relative: float = RELATIVE, step: float = 0.0
) -> Reprojection:
    """Depth of `before` warped into `after` against the depth found there. See the head of this file.

    step: metres added to the tolerance of depth, for depths that were stored in steps; 0 for none.
    Raises ValueError where a view has no depth.
    """
    return _summary([_judge(before, after, pixels, relative, step)])


def reproject_episode(
    episode: Episode, *, gap: int = 1, pixels: float = PIXELS, relative: float = RELATIVE, step: float = 0.0
) -> Reprojection:
    """The same over all pairs of frames (t, t + gap), their pixels pooled.

    Raises ValueError for an episode without cameras or depth, or with fewer than gap + 1 frames.
    """
    if episode.depth is None:
        raise ValueError("reproject_episode: expected an episode with depth; got none; record depth with it")
    if not 1 <= gap < len(episode):
        raise ValueError(f"reproject_episode: expected a gap of 1…{len(episode) - 1} frames; got {gap}; choose one")
    views = episode.views()
    pairs = zip(views[:-gap], views[gap:], strict=True)
    return _summary(_judge(one, other, pixels, relative, step) for one, other in pairs)


@torch.no_grad()
def _judge(before: View, after: View, pixels: float, relative: float, step: float) -> tuple[int, Tensor, Tensor]:
    """Pixels with depth; agreement and relative error [N] of the co-visible ones."""
    mine, other = _depth("before", before), _depth("after", after)
    known = mine > 0
    uv, z = project(unproject(mine, before.camera)[known], after.camera)
    inside = (z > 1e-6) & (uv >= 0).all(-1) & (uv[:, 0] < after.width) & (uv[:, 1] < after.height)
    uv, z, slope = uv[inside], z[inside], _slope(mine)[known][inside]
    nearest, farthest, here = _surface(other, uv, pixels)
    judged = (nearest > 0) & ~_hidden(uv, z, slope, after.width, after.height)
    z, nearest, farthest, here = (x[judged] for x in (z, nearest, farthest, here))
    slack = relative * z + step
    agrees = (nearest <= z + slack) & (farthest >= z - slack)
    return int(known.sum()), agrees, torch.where(here > 0, (here - z).abs() / z, torch.nan)


def _depth(name: str, view: View) -> Float[Tensor, "H W"]:
    if view.depth is None:
        raise ValueError(f"reproject: expected views with depth; got none in {name}; give View.depth")
    return view.depth


def _slope(depth: Float[Tensor, "H W"]) -> Float[Tensor, "H W"]:
    """Change of inverse depth from a pixel to the next, of the two sides the smaller one, rows and columns added."""
    inverse = torch.where(depth > 0, 1 / depth.clamp(min=1e-9), 0)
    slope = torch.zeros_like(depth)
    for axis in (0, 1):
        one = inverse.diff(dim=axis).abs()
        none = torch.full_like(one.narrow(axis, 0, 1), torch.inf)
        sides = torch.minimum(torch.cat([none, one], axis), torch.cat([one, none], axis))
        slope += torch.where(sides.isinf(), 0, sides)  # an image one pixel wide
    return slope


def _hidden(uv: Float[Tensor, "N 2"], z: Float[Tensor, "N"], slope: Float[Tensor, "N"], width: int, height: int):
    """bool [N]: another point is clearly nearer in the pixel where this one falls, or in one of the eight around it."""
    column, row = uv.long().unbind(-1)
    nearest = torch.full((height + 2, width + 2), torch.inf, dtype=z.dtype, device=z.device)
    for y in range(3):
        for x in range(3):
            index = (row + y) * (width + 2) + column + x
            nearest.view(-1).scatter_reduce_(0, index, z, "amin")
    return 1 / nearest[row + 1, column + 1] > (1 + HIDDEN) / z + 3 * slope


def _surface(
    depth: Float[Tensor, "H W"], uv: Float[Tensor, "N 2"], pixels: float
) -> tuple[Float[Tensor, "N"], Float[Tensor, "N"], Float[Tensor, "N"]]:
    """The surface's nearest and farthest depth within `pixels` of (u, v), and its depth at (u, v); 0 where unknown."""
    places = uv[:, None] + pixels * torch.tensor(_DISC, dtype=uv.dtype, device=uv.device)
    size = uv.new_tensor([depth.shape[1], depth.shape[0]])
    known = (depth > 0).to(depth)
    planes = torch.stack([known, torch.where(depth > 0, 1 / depth.clamp(min=1e-9), 0)])[None]
    weight, inverse = grid_sample(planes, (2 * places / size - 1)[None].to(depth), align_corners=False)[0]
    # weights below 1 are at the border of the image or of what was measured: what is known there counts alone
    there = weight > 0.01
    found = torch.where(there, weight / inverse.clamp(min=1e-9), 0)
    nearest = torch.where(there, found, torch.inf).amin(-1)
    return torch.where(nearest.isinf(), 0, nearest), found.amax(-1), found[:, 0]


def _summary(judged: Iterable[tuple[int, Tensor, Tensor]]) -> Reprojection:
    pairs = list(judged)
    known = sum(count for count, _, _ in pairs)
    agrees, errors = torch.cat([pair[1] for pair in pairs]), torch.cat([pair[2] for pair in pairs])
    return Reprojection(
        agreeing=float(agrees.float().mean()),
        covisible=len(agrees) / known if known else math.nan,
        error=float(errors.nanmedian()) if len(errors) else math.nan,
        pixels=len(agrees),
    )
