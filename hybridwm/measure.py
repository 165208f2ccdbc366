"""What a depth source does in the loop: depth of a view, the free distance ahead, and motion that no body tells."""

from __future__ import annotations

from dataclasses import replace

from jaxtyping import Float
from torch import Tensor

from recon import DepthContext, View, depth_source
from recon.depth_sources import reads_depth, reads_earlier_truth, reads_truth
from recon.odometry import track_step

from .core.conditioning import Recalled
from .world_state import Oracle

KEPT_VIEWS = 4
"""Measured views that a state keeps, for depth sources that match over time and for the test of what moves."""


class Measure:
    """A depth source by name, as an arm of the loop uses it."""

    def __init__(self, depth: str) -> None:
        self.depth = depth
        self._source = depth_source(depth)

    def __call__(
        self, view: View, earlier: tuple[View, ...], oracle: Oracle | None, recalled: Recalled | None = None
    ) -> tuple[View, tuple[View, ...]]:
        """The view with depth and confidence from this arm's own source, and the views to keep."""
        if not reads_depth(self.depth):
            view = replace(view, depth=None, confidence=None)
        elif reads_truth(self.depth) and oracle is not None:
            view = replace(view, depth=oracle(view.camera))
        known = recalled.renders[0].depth if recalled is not None and recalled.renders else None
        views = (*earlier, view)[-KEPT_VIEWS:]
        seen = views
        if oracle is not None and reads_earlier_truth(self.depth):
            seen = (*(replace(old, depth=oracle(old.camera), confidence=None) for old in views[:-1]), view)
        depth, confidence = self._source(seen, DepthContext(seen[:-1], known))
        measured = replace(view, depth=depth, confidence=confidence)
        return measured, (*views[:-1], measured)

    def motion(self, view: View, earlier: tuple[View, ...]) -> Float[Tensor, "4 4"] | None:
        """w2c of a view whose camera is not known, told from its image and depth and those of the newest earlier one;
        None where it cannot be tracked (too little texture, or nothing in common)."""
        if not earlier:
            return None
        measured, _ = self(view, earlier, None)
        step = track_step(earlier[-1], measured)
        return step.b_from_a.to(view.camera.w2c) @ earlier[-1].camera.w2c if step.tracked else None


def ahead(view: View) -> float | None:
    """Free distance straight ahead: a low percentile of the trusted depth in the middle of the image, metres."""
    if view.depth is None:
        return None
    h, w = view.depth.shape
    middle = view.depth[h // 3 : 2 * h // 3, w // 3 : 2 * w // 3]
    trusted = middle[middle > 0]
    # too few measurements to stop for
    return float(trusted.quantile(0.1)) if trusted.numel() > middle.numel() // 10 else None
