"""One view into the scene: recalled, gated, fused. What a world model's loop, the benchmarks and the recipes all do."""

from __future__ import annotations

from collections.abc import Sequence

from render.rasterize import RenderOutput, rasterize

from .agreement import FuseConfig
from .dynamic_gate import without_moving
from .fuse import fuse
from .scene import GaussianScene
from .view import View

GATED_BY = 4  # of the last views, those that the gate asks; it costs as much for each as a render


def observe(
    scene: GaussianScene,
    view: View,
    earlier: Sequence[View] = (),
    *,
    step: int,
    observed: bool = True,
    recalled: RenderOutput | None = None,
    config: FuseConfig | None = None,
) -> GaussianScene:
    """The scene after this view, which needs depth; what moves in it is neither added nor carves.

    earlier: the measured views before it, of which the dynamic gate asks the last; recalled: the scene rendered at the
    view's camera with the observed share as its first feature, rendered here when absent. Raises ValueError as fuse
    does.
    """
    if recalled is None and len(scene):
        recalled = rasterize(scene.with_observed_share(), view.camera)
    static = without_moving(view, recalled, earlier[-GATED_BY:], config)
    return fuse(scene, static, observed=observed, step=step, recalled=recalled, config=config)
