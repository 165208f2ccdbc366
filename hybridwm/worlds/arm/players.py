"""Scripted players of the arm, by seed: push something, pick something up and put it elsewhere, wander by chance.

They know the simulation's state, as a teacher may. A script is a generator of actions: it looks at the simulation
again after each one. Chance has at most about a quarter of the steps (evidence: data of a random player teaches a
model to ignore actions).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Float32
from numpy import ndarray

from .layout import PLACES
from .rig import REACH
from .simulation import ArmSimulation

Actions = Iterator[Float32[ndarray, "5"]]

OPEN, SHUT = 1.0, -1.0
TRAVEL = 0.15  # metres: tip height over all that stands on the table
STICKY = 0.75  # chance of the wanderer to repeat its last action
LOWEST = 0.11  # metres: the wanderer touches nothing
FASTEST = 0.04  # metres in a decision, as env.LARGEST
TURN = 0.25  # radians in a decision
CHANCE = {"pick": 0.42, "push": 0.33, "wander": 0.25}


class Player:
    """An endless sequence of tasks, drawn by the seed. `tasks` are those begun so far, in words; `behaviour` is the
    current one's name: pick, push or wander; `thing` is the index of its object. `only` holds it to one kind."""

    def __init__(self, seed: int, only: str | None = None) -> None:
        known = list(CHANCE)
        if only is not None and only not in known:
            raise ValueError(f"only: expected one of {', '.join(known)}; got {only!r}; choose one, or None for all")
        self._rng = np.random.default_rng([seed, 0xE1])
        self._only = only
        self._script: Actions = iter(())
        self.tasks: list[str] = []
        self.behaviour = ""
        self.thing: int | None = None

    def act(self, simulation: ArmSimulation) -> Float32[ndarray, "5"]:
        """The next action for `ArmEnv(actions="ee")`."""
        while True:
            for action in self._script:
                return action
            self._begin(simulation)

    def _begin(self, simulation: ArmSimulation) -> None:
        name = self._only or str(self._rng.choice(list(CHANCE), p=list(CHANCE.values())))
        able = [i for i in range(len(simulation.table.things)) if _within(simulation.thing(i)[0])]
        if name == "pick":
            able = [i for i in able if _upright(simulation, i)]
        self.thing = int(self._rng.choice(able)) if able and name != "wander" else None
        if self.thing is None:
            self.behaviour, task = "wander", "look around"
            self._script = wander(simulation, self._rng)
        else:
            self.behaviour = name
            script, words = (pick, "pick up") if name == "pick" else (push, "push")
            task = f"{words} the {simulation.table.things[self.thing].name}"
            self._script = script(simulation, self.thing, self._rng)
        if not self.tasks or self.tasks[-1] != task:
            self.tasks.append(task)


def pick(simulation: ArmSimulation, index: int, rng: np.random.Generator) -> Actions:
    """Grasp it from above, lift it, carry it to a free place, put it down."""
    thing = simulation.table.things[index]
    place, yaw = simulation.thing(index)
    yaw = _half_turn(yaw) if thing.kind == "box" else float(simulation.tip[3])
    low = max(REACH[2, 0], min(place[2], 0.04))
    yield from rise(simulation, OPEN)
    yield from go(simulation, np.array([*place[:2], TRAVEL]), OPEN, yaw=yaw, speed=_speed(rng))
    place = simulation.thing(index)[0]
    yield from go(simulation, np.array([*place[:2], low]), OPEN, yaw=yaw, speed=0.03)
    yield from stay(SHUT, 4)
    height = rng.uniform(0.15, 0.24)
    yield from go(simulation, np.array([*place[:2], height]), SHUT, speed=0.03)
    goal = _free_place(simulation, rng, index)
    yield from go(simulation, np.array([*goal, height]), SHUT, speed=_speed(rng))
    yield from go(simulation, np.array([*goal, low + 0.004]), SHUT, speed=0.03)
    yield from stay(OPEN, 3)
    yield from rise(simulation, OPEN)


