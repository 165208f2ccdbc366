"""Depth of every view of a sequence from the views before and after it, each view's confirmed by its neighbours'.

A sweep for each view; then again with the votes of the neighbours' depth among the costs, which carries depth into what
one view alone cannot tell; then, in small views, slanted planes, drawn to the neighbours' depth. What other views agree
on is kept.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Float32
from numpy import ndarray
from torch import Tensor

from render.camera import Camera

from .consistency import Agreement, agreement
from .multiview import CERTAIN, FAR, MOST_PIXELS, NEAR, SHARE, Swept, kept, resembling, sweep_view, swept_range
from .multiview_cameras import settle_cameras
from .multiview_confidence import confidence_confirmed
from .multiview_planes import slanted_depth
from .multiview_sources import choose_sources, gathered, small_grey, working_size
from .sweep_aggregation import aggregate, winner
from .sweep_votes import vote
from .view import View

MOST_SOURCES = 10
LEAST_TOLD = 0.02  # of a view's pixels, whose depth its images tell by themselves; with less nothing is measured
COARSE_SOURCES = 4  # of the sweep that finds each view's range
TRUSTED_BY = 3  # views that agree, for a full vote
KEPT_VOLUMES = 2**30  # bytes of costs kept between the passes; more are computed twice
SLANTED_PIXELS = 30_000  # larger views are fine enough for the planes of a sweep, and take long
SLANTED_SOURCES, SLANTED_RADIUS = 8, 2  # the best ones; pixels
LEAST_CONFIDENCE = 0.65  # less is no measurement


@dataclass(frozen=True)
class _Measured:
    """A view's camera at the size of its sweep, its sources, its planes, and what won in it."""

    camera: Camera
    sources: list[int]
    near: float
    far: float
    depth: Float32[ndarray, "H W"]
    cost: Float32[ndarray, "H W"]
    margin: Float32[ndarray, "H W"]
    parallax: float | Float32[ndarray, "H W"]  # pixels at 1 m; of each pixel after its plane was moved
    swept: Swept | None


def multiview_depths(
    views: Sequence[View],
    *,
    near: float = NEAR,
    far: float = FAR,
    settle: bool = True,
    threads: int | None = None,
) -> list[tuple[Float[Tensor, "H W"], Float[Tensor, "H W"]]]:
    """Depth [H, W] in metres (0 = none) and confidence [H, W] in 0..1 of each view, from all views of the sequence.

    Views are in the order of the path, with known cameras. Never reads View.depth. settle: cameras that clearly do
    not fit the images are moved by a little first (multiview_cameras.settle_cameras); the depth is then along the
    settled camera's axis, a fraction of a degree from the given one's. The confidence is about the chance that the
    depth is within 5 %. threads: by default as many as torch uses.
    Raises ValueError when the range is not 0 < near < far.
    """
    if not 0 < near < far < math.inf:
        raise ValueError(f"multiview needs 0 < near < far metres; got near {near}, far {far}.")
    if not len(views):
        return []
    cameras = settle_cameras(views) if settle else [view.camera for view in views]
    sizes = [working_size(view.height, view.width, MOST_PIXELS) for view in views]
    greys = [small_grey(view.image, size) for view, size in zip(views, sizes, strict=True)]
    small = [camera.resized(size[1], size[0]) for camera, size in zip(cameras, sizes, strict=True)]
    keep = sum(128 * grey.size for grey in greys) <= KEPT_VOLUMES
    everyone = range(len(views))

    with ThreadPoolExecutor(threads or torch.get_num_threads()) as pool:
        first = list(pool.map(lambda i: _first(i, small, greys, near, far, keep), everyone))
        trusts = list(pool.map(lambda i: _trust(_agreement(i, first)), everyone))
        second = list(pool.map(lambda i: _second(i, small, greys, first, trusts), everyone))
        third = list(pool.map(lambda i: _slanted(i, greys, second, drawn=False), everyone))
        last = list(pool.map(lambda i: _slanted(i, greys, third, drawn=True), everyone))
        agreed = list(pool.map(lambda i: _agreement(i, last), everyone))
    found = []
    for view, measured, votes in zip(views, last, agreed, strict=True):
        if not measured.sources:
            none = torch.zeros_like(view.image[..., 0])
            found.append((none, none.clone()))
            continue
        confidence = confidence_confirmed(
            measured.depth, measured.cost, measured.margin, measured.parallax, votes, len(measured.sources)
        )
        found.append(kept(view, measured.depth, confidence, LEAST_CONFIDENCE))
    return found


