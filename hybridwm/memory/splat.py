"""The persistent scene as memory: views are lifted and fused, and rendered back from the next camera."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from recon import GaussianScene, View
from recon.agreement import FuseConfig
from recon.observing import observe
from recon.paging import PagedScene, with_room
from render import Camera, rasterize

from ..core.conditioning import Recalled

SceneState = GaussianScene | PagedScene


@dataclass(frozen=True)
class SplatMemory:
    """A GaussianScene, rendered for each eye with its observed share.

    evict_to: a folder for what does not fit into fuse_config's budget and is out of view; the state is then a
    PagedScene, and `scene` what of it is in memory. Without a folder, what does not fit is refused.
    """

    eyes: int = 2
    fuse_config: FuseConfig = field(default_factory=FuseConfig)
    frames: int | None = None
    grounded: bool = True
    evict_to: Path | None = None

    def begin(self, device: Any) -> SceneState:
        scene = GaussianScene.empty(device=device)
        return scene if self.evict_to is None else PagedScene(scene)

    def recall(self, state: SceneState, camera: Camera, baseline: float | None) -> Recalled:
        scene = self.scene(self._at(state, camera))
        if len(scene) == 0:
            return Recalled()
        gaussians = scene.with_observed_share()
        cameras = [camera]
        if self.eyes == 2:
            if baseline is None:
                raise ValueError("SplatMemory.recall: expected a baseline in metres for two eyes; got None.")
            cameras.append(camera.moved_right(baseline))
        return Recalled(tuple(rasterize(gaussians, eye) for eye in cameras))

    def observe(
        self,
        state: SceneState,
        view: View,
        *,
        observed: bool,
        step: int,
        recalled: Recalled | None,
        earlier: Sequence[View] = (),
    ) -> SceneState:
        known = recalled.renders[0] if recalled is not None and recalled.renders else None
        near = self._at(state, view.camera)
        scene = observe(
            self.scene(near),
            view,
            earlier,
            step=step,
            observed=observed,
            recalled=known,
            config=self.fuse_config,
        )
        return replace(near, scene=scene) if isinstance(near, PagedScene) else scene

    def scene(self, state: SceneState) -> GaussianScene:
        return state.scene if isinstance(state, PagedScene) else state

    def _at(self, state: SceneState, camera: Camera) -> SceneState:
        """The state with what the camera sees in memory, and room for a view of it."""
        if self.evict_to is None or not isinstance(state, PagedScene):
            return state
        return with_room(state, camera, self.evict_to, self.fuse_config)
