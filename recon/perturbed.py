"""True depth made worse on purpose, for studies of how good depth must be; and depth that knows nothing.

All but `constant` read View.depth, as `truth` does, and answer the same for the same view.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from .truth import truth_depth
from .view import DepthContext, View

BLOCKS = 8  # along each side of an image with holes
MOST_LATE = 3  # views: as many as a rollout keeps


def noisy(sigma: float):
    """A source whose depth is off by a relative error of standard deviation `sigma` at each pixel, independently.

    Its confidence is 1 / (1 + sigma) where truth's is 1: it knows how good it is.
    """
    _check("noisy", "a relative error above 0, below 1", sigma, 0 < sigma < 1)

    def noisy_depth(views: Sequence[View], context: DepthContext | None = None) -> tuple[Tensor, Tensor]:
        depth, confidence = truth_depth(views, context)
        generator = torch.Generator().manual_seed(_seed(views[-1]))
        error = torch.randn(depth.shape, generator=generator).to(depth)
        # An error of more than the depth itself would put the surface behind the camera.
        return depth * (1 + sigma * error).clamp(min=0.05), confidence / (1 + sigma)

    return noisy_depth


def scaled(factor: float):
    """A source whose depth is `factor` times the true one everywhere: right in shape, wrong in metres."""
    _check("scaled", "a factor above 0", factor, 0 < factor < math.inf)

    def scaled_depth(views: Sequence[View], context: DepthContext | None = None) -> tuple[Tensor, Tensor]:
        depth, confidence = truth_depth(views, context)
        return depth * factor, confidence

    return scaled_depth


def constant(distance: float):
    """A source that takes every view for a wall `distance` metres ahead: a memory of pictures without geometry."""
    _check("constant", "metres above 0", distance, 0 < distance < math.inf)

    def constant_depth(views: Sequence[View], context: DepthContext | None = None) -> tuple[Tensor, Tensor]:
        if not views:
            raise ValueError("depth source 'constant' needs at least one view; got none.")
        like = views[-1].image[..., 0]
        return torch.full_like(like, distance), torch.ones_like(like)

    return constant_depth


def holes(share: float):
    """A source that knows nothing in `share` of the image, in blocks of an eighth of its height and width: as where
    stereo finds no texture, or an RGB-D camera no echo. Their depth and confidence are 0."""
    _check("holes", "a share of the image above 0, below 1", share, 0 < share < 1)

    def depth_with_holes(views: Sequence[View], context: DepthContext | None = None) -> tuple[Tensor, Tensor]:
        depth, confidence = truth_depth(views, context)
        generator = torch.Generator().manual_seed(_seed(views[-1]))
        blind = torch.randperm(BLOCKS**2, generator=generator)[: round(share * BLOCKS**2)]
        known = torch.ones(BLOCKS**2).index_fill(0, blind, 0.0).reshape(1, 1, BLOCKS, BLOCKS)
        kept = torch.nn.functional.interpolate(known, depth.shape, mode="nearest-exact")[0, 0].to(depth)
        return depth * kept, confidence * kept

    return depth_with_holes


def late(frames: float):
    """A source that is `frames` views behind: the depth of that earlier view, in this one's pixels, the oldest one's
    where there are not so many. Its confidence is that of the earlier one: it does not know that it is late."""
    _check("late", f"a whole number of views from 1 to {MOST_LATE}", frames, frames in range(1, MOST_LATE + 1))

    def late_depth(views: Sequence[View], context: DepthContext | None = None) -> tuple[Tensor, Tensor]:
        truth_depth(views, context)  # asks for what it needs of the newest one, too
        # in a rollout context.views are those of `views` before the newest
        known = list(views) if len(views) > 1 or context is None else [*context.views, *views]
        return truth_depth(known[: max(1, len(known) - int(frames))], context)

    return late_depth


def shuffled_depth(views: Sequence[View], context: DepthContext | None = None) -> tuple[Tensor, Tensor]:
    """The depth that View carries, which whoever runs the study took from another scene: the placebo, as consistent
    from view to view as truth and of the same kind, but of the wrong place."""
    return truth_depth(views, context)


def _seed(view: View) -> int:
    """A number that is the same for the same camera and image, whatever came before."""
    digest = hashlib.sha256()
    for tensor in (view.camera.w2c, view.camera.K, view.image):
        digest.update(tensor.detach().to("cpu", torch.float32).contiguous().numpy().tobytes())
    return int.from_bytes(digest.digest()[:7], "little")


def _check(name: str, expected: str, got: float, right: bool) -> None:
    if not right:
        raise ValueError(f"depth source '{name}' needs {expected}; got {got}.")
