"""No memory but the core's own recent frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from recon import GaussianScene, View
from render import Camera

from ..core.conditioning import Recalled


@dataclass(frozen=True)
class NothingMemory:
    """frames=1 is the arm `none`, frames=None the arm `recent` (video only)."""

    frames: int | None = None
    grounded: bool = False

    def begin(self, device: Any) -> None:
        return None

    def recall(self, state: None, camera: Camera, baseline: float | None) -> Recalled:
        return Recalled()

    def observe(
        self,
        state: None,
        view: View,
        *,
        observed: bool,
        step: int,
        recalled: Recalled | None,
        earlier: Sequence[View] = (),
    ) -> None:
        return None

    def scene(self, state: None) -> GaussianScene | None:
        return None
