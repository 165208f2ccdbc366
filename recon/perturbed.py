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
