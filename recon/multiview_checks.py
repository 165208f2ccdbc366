"""Whether views can give depth at all, and if not, why: in a word for programs and in a sentence for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool2d

from render.camera import Camera

from .multiview import MOST_SOURCES, typical_depth
from .multiview_sources import LEAST_PARALLAX, choose_sources, parallax_at
from .sweep import LEAST_VARIANCE
from .view import DepthContext, View

Reason = Literal["fine", "not finite", "alone", "no baseline", "elsewhere", "frozen", "no texture", "no match"]

LEAST_TEXTURED = 0.05  # of the image
SAME = 0.5 / 255  # mean difference of grey, below which two images are one
LEAST_MEASURED = 0.02  # of the image


@dataclass(frozen=True)
class MultiviewStatus:
    """reason: "fine" or what stands in the way; message: in a sentence, with what to do about it."""

    reason: Reason
    message: str

    @property
    def fine(self) -> bool:
        return self.reason == "fine"


def multiview_status(
    views: Sequence[View],
    context: DepthContext | None = None,
    depth: Float[Tensor, "H W"] | None = None,
    typical: float | None = None,
) -> MultiviewStatus:
    """Why multiview_depth(views, context) measures little or nothing in the newest view; depth: what it measured;
    typical: the scene's depth, by default that of a room, or of what is recalled.

    Raises ValueError when there is no view.
    """
    if not views:
        raise ValueError("multiview_status needs at least one view; got none.")
    view = views[-1]
    earlier = [*(context.views if context else ()), *views[:-1]]
    finite = view.image.isfinite().all(-1)
    if not _finite(view.camera) or not bool(finite.any()):
        return MultiviewStatus("not finite", "The newest view's camera or image is NaN or Inf: repair or drop it.")
    if not earlier:
        return MultiviewStatus("alone", "There is no other view to compare with: move the camera and add one.")
    typical = typical_depth(context) if typical is None else typical
    usable = [one for one in earlier if _finite(one.camera)]
    widest = max((parallax_at(view.camera, one.camera, typical) for one in usable), default=0.0)
    if widest < LEAST_PARALLAX:
        return MultiviewStatus(
            "no baseline",
            f"All {len(earlier)} other views are from one place ({widest:.2f} pixels of parallax at {typical:.1f} m; "
            f"{LEAST_PARALLAX} are needed): a camera that only turns measures nothing. Move it.",
        )
    chosen = choose_sources(view.camera, [one.camera for one in usable], typical, MOST_SOURCES)
    if not chosen:
        return MultiviewStatus("elsewhere", "No other view with a baseline sees what this one sees: add some that do.")
    sources = [usable[index] for index in chosen]
    textured = _textured(view.image)
    if textured < LEAST_TEXTURED:
        return MultiviewStatus(
            "no texture", f"Only {100 * textured:.1f} % of the image has texture to compare: look at something else."
        )
    if all(_same(view.image, one.image) for one in sources):
        return MultiviewStatus(
            "frozen", "The cameras moved and the images did not: frames are repeated, or belong to other poses."
        )
    if depth is not None and float((depth > 0).float().mean()) < LEAST_MEASURED:
        return MultiviewStatus(
            "no match",
            "The views do not resemble each other at any depth: they are too far apart (add some between), the scene "
            "moved, or the cameras, their order or their axes are wrong.",
        )
    return MultiviewStatus("fine", f"{len(sources)} other views with up to {widest:.1f} pixels of parallax.")


def _finite(camera: Camera) -> bool:
    return bool(camera.K.isfinite().all() and camera.w2c.isfinite().all())


def _same(a: Float[Tensor, "H W 3"], b: Float[Tensor, "h w 3"]) -> bool:
    return a.shape == b.shape and bool((a - b.to(a)).nan_to_num(0.0).abs().mean() < SAME)


def _textured(image: Float[Tensor, "H W 3"]) -> float:
    """Share of 5 x 5 windows with more contrast than noise has."""
    grey = image.nan_to_num(0.0).mean(-1)[None, None]
    variance = avg_pool2d(grey**2, 5, 1) - avg_pool2d(grey, 5, 1) ** 2 if min(image.shape[:2]) >= 5 else torch.zeros(1)
    return float((variance > 4 * LEAST_VARIANCE).float().mean())
