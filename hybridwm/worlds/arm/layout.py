"""A tabletop as numbers: `make_table(seed)` draws objects, where they lie, marks on the table, and colours."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import Literal

import numpy as np

Kind = Literal["box", "cylinder", "ball"]
KINDS: tuple[Kind, ...] = ("box", "cylinder", "ball")
# names that instructions use, and their colours 0…1
COLOURS = {
    "red": (0.82, 0.12, 0.10), "green": (0.12, 0.62, 0.18), "blue": (0.12, 0.28, 0.85), "yellow": (0.95, 0.80, 0.10),
    "orange": (0.95, 0.48, 0.06), "purple": (0.55, 0.18, 0.70), "cyan": (0.10, 0.72, 0.78), "pink": (0.95, 0.50, 0.66),
    "white": (0.92, 0.92, 0.90), "black": (0.10, 0.10, 0.11),
}  # fmt: skip
PLACES = np.array([(0.34, 0.60), (-0.24, 0.24)])  # where objects begin, metres
APART = 0.115  # metres between the centres of two objects, so that a hand fits between them


@dataclass(frozen=True)
class Thing:
    """One object on the table. size: half widths of a box; radius, radius, half height of a cylinder; radius × 3."""

    kind: Kind
    colour: str
    rgb: tuple[float, float, float]
    size: tuple[float, float, float]  # metres
    place: tuple[float, float]  # metres, of its centre
    yaw: float  # radians

    @property
    def name(self) -> str:
        """As instructions call it: no two objects of a table share a colour."""
        return f"{self.colour} {self.kind}"

    @property
    def half_height(self) -> float:
        return self.size[2]


@dataclass(frozen=True)
class Mark:
    """A patch painted on the table: a disc, a ring or a square."""

    shape: Literal["disc", "ring", "square"]
    place: tuple[float, float]  # metres
    radius: float  # metres
    yaw: float
    rgb: tuple[float, float, float]


@dataclass(frozen=True)
class Table:
    """What one seed lays on the table, and how it all looks."""

    seed: int
    style_seed: int
    layout_seed: int
    things: tuple[Thing, ...]
    marks: tuple[Mark, ...]


def make_table(seed: int, *, style_seed: int | None = None, layout_seed: int | None = None) -> Table:
    """Draw a tabletop. The same seeds give the same one, bit for bit.

    `style_seed` decides colours, textures and lights; `layout_seed` decides number, kinds, sizes and places of the
    objects and of the marks on the table; each is `seed` unless given. Raises ValueError for a seed that is negative.
    """
    seed = operator.index(seed)
    style_seed = seed if style_seed is None else operator.index(style_seed)
    layout_seed = seed if layout_seed is None else operator.index(layout_seed)
    if min(seed, style_seed, layout_seed) < 0:
        raise ValueError(
            f"expected table seeds >= 0; got seed {seed}, style_seed {style_seed}, layout_seed {layout_seed}; "
            "use whole numbers from 0 up"
        )
    rng, style = np.random.default_rng([layout_seed, 0xA1]), np.random.default_rng([style_seed, 0xA2])
    names = style.permutation(list(COLOURS))
    tints = style.uniform(0.88, 1.06, (len(names), 3))
    places = _spread(rng, int(rng.integers(3, 7)))
    things = []
    for place, name, tint in zip(places, names, tints, strict=False):
        kind = KINDS[rng.integers(3)]
        rgb = np.clip(np.array(COLOURS[str(name)]) * tint, 0, 1)
        things.append(
            Thing(
                kind,
                str(name),
                _numbers(rgb),
                _size(rng, kind),
                _numbers(place),
                float(rng.uniform(-math.pi / 4, math.pi / 4)),
            )
        )
    marks = [
        Mark(
            ("disc", "ring", "square")[rng.integers(3)],
            _numbers(rng.uniform((0.12, -0.5), (0.9, 0.5))),
            float(rng.uniform(0.03, 0.09)),
            float(rng.uniform(0, math.pi / 2)),
            _numbers(style.uniform(0.1, 0.95, 3)),
        )
        for _ in range(int(rng.integers(4, 9)))
    ]
    return Table(seed, style_seed, layout_seed, tuple(things), tuple(marks))


def _numbers(values) -> tuple:
    return tuple(float(value) for value in values)


def _spread(rng: np.random.Generator, count: int) -> list[np.ndarray]:
    """Up to `count` places that keep apart."""
    places: list[np.ndarray] = []
    for _ in range(400):
        place = rng.uniform(PLACES[:, 0], PLACES[:, 1])
        if all(np.hypot(*(place - other)) > APART for other in places):
            places.append(place)
        if len(places) == count:
            break
    return places


def _size(rng: np.random.Generator, kind: Kind) -> tuple[float, float, float]:
    """Narrow enough for the fingers across the object's own y."""
    if kind == "box":
        return _numbers((rng.uniform(0.024, 0.045), rng.uniform(0.020, 0.031), rng.uniform(0.022, 0.040)))
    if kind == "cylinder":
        radius = rng.uniform(0.021, 0.030)
        return _numbers((radius, radius, rng.uniform(0.026, 0.045)))
    return _numbers([rng.uniform(0.023, 0.031)] * 3)
