"""The stage of a scenario: a room of the usual style, kept clear where things will happen, seen from one end."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ....actions.walker import TURN, Walker
from ..furniture import MARKS, Plan, add_marks, add_piece
from ..layout import Room, assemble
from ..materials import COLUMNS, FAR, Style, hsv, make_style, row, tones

BEHIND = 0.75  # metres from the walker to the wall behind it
EYE = 1.2  # metres
CLEAR = ((0.0, 0.7), (1.5, 1.5), (2.8, 1.7))  # (metres ahead, radius) of the discs without furniture
HUES = 12


@dataclass
class Stage:
    """A room under construction, with coordinates (ahead, left) in metres from the walker at its start."""

    seed: int
    rng: np.random.Generator
    style: Style
    plan: Plan
    heading: int  # quarter turns to the left from +x
    length: float  # metres along the heading
    width: float
    materials: list[np.ndarray] = field(default_factory=list)  # of the movers
    used: list[np.ndarray] = field(default_factory=list)  # colours of the movers and marks

    @property
    def far(self) -> float:
        """Metres ahead of the start to the far wall."""
        return self.length - BEHIND

    def along(self, ahead: float, left: float) -> tuple[float, float]:
        """A horizontal vector in the world."""
        c, s = ((1, 0), (0, 1), (-1, 0), (0, -1))[self.heading]
        return c * ahead - s * left, s * ahead + c * left

    def at(self, ahead: float, left: float) -> tuple[float, float]:
        """A point of the floor in the world."""
        return self.along(ahead + BEHIND - self.length / 2, left)

    def ahead_of(self, x: float, y: float) -> float:
        """How far ahead a point of the world is."""
        c, s = self.along(1.0, 0.0)
        return c * x + s * y + self.length / 2 - BEHIND

    @property
    def yaw(self) -> float:
        return self.heading * math.pi / 2

    def box(self, ahead: float, left: float, z0: float, z1: float, deep: float, wide: float, material: int) -> None:
        """A box that stands still; `deep` and `wide` are its half sizes along the heading and across it."""
        self.plan.box(*self.at(ahead, left), z0, z1, deep, wide, self.yaw, material)

    def paint(self, material: np.ndarray) -> int:
        """A material for things that stand still; its index."""
        self.plan.marks.append(material)
        return MARKS + len(self.plan.marks) - 1

    def mover(self, material: np.ndarray) -> int:
        """A material for a mover; its index among the movers'."""
        self.materials.append(material)
        return len(self.materials) - 1

    def vivid(self) -> np.ndarray:
        """A strong colour [3], far from the room's faces and from those given before."""
        columns = [COLUMNS.index(k) for k in ("b_r", "b_g", "b_b")]
        there = np.concatenate([self.style.faces[:, columns], *[c[None] for c in self.used]])
        colours = np.stack([hsv(k / HUES, 0.9, 0.92) for k in range(HUES)])
        apart = np.abs(colours[:, None] - there).sum(-1).min(1)
        best = colours[np.argsort(-apart)[self.rng.integers(3)]]
        self.used.append(best)
        return best

    def checked(self, cell: float, colour: np.ndarray | None = None) -> np.ndarray:
        """A material of two tones of a strong colour in checks `cell` metres wide, so that turning shows."""
        colour = self.vivid() if colour is None else colour
        look = dict(cell_w=cell, cell_h=cell, parity=1.0, cell_mix=0.9, grain=0.2, grain_light=0.15, grain_mix=0.05)
        return row(self.rng, colour * 0.55, colour, np.minimum(colour * 0.8 + 0.3, 1), **look)

    def plain(self, colour: np.ndarray) -> np.ndarray:
        """A material of one colour with a little grain."""
        return row(self.rng, *tones(self.rng, colour, 0.2), grain_light=0.3, grain_mix=0.3)

    def disc(self, size: float) -> np.ndarray:
        """A material for a mark `size` metres wide: a strong colour with a disc of another one."""
        a, b = self.vivid(), self.vivid()
        shape = dict(period_u=FAR, period_v=FAR, shape_radius=0.0, shape_width=0.3 * size, shape_rgb=b)
        return row(self.rng, a, a, a, grain=0.2, grain_light=0.15, grain_mix=0.0, **shape)

    def room(self) -> Room:
        return assemble(self.plan, self.style, self.seed, self.seed, self.seed)

    def mover_materials(self) -> Float[Tensor, "M P"]:
        if not self.materials:
            return torch.zeros(0, len(COLUMNS))
        return torch.as_tensor(np.stack(self.materials), dtype=torch.float32)

    def start(self, turns_up: int = 0) -> Float[Tensor, "4 4"]:
        """w2c at the start, looking along the heading, `turns_up` times 15 degrees above it."""
        here = torch.tensor([*self.at(0.0, 0.0), EYE])
        return Walker().stand(here, torch.tensor(self.yaw), torch.tensor(turns_up * TURN))


def set_stage(seed: int, salt: int, pieces: int = 3) -> Stage:
    """An empty stage 5.6…7 m long and 5…6.2 m wide, with posters, and furniture outside of the CLEAR discs."""
    rng = np.random.default_rng([seed, 0x5C, salt])
    length, width, height = rng.uniform(5.6, 7.0), rng.uniform(5.0, 6.2), rng.uniform(2.45, 2.8)
    heading = int(rng.integers(4))
    size = np.array([length, width, height] if heading % 2 == 0 else [width, length, height])
    stage = Stage(seed, rng, make_style(seed), Plan(size), heading, length, width)
    add_marks(rng, stage.plan, None, stage.style)
    stage.plan.taken += [(*stage.at(ahead, 0.0), radius) for ahead, radius in CLEAR]
    for _ in range(pieces):
        add_piece(rng, stage.plan, None)
    return stage


def outcome_of(seed: int, odds: tuple[float, ...], outcome: int | None) -> int:
    """The hidden outcome: as forced, or drawn by `odds` from a stream that nothing visible comes from."""
    if outcome is None:
        draw = np.random.default_rng([seed, 0x0D]).uniform()
        return min(int(np.searchsorted(np.cumsum(odds), draw, side="right")), len(odds) - 1)
    if not 0 <= outcome < len(odds):
        raise ValueError(f"outcome: expected 0…{len(odds) - 1} in this scenario; got {outcome}; or None, to draw it")
    return outcome
