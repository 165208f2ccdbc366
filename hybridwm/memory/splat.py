"""The persistent scene as memory: views are lifted and fused, and rendered back from the next camera."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from recon import GaussianScene, View
from recon.agreement import FuseConfig
from recon.observing import observe
from render import Camera, rasterize

from ..core.conditioning import Recalled


@dataclass(frozen=True)
class SplatMemory:
    """A GaussianScene, rendered for each eye with its observed share."""

    eyes: int = 2
    fuse_config: FuseConfig = field(default_factory=FuseConfig)
    frames: int | None = None
    grounded: bool = True

    def begin(self, device: Any) -> GaussianScene:
        return GaussianScene.empty(device=device)

    def recall(self, state: GaussianScene, camera: Camera, baseline: float | None) -> Recalled:
        if len(state) == 0:
            return Recalled()
        gaussians = state.with_observed_share()
        cameras = [camera]
        if self.eyes == 2:
            if baseline is None:
                raise ValueError("SplatMemory.recall: expected a baseline in metres for two eyes; got None.")
            cameras.append(camera.moved_right(baseline))
        return Recalled(tuple(rasterize(gaussians, eye) for eye in cameras))

    def observe(
        self,
        state: GaussianScene,
        view: View,
        *,
        observed: bool,
        step: int,
        recalled: Recalled | None,
        earlier: Sequence[View] = (),
    ) -> GaussianScene:
        known = recalled.renders[0] if recalled is not None and recalled.renders else None
        return observe(
            state, view, earlier, step=step, observed=observed, recalled=known, config=self.fuse_config
        )

    def scene(self, state: GaussianScene) -> GaussianScene:
        return state
