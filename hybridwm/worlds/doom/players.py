"""Scripted players of Doom, by seed: walk about and turn before walls, look all round, go out and come back, and a
little sticky chance.

They see only what the body sees: its depth. Chance has about a sixth of the steps (a random player's data teaches a
model to ignore actions).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from .env import NAMES

FORWARD, BACK, LEFT, RIGHT, STRAFE_LEFT, STRAFE_RIGHT, STAY = (
    NAMES.index(name) for name in ("forward", "back", "left", "right", "strafe_left", "strafe_right", "stay")
)
INVERSE = {FORWARD: BACK, BACK: FORWARD, LEFT: RIGHT, RIGHT: LEFT}
INVERSE |= {STRAFE_LEFT: STRAFE_RIGHT, STRAFE_RIGHT: STRAFE_LEFT, STAY: STAY}
ROUND = (("wander", 40), ("wander", 40), ("look_round", 24), ("out_and_back", 24), ("aside", 12), ("chance", 28))
WHOLE_TURN = 24  # turns of 15 degrees
NEAR = 1.2  # metres ahead at which a walker turns
STICKY = 0.7  # chance to repeat the last action
CHANCE = (10, 3, 4, 4, 3, 3, 1)  # weights of a fresh random action, in the order of NAMES


class Player:
    """`act` gives the next discrete action; `behaviour` is the name of what it is doing."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng([seed, 0xD0])
        self._script = self._play()
        self.behaviour = ""

    def act(self, depth: Float32[ndarray, "H W"]) -> int:
        """An index into NAMES; depth is what is seen now, metres."""
        self._depth = depth
        return next(self._script)

    def _play(self) -> Iterator[int]:
        scripts = {
            "wander": self._wander,
            "look_round": self._look_round,
            "out_and_back": self._out_and_back,
            "aside": self._aside,
            "chance": self._chance,
        }
        while True:
            for i in self._rng.permutation(len(ROUND)):
                self.behaviour, steps = ROUND[i]
                yield from scripts[self.behaviour](steps)

    def _clear(self) -> tuple[float, float, float]:
        """Metres to the nearest thing at eye height on the left, in the middle and on the right of what is seen."""
        height = len(self._depth)
        band = self._depth[height * 2 // 5 : height * 3 // 5]
        left, middle, right = (float(part.min()) for part in np.array_split(band, 3, axis=1))
        return left, middle, right

    def _wander(self, steps: int) -> Iterator[int]:
        way, turning = FORWARD, 0
        for _ in range(steps):
            left, middle, right = self._clear()
            if turning:
                turning -= 1
            elif middle < NEAR:
                way = LEFT if left > right else RIGHT
                turning = int(self._rng.integers(2, 9))
            elif self._rng.random() < 0.12:
                way = LEFT if self._rng.random() < 0.5 else RIGHT
                turning = int(self._rng.integers(0, 4))
            else:
                way = FORWARD
            yield way

    def _look_round(self, steps: int) -> Iterator[int]:
        way = LEFT if self._rng.random() < 0.5 else RIGHT
        for _ in range(min(steps, WHOLE_TURN)):
            yield way

    def _out_and_back(self, steps: int) -> Iterator[int]:
        made = []
        for way in self._wander(steps // 2):
            made.append(way)
            yield way
        for way in reversed(made):
            yield INVERSE[way]

    def _aside(self, steps: int) -> Iterator[int]:
        way = STRAFE_LEFT if self._rng.random() < 0.5 else STRAFE_RIGHT
        for step in range(steps):
            yield INVERSE[way] if step >= steps // 2 else way

    def _chance(self, steps: int) -> Iterator[int]:
        weights = np.array(CHANCE) / sum(CHANCE)
        way = int(self._rng.choice(len(NAMES), p=weights))
        for _ in range(steps):
            if self._rng.random() >= STICKY:
                way = int(self._rng.choice(len(NAMES), p=weights))
            yield way
