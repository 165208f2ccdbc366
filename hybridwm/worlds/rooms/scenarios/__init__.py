"""Scenarios: short plays in a room, each a function of a seed, for physics, permanence, unknowns and touch."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import get_args

from . import dynamics, hidden
from .scenario import Kick, Scenario, Speeds

SCENARIOS: dict[str, Callable[[int, Speeds, int | None], Scenario]] = {
    "roll": dynamics.roll,
    "drop": dynamics.drop,
    "bounce": dynamics.bounce,
    "slide": dynamics.slide,
    "collide": dynamics.collide,
    "fork": dynamics.fork,
    "occlusion": hidden.occlusion,
    "mark": hidden.mark,
    "doors": hidden.doors,
    "walker": hidden.walker,
    "push": hidden.push,
}
WITH_HELD_OUT = tuple(dynamics.SPEEDS)


def make_scenario(name: str, seed: int, *, speeds: Speeds = "train", outcome: int | None = None) -> Scenario:
    """A scenario of the seed. `speeds="held_out"` draws faster than any training scenario does (WITH_HELD_OUT).

    `outcome` forces what the beginning does not tell, with all else the same. Raises ValueError for unknown names, for
    held-out speeds where a scenario has none, and for outcomes that it does not have.
    """
    if name not in SCENARIOS:
        raise ValueError(f"scenario: expected one of {', '.join(SCENARIOS)}; got {name!r}; correct the name")
    if speeds not in get_args(Speeds) or (speeds == "held_out" and name not in WITH_HELD_OUT):
        raise ValueError(
            f"speeds: expected 'train', or 'held_out' for {', '.join(WITH_HELD_OUT)}; got {speeds!r} for {name!r}; "
            "choose one of them"
        )
    if (seed := operator.index(seed)) < 0:
        raise ValueError(f"expected a seed >= 0; got {seed}; use whole numbers from 0 up")
    return SCENARIOS[name](seed, speeds, outcome)


__all__ = ["SCENARIOS", "WITH_HELD_OUT", "Kick", "Scenario", "Speeds", "make_scenario"]