def push(simulation: ArmSimulation, index: int, rng: np.random.Generator) -> Actions:
    """Shut the hand, lower it beside the thing and shove it 7 to 16 cm over the table."""
    thing = simulation.table.things[index]
    place = simulation.thing(index)[0]
    radius = math.hypot(*thing.size[:2]) if thing.kind == "box" else thing.size[0]
    length = rng.uniform(0.07, 0.16)
    away = radius + 0.03
    others = [simulation.thing(i)[0][:2] for i in range(len(simulation.table.things)) if i != index]
    best, way = -np.inf, np.zeros(2)
    for angle in rng.uniform(-math.pi, math.pi, 12):  # the way whose start is free and whose end is on the table
        ahead = np.array([math.cos(angle), math.sin(angle)])
        start, end = place[:2] - away * ahead, place[:2] + length * ahead
        room = min((float(np.hypot(*(start - other))) for other in others), default=1.0)
        worth = min(room, 0.08) - 10 * (_outside(start, REACH[:2]) + _outside(end, PLACES))
        if worth > best:
            best, way = worth, ahead
    start, end = place[:2] - away * way, place[:2] + (length - radius) * way
    low = max(REACH[2, 0], min(place[2], 0.03))
    yield from rise(simulation, SHUT)
    yield from go(simulation, np.array([*start, TRAVEL]), SHUT, speed=_speed(rng))
    yield from go(simulation, np.array([*start, low]), SHUT, speed=0.03)
    yield from go(simulation, np.array([*end, low]), SHUT, speed=rng.uniform(0.012, 0.03))
    yield from rise(simulation, SHUT)


def wander(simulation: ArmSimulation, rng: np.random.Generator) -> Actions:
    """Sticky chance above the table for 12 to 28 decisions."""
    grip = float(rng.choice([OPEN, SHUT]))
    yield from rise(simulation, grip)
    delta = np.zeros(4)
    for _ in range(int(rng.integers(12, 29))):
        if rng.random() > STICKY:
            delta = rng.uniform(-1, 1, 4) * (FASTEST, FASTEST, 0.025, 0.15)
        if simulation.tip[2] + delta[2] < LOWEST:
            delta[2] = abs(delta[2])
        for axis in range(3):  # turn back at the border
            if not REACH[axis, 0] < simulation.tip[axis] + delta[axis] < REACH[axis, 1]:
                delta[axis] = -delta[axis]
        yield _action(delta[:3], delta[3], grip)


def go(
    simulation: ArmSimulation,
    place: Float[ndarray, "3"],
    grip: float,
    *,
    yaw: float | None = None,
    speed: float = FASTEST,
    patience: int = 60,
) -> Actions:
    """Straight to a place within reach, until the command has arrived there or patience (decisions) ends."""
    place = np.clip(place, *REACH.T)
    yaw = float(simulation.tip[3]) if yaw is None else yaw
    for _ in range(patience):
        way, turn = place - simulation.tip[:3], yaw - simulation.tip[3]
        distance = float(np.linalg.norm(way))
        if distance < 2e-3 and abs(turn) < 0.02:
            return
        yield _action(way * min(1.0, speed / max(distance, 1e-9)), float(np.clip(turn, -TURN, TURN)), grip)


def rise(simulation: ArmSimulation, grip: float) -> Actions:
    """Straight up to where nothing stands in the way."""
    x, y, z, _ = simulation.tip
    yield from go(simulation, np.array([x, y, max(z, TRAVEL)]), grip)


def stay(grip: float, decisions: int) -> Actions:
    """Move the fingers only."""
    for _ in range(decisions):
        yield _action(np.zeros(3), 0.0, grip)


def _action(way: ndarray, turn: float, grip: float) -> Float32[ndarray, "5"]:
    return np.array([*np.clip(way, -FASTEST, FASTEST), turn, grip], np.float32)


def _speed(rng: np.random.Generator) -> float:
    return float(rng.uniform(0.02, FASTEST))


def _half_turn(yaw: float) -> float:
    """The same grasp within a quarter turn of straight ahead."""
    return (yaw + math.pi / 2) % math.pi - math.pi / 2


def _outside(place: ndarray, bounds: ndarray) -> float:
    """Metres by which a place lies outside of bounds [2, 2]."""
    return float(np.maximum(bounds[:, 0] - place, place - bounds[:, 1]).clip(min=0).sum())


def _within(place: ndarray) -> bool:
    return bool(place[2] > 0) and _outside(place[:2], REACH[:2]) == 0


def _upright(simulation: ArmSimulation, index: int) -> bool:
    thing = simulation.table.things[index]
    height = simulation.thing(index)[0][2]
    return thing.kind == "ball" or bool(abs(height - thing.half_height) < 0.004)


def _free_place(simulation: ArmSimulation, rng: np.random.Generator, index: int) -> Float[ndarray, "2"]:
    """Of some places, the first that is well away from all other things; else the one farthest from them."""
    others = [simulation.thing(i)[0][:2] for i in range(len(simulation.table.things)) if i != index]
    places = rng.uniform(PLACES[:, 0], PLACES[:, 1], (40, 2))
    room = np.array([min((float(np.hypot(*(p - o))) for o in others), default=1.0) for p in places])
    free = np.flatnonzero(room > 0.12)
    return places[free[0] if len(free) else room.argmax()]
