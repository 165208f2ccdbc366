"""Balls and blocks on their own: roll, drop, bounce, slide, collide, and the fork, where a ball goes left or right."""

from __future__ import annotations

import math

import numpy as np

from ..physics import make_bodies
from .scenario import Kick, Scenario, Speeds
from .stage import Stage, outcome_of, set_stage

# (train, held out): m/s, but for `drop`, where it is metres of fall
SPEEDS: dict[str, dict[str, tuple[float, float]]] = {
    "roll": {"train": (0.7, 1.3), "held_out": (1.5, 2.1)},
    "drop": {"train": (0.7, 1.3), "held_out": (1.45, 1.8)},
    "bounce": {"train": (0.8, 1.3), "held_out": (1.5, 2.0)},
    "slide": {"train": (1.5, 2.2), "held_out": (2.5, 3.1)},
    "collide": {"train": (0.9, 1.5), "held_out": (1.7, 2.3)},
}
SALT = {"roll": 1, "drop": 2, "bounce": 3, "slide": 4, "collide": 5, "fork": 6}
FAST = 24  # frames a second, where 8 would miss what happens
FORK = (0.5, 0.5)


def begin(name: str, seed: int, speeds: Speeds) -> tuple[Stage, float, float, float]:
    """The stage, a speed of the range, a ball's radius, and a side (1: left to right)."""
    stage = set_stage(seed, SALT[name])
    low, high = SPEEDS[name][speeds]
    share = stage.rng.uniform()  # the same share of either range, so that all else is the same too
    radius, side = stage.rng.uniform(0.18, 0.24), float(stage.rng.choice([-1, 1]))
    return stage, low + share * (high - low), radius, side


def ball_material(stage: Stage, radius: float) -> int:
    return stage.mover(stage.checked(math.pi * radius / 2))


def finish(name: str, stage: Stage, rows: list[dict], materials: tuple[int, ...], speed: float, **more) -> Scenario:
    pitch = more.pop("pitch", -1)
    labels = {"speed": speed} | more.pop("labels", {})
    return Scenario(name, stage.seed, stage.room(), stage.start(pitch), stage.mover_materials(), make_bodies(rows),
                    materials, labels=labels, **more)  # fmt: skip


def roll(seed: int, speeds: Speeds, outcome: int | None) -> Scenario:
    """A ball rolls across, slower and slower."""
    outcome_of(seed, (1.0,), outcome)
    stage, speed, r, side = begin("roll", seed, speeds)
    ahead, angle = stage.rng.uniform(2.3, 3.1), stage.rng.uniform(-0.2, 0.2)
    velocity = stage.along(speed * math.sin(angle), -side * speed * math.cos(angle))
    row = {"position": [*stage.at(ahead, side * 1.6), r], "velocity": [*velocity, 0.0], "radius": r}
    return finish("roll", stage, [row], (ball_material(stage, r),), speed)


def drop(seed: int, speeds: Speeds, outcome: int | None) -> Scenario:
    """A ball falls from rest and bounces a little; `speed` is its height over the floor."""
    outcome_of(seed, (1.0,), outcome)
    stage, height, r, side = begin("drop", seed, speeds)
    where = stage.at(stage.rng.uniform(2.2, 3.0), side * stage.rng.uniform(0.0, 0.9))
    row = {"position": [*where, height + r], "velocity": [0.0, 0.0, 0.0], "radius": r, "restitution": 0.5}
    return finish("drop", stage, [row], (ball_material(stage, r),), height, fps=FAST, pitch=0)


def bounce(seed: int, speeds: Speeds, outcome: int | None) -> Scenario:
    """A ball is thrown across and bounces well."""
    outcome_of(seed, (1.0,), outcome)
    stage, speed, r, side = begin("bounce", seed, speeds)
    velocity = stage.along(0.0, -side * speed)
    row = {"position": [*stage.at(stage.rng.uniform(2.4, 3.0), side * 1.5), stage.rng.uniform(0.7, 1.1)],
           "velocity": [*velocity, stage.rng.uniform(0.0, 1.0)], "radius": r, "restitution": 0.78,
           "rolling": False}  # fmt: skip
    return finish("bounce", stage, [row], (ball_material(stage, r),), speed, fps=FAST, pitch=0)


def slide(seed: int, speeds: Speeds, outcome: int | None) -> Scenario:
    """A block slides over the floor until friction has stopped it."""
    outcome_of(seed, (1.0,), outcome)
    stage, speed, half, side = begin("slide", seed, speeds)
    angle = stage.rng.uniform(-0.3, 0.3)
    velocity = stage.along(speed * math.sin(angle), -side * speed * math.cos(angle))
    row = {"position": [*stage.at(stage.rng.uniform(2.2, 2.9), side * 1.2), half], "velocity": [*velocity, 0.0],
           "radius": half, "rolls": False, "friction": 0.2, "restitution": 0.2,
           "yaw": math.atan2(velocity[1], velocity[0])}  # fmt: skip
    return finish("slide", stage, [row], (stage.mover(stage.checked(half)),), speed, fps=FAST)


def collide(seed: int, speeds: Speeds, outcome: int | None) -> Scenario:
    """A ball rolls into one that lies still, not quite in its middle."""
    outcome_of(seed, (1.0,), outcome)
    stage, speed, r, side = begin("collide", seed, speeds)
    ahead, aside = stage.rng.uniform(2.3, 2.8), stage.rng.uniform(-0.7, 0.7) * r
    still = {"position": [*stage.at(ahead, 0.0), r], "velocity": [0.0, 0.0, 0.0], "radius": r, "restitution": 0.85}
    velocity = stage.along(0.0, -side * speed)
    first = still | {"position": [*stage.at(ahead + aside, side * 1.0), r], "velocity": [*velocity, 0.0]}
    return finish("collide", stage, [first, still], (ball_material(stage, r), ball_material(stage, r)), speed, fps=FAST)


def fork(seed: int, speeds: Speeds, outcome: int | None) -> Scenario:
    """A ball rolls away to a post and goes on to its left (0) or right (1), each as likely, and nothing tells which."""
    taken = outcome_of(seed, FORK, outcome)
    stage = set_stage(seed, SALT["fork"])
    speed, r = stage.rng.uniform(0.8, 1.1), stage.rng.uniform(0.19, 0.22)
    post, start = stage.rng.uniform(2.4, 2.6), stage.rng.uniform(1.2, 1.3)
    bend = stage.rng.uniform(1.2, 1.4)  # radians
    colour = stage.paint(stage.plain(np.array([0.85, 0.85, 0.85])))
    stage.plan.cylinders.append([*stage.at(post, 0.0), 0.0, 0.5, 0.07, colour])
    frame = math.floor((post - 0.07 - r - start) / speed * 8 - 0.5)  # the last before it would touch
    side = 1.0 if taken == 0 else -1.0
    after = stage.along(speed * math.cos(bend), side * speed * math.sin(bend))
    row = {"position": [*stage.at(start, 0.0), r], "velocity": [*stage.along(speed, 0.0), 0.0], "radius": r}
    kicks = (Kick(frame, 0, (*after, 0.0)),)
    return finish("fork", stage, [row], (ball_material(stage, r),), speed, kicks=kicks, odds=FORK, outcome=taken,
                  labels={"fork_frame": frame})  # fmt: skip
