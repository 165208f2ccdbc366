"""What is out of sight for a while: behind an occluder, behind one's back, behind a closed door; and passers-by."""

from __future__ import annotations

import math

import numpy as np

from ....actions.walker import ACTIONS, STEP, TURN
from ..materials import hsv
from ..movers import Shapes
from ..physics import make_bodies
from .scenario import STAY, Scenario, Speeds
from .stage import BEHIND, Stage, outcome_of, set_stage

SALT = {"occlusion": 11, "mark": 12, "doors": 13, "walker": 14, "push": 15}
EVEN = (0.5, 0.5)
DOORS = (0.3, 0.7)
NAMES = list(ACTIONS)
OPENING = 6  # frames that a door takes to open
WARNING = 2  # frames from the lamp to the door
THICK = 0.06  # metres, half of the wall with the door
PAINT = 0.004  # metres, half thickness of a mark on the floor


def occlusion(seed: int, speeds: Speeds, outcome: int | None) -> Scenario:
    """A ball (1) or nothing (0) rolls behind a screen and comes out at the other side."""
    present = outcome_of(seed, EVEN, outcome)
    stage = set_stage(seed, SALT["occlusion"])
    r, side = stage.rng.uniform(0.18, 0.21), float(stage.rng.choice([-1, 1]))
    wide, speed = stage.rng.uniform(0.45, 0.6), stage.rng.uniform(0.95, 1.2)
    screen, path = stage.rng.uniform(2.1, 2.3), stage.rng.uniform(2.85, 3.1)
    stage.box(screen, 0.0, 0.0, 0.8, 0.05, wide, stage.paint(stage.plain(hsv(stage.rng.uniform(), 0.12, 0.75))))
    material = stage.mover(stage.checked(math.pi * r / 2))
    row = {"position": [*stage.at(path, side * 1.75), r], "velocity": [*stage.along(0.0, -side * speed), 0.0],
           "radius": r if present else 0.0}  # fmt: skip
    labels = {"present": bool(present), "speed": speed}
    return Scenario("occlusion", seed, stage.room(), stage.start(-1), stage.mover_materials(), make_bodies([row]),
                    (material,), odds=EVEN, outcome=present, labels=labels)  # fmt: skip


def mark(seed: int, speeds: Speeds, outcome: int | None) -> Scenario:
    """A mark on the floor or the far wall (1) or none (0); the walker sees it, looks away and looks back."""
    present = outcome_of(seed, EVEN, outcome)
    stage = set_stage(seed, SALT["mark"])
    on_floor, size = bool(stage.rng.uniform() < 0.6), stage.rng.uniform(0.4, 0.5)
    ahead, left = stage.rng.uniform(1.7, 2.2), stage.rng.uniform(-0.6, 0.6)
    material = stage.paint(stage.disc(2 * size))
    if on_floor:
        where = [*stage.at(ahead, left), 0.0]
        if present:
            stage.box(ahead, left, 0.0, 2 * PAINT, size, size, material)
    else:
        where = [*stage.at(stage.far, left), 1.3]
        if present:  # before the posters
            stage.box(stage.far - 0.025, left, 1.3 - size, 1.3 + size, 0.02, size, material)
    turns, wait, seen = (int(stage.rng.integers(a, b)) for a, b in ((6, 9), (2, 7), (3, 6)))
    away, back = (NAMES.index(n) for n in stage.rng.permutation(["left", "right"]))
    plan = (STAY,) * seen + (away,) * turns + (STAY,) * wait + (back,) * turns
    labels = {"present": bool(present), "position": where, "size": 2 * size, "on_floor": on_floor,
              "seen_until": seen, "back_from": len(plan)}  # fmt: skip
    return Scenario("mark", seed, stage.room(), stage.start(-1 if on_floor else 0), stage.mover_materials(), plan=plan,
                    odds=EVEN, outcome=present, labels=labels)  # fmt: skip


def doors(seed: int, speeds: Speeds, outcome: int | None) -> Scenario:
    """A closed door hides a red room with a ball (0, odds .3) or a blue one with a cube (1, .7); it opens."""
    hidden = outcome_of(seed, DOORS, outcome)
    stage = set_stage(seed, SALT["doors"], pieces=0)
    rng, plan = stage.rng, stage.plan
    wall, half, top, door = rng.uniform(2.3, 2.6), rng.uniform(0.42, 0.5), 2.0, rng.uniform(-0.3, 0.3)
    plan.boxes[:] = [b for b in plan.boxes if abs(stage.ahead_of(b[0], b[1]) - wall) > 0.75]  # no poster across it
    height, edge = plan.size[2], stage.width / 2
    for side in (-1, 1):
        wide = (edge - side * door - half) / 2
        stage.box(wall, side * (edge - wide), 0.0, height, THICK, wide, 6)
        stage.box(wall, door + side * (half + 0.03), 0.0, top + 0.06, THICK + 0.02, 0.03, 7)
    stage.box(wall, door, top, height, THICK, half, 6)
    panel = stage.mover(stage.plain(hsv(rng.uniform(0.05, 0.11), 0.6, rng.uniform(0.45, 0.7))))
    dark, bright = (stage.mover(stage.plain(np.array(c))) for c in ([0.15, 0.15, 0.15], [0.2, 1.0, 0.3]))
    furnish_hidden(stage, hidden, wall, door)
    opens, hinge = int(rng.integers(6, 11)), float(rng.choice([-1, 1]))
    lamp = (*stage.at(wall - THICK, door), top + 0.18, 0.09)

    def script(frame: int) -> Shapes:
        share = min(max((frame - opens) / OPENING, 0.0), 1.0)
        shapes = Shapes(balls=[(*lamp, bright if frame >= opens - WARNING else dark)])
        swing = -hinge * math.pi / 2 + hinge * share * math.radians(105)  # from across to ahead, into the hidden room
        shapes.door(*stage.at(wall, door + hinge * half), stage.yaw + swing, 2 * half, top, panel)
        return shapes

    labels = {"hidden": hidden, "opens": opens, "open": opens + OPENING, "door": [*stage.at(wall, door), top / 2]}
    return Scenario("doors", seed, stage.room(), stage.start(0), stage.mover_materials(), script=script, odds=DOORS,
                    outcome=hidden, labels=labels)  # fmt: skip


