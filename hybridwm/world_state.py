"""What a dream is between steps, and what a step and a rollout give: values, none of which is ever rewritten."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from jaxtyping import Float
from torch import Tensor

from recon import GaussianScene, View
from render import Camera

from .core.video_core import Context

Oracle = Callable[[Camera], Tensor]
"""camera -> depth [H, W] in metres: the simulator's, for the depth source `truth`."""


@dataclass(frozen=True)
class Frame:
    """An imagined frame: images [H, W, 3] 0…1, the camera it is seen from, and the seconds each part took. depth: what
    an rgb-d core imagined, metres, 0 where it is beyond what such frames hold. vectors: what came with it, of a core
    that imagines any."""

    image: Float[Tensor, "H W 3"]
    camera: Camera
    right: Float[Tensor, "H W 3"] | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    depth: Float[Tensor, "H W"] | None = None
    vectors: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class WorldState:
    """Everything the next step depends on. Keep it to fork, go back to it to restore: nothing in it is rewritten."""

    camera: Camera
    steps: int
    context: Context
    memory: Any
    views: tuple[View, ...]
    baseline: float | None
    clearance: float | None = None
    oracle: Oracle | None = None
    scene: GaussianScene | None = None


@dataclass(frozen=True)
class Rollout:
    """frames[i] results from actions[i]; the start views are not among them. seconds: totals by part."""

    frames: Float[Tensor, "T H W 3"]
    right: Float[Tensor, "T H W 3"] | None
    cameras: tuple[Camera, ...]
    state: WorldState
    seconds: dict[str, float]
