"""Camera-retrieved memory: past frames that saw what the next camera will see, without any depth.

By overlap of fields of view, as WorldMem (Xiao et al. 2025) and Context as Memory (Yu et al. 2025) retrieve.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from recon import GaussianScene, View
from render import Camera

from ..core.conditioning import Recalled
from .coverage import alignment, frustum_points, pick, seen_from
from .past import Past, PastFrame


@dataclass(frozen=True)
class RetrievedMemory:
    """count: frames recalled. window: newest frames left out, which the core has anyway. budget: frames kept.
    depths: metres at which the next camera's view is sampled."""

    window: int = 4
    count: int = 4
    budget: int = 256
    depths: tuple[float, ...] = (1.0, 2.0, 4.0)
    frames: int | None = None
    grounded: bool = False

    def begin(self, device: Any) -> Past:
        return Past()

    def recall(self, state: Past, camera: Camera, baseline: float | None) -> Recalled:
        old = [frame for frame in state.frames if frame.step <= state.newest - self.window]
        if not old:
            return Recalled()
        points = frustum_points(camera, self.depths)
        cameras = Camera.stack([frame.camera for frame in old])
        inside, _, _ = seen_from(points, cameras)
        # of frames that cover the same points, those that look the same way
        facing = (cameras.w2c[:, 2, :3] @ camera.w2c[2, :3]).add(1).div(2)[:, None]
        chosen = pick(inside * alignment(points, camera, cameras) * facing, self.count)
        return Recalled(frames=tuple(old[i].remembered() for i in chosen))

    def observe(
        self,
        state: Past,
        view: View,
        *,
        observed: bool,
        step: int,
        recalled: Recalled | None,
        earlier: Sequence[View] = (),
    ) -> Past:
        return state.with_frame(PastFrame.of(view, step, observed), self.budget)

    def scene(self, state: Past) -> GaussianScene | None:
        return None