def furnish_hidden(stage: Stage, hidden: int, wall: float, door: float) -> None:
    """Walls and floor of one colour beyond the door, and a thing that the other room does not have."""
    colour = hsv(0.0, 0.75, 0.85) if hidden == 0 else hsv(0.58, 0.75, 0.85)
    face, thing = stage.paint(stage.plain(colour)), stage.paint(stage.checked(0.25, np.array([0.95, 0.85, 0.2])))
    deep, edge, height = (stage.far - wall) / 2, stage.width / 2, stage.plan.size[2]
    middle = stage.far - deep
    stage.box(stage.far - 0.04, 0.0, 0.0, height, 0.04, edge, face)
    for side in (-1, 1):
        stage.box(middle, side * (edge - 0.04), 0.0, height, deep - THICK, 0.04, face)
    stage.box(middle, 0.0, 0.0, 2 * PAINT, deep - THICK, edge, face)
    if hidden == 0:
        stage.plan.balls.append([*stage.at(stage.far - 0.8, door), 0.35, 0.35, thing])
    else:
        stage.box(stage.far - 0.8, door, 0.0, 0.9, 0.3, 0.3, thing)


def walker(seed: int, speeds: Speeds, outcome: int | None) -> Scenario:
    """Another walker crosses at a steady pace."""
    outcome_of(seed, (1.0,), outcome)
    stage = set_stage(seed, SALT["walker"])
    side, speed = float(stage.rng.choice([-1, 1])), stage.rng.uniform(0.8, 1.4)
    ahead, slant = stage.rng.uniform(2.2, 3.2), stage.rng.uniform(-0.2, 0.2)
    height, reach = stage.rng.uniform(1.5, 1.8), stage.width / 2 - 0.45
    body, head = stage.mover(stage.checked(0.25)), stage.mover(stage.plain(hsv(0.07, 0.45, 0.85)))

    def where(frame: int) -> tuple[float, float]:
        way = min(speed * frame / 8, 2 * reach)
        return ahead + slant * way, side * (reach - way)

    def script(frame: int) -> Shapes:
        shapes = Shapes()
        shapes.person(*stage.at(*where(frame)), (body, head), height)
        return shapes

    return Scenario("walker", seed, stage.room(), stage.start(0), stage.mover_materials(), script=script,
                    labels={"speed": speed, "side": side})  # fmt: skip


def push(seed: int, speeds: Speeds, outcome: int | None) -> Scenario:
    """Balls lie about and the walker goes into them and into walls: contacts to be felt."""
    outcome_of(seed, (1.0,), outcome)
    stage = set_stage(seed, SALT["push"], pieces=2)
    rng, rows, materials, places = stage.rng, [], [], []
    for left in (-1.1, 0.0, 1.1):
        r = rng.uniform(0.18, 0.24)
        places.append((rng.uniform(1.4, 3.0), left + rng.uniform(-0.25, 0.25)))
        rows.append({"position": [*stage.at(*places[-1]), r], "velocity": [0.0, 0.0, 0.0], "radius": r,
                     "mass": rng.uniform(0.5, 3.0), "restitution": 0.4})  # fmt: skip
        materials.append(stage.mover(stage.checked(math.pi * r / 2)))
    plan: list[int] = []
    ahead, left, facing = 0.0, 0.0, 0  # where it will be, about; facing in turns of 15 degrees
    for goal in rng.permutation(places):
        wish = round(math.atan2(goal[1] - left, goal[0] - ahead) / TURN)
        turns = (wish - facing + 12) % 24 - 12
        steps = int(math.hypot(*(goal - (ahead, left))) / STEP + rng.integers(1, 12))
        plan += [NAMES.index("left" if turns > 0 else "right")] * abs(turns) + [NAMES.index("forward")] * steps
        ahead = min(max(ahead + steps * STEP * math.cos(wish * TURN), 0.4 - BEHIND), stage.far - 0.4)
        left = min(max(left + steps * STEP * math.sin(wish * TURN), 0.4 - stage.width / 2), stage.width / 2 - 0.4)
        facing = wish
    while len(plan) < 256:
        turn = NAMES.index(str(rng.choice(["left", "right"])))
        plan += [turn] * int(rng.integers(0, 7)) + [NAMES.index("forward")] * int(rng.integers(4, 14))
    return Scenario("push", seed, stage.room(), stage.start(-1), stage.mover_materials(), make_bodies(rows),
                    tuple(materials), plan=tuple(plan))  # fmt: skip