def _first(
    index: int, cameras: list[Camera], greys: list[Float32[ndarray, "_ _"]], near: float, far: float, keep: bool
) -> _Measured:
    others = [i for i in range(len(cameras)) if i != index]
    camera = cameras[index]

    def choose(typical: float, most: int) -> list[int]:
        return [others[i] for i in choose_sources(camera, [cameras[i] for i in others], typical, most)]

    coarse = choose(math.sqrt(near * far), COARSE_SOURCES)
    low, high, typical = swept_range(
        camera, greys[index], [cameras[i] for i in coarse], [greys[i] for i in coarse], near, far
    )
    sources = choose(typical, MOST_SOURCES)
    nothing = np.zeros_like(greys[index])
    if not sources:
        return _Measured(camera, [], low, high, nothing, nothing, nothing, 0.0, None)
    swept = sweep_view(camera, greys[index], [cameras[i] for i in sources], [greys[i] for i in sources], low, high)
    plane, cost, margin = winner(aggregate(swept.volume, swept.grey), swept.volume)
    # Blank views and noise agree with each other on anything: what no image tells must not be voted for.
    if (margin >= CERTAIN).mean() < LEAST_TOLD or not resembling(cost):
        return _Measured(camera, [], low, high, nothing, nothing, nothing, 0.0, None)
    return _Measured(
        camera, sources, low, high, swept.depth(plane), cost, margin, swept.parallax, swept if keep else None
    )


def _agreement(index: int, measured: list[_Measured]) -> Agreement:
    one = measured[index]
    others = [measured[i] for i in one.sources]
    return agreement(one.depth, one.camera, [other.depth for other in others], [other.camera for other in others])


def _trust(agreed: Agreement) -> Float32[ndarray, "H W"]:
    return np.minimum(agreed.agreeing / TRUSTED_BY, 1).astype(np.float32)


def _second(
    index: int,
    cameras: list[Camera],
    greys: list[Float32[ndarray, "_ _"]],
    first: list[_Measured],
    trusts: list[Float32[ndarray, "_ _"]],
) -> _Measured:
    one = first[index]
    if not one.sources:
        return one
    swept = one.swept
    if swept is None:
        others = [cameras[i] for i in one.sources], [greys[i] for i in one.sources]
        swept = sweep_view(one.camera, greys[index], *others, one.near, one.far)
    voters = [*one.sources, index]
    reward = vote(
        one.camera, swept.volume.shape, swept.first, swept.step,
        [first[i].depth for i in voters], [trusts[i] for i in voters], [first[i].camera for i in voters],
    )  # fmt: skip
    plane, cost, margin = winner(aggregate(swept.volume, swept.grey, reward), swept.volume)
    return replace(one, depth=swept.depth(plane), cost=cost, margin=margin, swept=None)


def _slanted(index: int, greys: list[Float32[ndarray, "_ _"]], measured: list[_Measured], drawn: bool) -> _Measured:
    """With slanted planes, drawn to the depth of the sources or not."""
    one, grey = measured[index], greys[index]
    if not one.sources or grey.size > SLANTED_PIXELS:
        return one
    chosen = one.sources[:SLANTED_SOURCES]
    others = [measured[i] for i in chosen]
    sources = gathered(
        one.camera, (grey.shape[0], grey.shape[1]), [other.camera for other in others], [greys[i] for i in chosen]
    )
    theirs = [other.depth for other in others] if drawn else []
    depth, cost, reach = slanted_depth(one.depth, grey, sources, SLANTED_RADIUS, SHARE, theirs)
    return replace(one, depth=depth, cost=cost, parallax=reach)
