"""Depth from posed views: a plane sweep over earlier views, aggregated semi-globally.

The stages are in sweep.py, sweep_aggregation.py and multiview_sources.py; multiview_sequence.py measures all views of a
sequence, each also from later ones. On the CPU, whatever the device of the views; the result is on theirs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from numpy import ndarray
from torch import Tensor

from render.camera import Camera

from .multiview_confidence import confidence_alone
from .multiview_sources import choose_sources, gathered, parallax_at, small_grey, working_size
from .sweep import sweep, whole_greys
from .sweep_aggregation import aggregate, winner
from .upsampling import upsample
from .view import DepthContext, View

NEAR, FAR = 0.3, 15.0  # metres, the swept range
MOST_SOURCES = 8
MOST_PIXELS = 60_000  # of the sweep; larger views are shrunk for it
PLANE_STEP = 0.5  # pixels of parallax between neighbouring planes
FEWEST_PLANES, MOST_PLANES = 24, 128
QUICK_PIXELS, QUICK_PLANES = 10_000, 64  # a small view, as in a world model's loop, is swept more coarsely
SHARE = 0.65  # of the sources that see a point, those that count
COARSE_PIXELS, COARSE_SHARE, COARSE_PLANES = 6_000, 0.25, 64  # of the sweep that finds the range; share of the pixels
CERTAIN = 0.1  # margin from which on a coarse depth counts for the range
FEWEST_CERTAIN = 60  # pixels; with less the whole range is swept
RANGE_TAILS, RANGE_SLACK = (0.01, 0.99), 1.4  # quantiles of the coarse depth, and how far the range goes beyond
MOST_UNLIKE = 0.3  # median cost of what is seen, above which two images show different things: noise finds 0.45
LEAST_CONFIDENCE = 0.6  # less is no measurement


@dataclass(frozen=True)
class Swept:
    """The sweep of one view: costs [H, W, P] on planes at inverse depth first + index * step, and the view's grey."""

    volume: UInt8[ndarray, "H W P"]
    grey: Float32[ndarray, "H W"]
    first: float
    step: float
    parallax: float  # pixels at a depth of 1 m, from the source farthest away

    def depth(self, plane: Float32[ndarray, "H W"]) -> Float32[ndarray, "H W"]:
        """Metres of fractional planes; 0 at the two ends, where all that is nearer or farther piles up."""
        ends = (plane < 0.5) | (plane > self.volume.shape[2] - 1.5)
        return np.where(ends, 0, 1 / np.maximum(self.first + plane * self.step, 1e-9)).astype(np.float32)


def multiview_depth(
    views: Sequence[View],
    context: DepthContext | None = None,
    *,
    near: float = NEAR,
    far: float = FAR,
) -> tuple[Float[Tensor, "H W"], Float[Tensor, "H W"]]:
    """Depth [H, W] in metres (0 = none) and confidence [H, W] in 0..1 of the newest view, from earlier ones.

    Earlier views are views[:-1] and context.views, with known cameras of any size. Never reads View.depth. The
    confidence is about the chance that the depth is within 5 %. When no earlier view has a baseline (the camera
    only turned, or there is one view), depth and confidence are 0 everywhere: multiview_status() says why.
    Raises ValueError when there is no view or the range is not 0 < near < far.
    """
    if not views:
        raise ValueError("depth source 'multiview' needs at least one view; got none.")
    if not 0 < near < far < math.inf:
        raise ValueError(f"multiview needs 0 < near < far metres; got near {near}, far {far}.")
    view = views[-1]
    earlier = [*(context.views if context else ()), *views[:-1]]
    chosen = choose_sources(view.camera, [one.camera for one in earlier], typical_depth(context), MOST_SOURCES)
    none = torch.zeros_like(view.image[..., 0])
    if not chosen:
        return none, none.clone()
    size = working_size(view.height, view.width, MOST_PIXELS)
    sources = [earlier[index] for index in chosen]
    greys = [small_grey(one.image, working_size(one.height, one.width, MOST_PIXELS)) for one in sources]
    most = QUICK_PLANES if size[0] * size[1] <= QUICK_PIXELS else MOST_PLANES
    grey, cameras = small_grey(view.image, size), [one.camera for one in sources]
    near, far, _ = swept_range(view.camera, grey, cameras, greys, near, far)
    swept = sweep_view(view.camera, grey, cameras, greys, near, far, most)
    plane, cost, margin = winner(aggregate(swept.volume, swept.grey), swept.volume)
    if not resembling(cost):
        return none, none.clone()
    depth = swept.depth(plane)
    confidence = confidence_alone(depth, cost, margin, swept.parallax)
    return kept(view, depth, confidence, LEAST_CONFIDENCE)


