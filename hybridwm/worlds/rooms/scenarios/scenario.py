"""What a scenario is: a room, what moves in it, where one stands, and what there is to judge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from jaxtyping import Float
from torch import Tensor

from ....actions.walker import ACTIONS
from ..layout import Room
from ..movers import Shapes
from ..physics import Bodies

Speeds = Literal["train", "held_out"]
STAY = list(ACTIONS).index("stay")


@dataclass(frozen=True)
class Kick:
    """A body's velocity (m/s) becomes another one when a frame begins."""

    frame: int
    body: int
    velocity: tuple[float, float, float]


@dataclass(frozen=True)
class Scenario:
    """A function of its name, seed, speeds and outcome. Frame 0 is the beginning; `fps` frames are a second.

    `outcome` is what the pixels of the beginning do not tell: drawn by `odds`, or forced, with all else the same.
    """

    name: str
    seed: int
    room: Room
    start: Float[Tensor, "4 4"]  # w2c of the walker's left eye
    materials: Float[Tensor, "M P"]  # of the movers; mover k is id k + 1
    bodies: Bodies | None = None  # one room's (E = 1), at frame 0
    body_materials: tuple[int, ...] = ()
    script: Callable[[int], Shapes] = field(default=lambda frame: Shapes())  # what moves by plan: frame → shapes
    kicks: tuple[Kick, ...] = ()
    plan: tuple[int, ...] = ()  # the walker's actions (index into ACTIONS); after the last it stays
    fps: int = 8
    odds: tuple[float, ...] = (1.0,)
    outcome: int = 0
    labels: dict[str, Any] = field(default_factory=dict)

    def action(self, frame: int) -> int:
        """The planned action that leads from `frame` to the next."""
        return self.plan[frame] if frame < len(self.plan) else STAY