def typical_depth(context: DepthContext | None, otherwise: float = 2.0) -> float:
    """The median of the recalled depth in metres, where there is one."""
    if context is not None and context.recalled_depth is not None:
        known = context.recalled_depth[context.recalled_depth > 0]
        return float(known.median()) if known.numel() else otherwise
    return otherwise


def sweep_view(
    camera: Camera,
    grey: Float32[ndarray, "H W"],
    others: Sequence[Camera],
    greys: Sequence[Float32[ndarray, "_ _"]],
    near: float,
    far: float,
    most_planes: int = MOST_PLANES,
) -> Swept:
    """The costs of a view, seen by this camera, on planes from near to far; grey and greys at the size of the sweep."""
    size = (grey.shape[0], grey.shape[1])
    parallax = max(parallax_at(camera, other, 1.0) for other in others) * size[1] / camera.width
    wanted = math.ceil(parallax * (1 / near - 1 / far) / PLANE_STEP) + 1
    inverse = np.linspace(1 / far, 1 / near, min(most_planes, max(FEWEST_PLANES, wanted)))
    radius = window_radius(size[1])
    volume = sweep(whole_greys(grey), gathered(camera, size, others, greys), inverse, radius, SHARE)
    return Swept(volume, grey, float(inverse[0]), float(inverse[1] - inverse[0]), parallax)


def swept_range(
    camera: Camera,
    grey: Float32[ndarray, "H W"],
    others: Sequence[Camera],
    greys: Sequence[Float32[ndarray, "_ _"]],
    near: float,
    far: float,
) -> tuple[float, float, float]:
    """The nearest, farthest and median depth (metres) that a coarse sweep finds, the former two with some slack; near,
    far and their geometric mean where it finds too little."""
    if not len(others):
        return near, far, math.sqrt(near * far)
    coarse, *rest = (_shrunk(one) for one in (grey, *greys))
    swept = sweep_view(camera, coarse, others, rest, near, far, COARSE_PLANES)
    plane, _, margin = winner(aggregate(swept.volume, swept.grey), swept.volume)
    depth = swept.depth(plane)
    certain = depth[(depth > 0) & (margin > CERTAIN)]
    if certain.size < FEWEST_CERTAIN:
        return near, far, math.sqrt(near * far)
    low, high = np.quantile(certain, RANGE_TAILS)
    return max(near, float(low) / RANGE_SLACK), min(far, float(high) * RANGE_SLACK), float(np.median(certain))


def resembling(cost: Float32[ndarray, "H W"]) -> bool:
    """Whether the best planes (cost 0..1, 1 where nothing is seen) make the views look alike at all."""
    seen = cost[cost < 1]
    return bool(seen.size) and float(np.median(seen)) <= MOST_UNLIKE


def _shrunk(grey: Float32[ndarray, "H W"]) -> Float32[ndarray, "h w"]:
    size = working_size(grey.shape[0], grey.shape[1], int(min(COARSE_PIXELS, COARSE_SHARE * grey.size)))
    return small_grey(torch.from_numpy(grey)[..., None], size)


def window_radius(width: int) -> int:
    """Pixels; windows are smaller in small images, as what is in them is."""
    return min(max(round(width / 75), 1), 4)


def kept(
    view: View, depth: Float32[ndarray, "h w"], confidence: Float32[ndarray, "h w"], least: float
) -> tuple[Float[Tensor, "H W"], Float[Tensor, "H W"]]:
    """Depth and confidence at the view's own size, dtype and device; 0 where the confidence or the image is no good."""
    depth, confidence = upsample(depth, confidence, view.image)
    full, sure = (torch.from_numpy(one).to(view.image) for one in (depth, confidence))
    good = (sure >= least) & (full > 0) & view.image.isfinite().all(-1)
    return torch.where(good, full, 0.0), torch.where(good, sure, 0.0)
