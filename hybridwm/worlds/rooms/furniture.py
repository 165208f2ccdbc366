"""Where things stand: interior wall, door, furniture and wall marks of a room, as rows of primitives."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from .materials import Style, poster

THICK = 0.12  # metres, interior wall
MARK = 0.012  # metres, half thickness of a wall mark
# material indices within a room: 0…5 faces, 6 interior wall, 7 door frame, 8…15 furniture, 16… marks
INNER, FRAME, PIECE, MARKS = 6, 7, 8, 16


@dataclass
class Plan:
    """Primitive rows under construction; `Room` is the finished, frozen form."""

    size: np.ndarray
    boxes: list = field(default_factory=list)  # cx cy cz hx hy hz yaw material
    cylinders: list = field(default_factory=list)  # x y z0 z1 radius material
    balls: list = field(default_factory=list)  # x y z radius material
    marks: list = field(default_factory=list)  # material rows
    taken: list = field(default_factory=list)  # x y radius of what stands already

    def box(self, x, y, z0, z1, hx, hy, yaw, material) -> None:
        self.boxes.append([x, y, (z0 + z1) / 2, hx, hy, (z1 - z0) / 2, yaw, material])


def add_inner_wall(rng: np.random.Generator, plan: Plan) -> tuple[int, float, float] | None:
    """Perhaps split the room across its longer axis, a door 1.35…1.7 m wide: (axis, offset, door)."""
    if rng.uniform() > 0.7:
        return None
    axis = int(plan.size[1] > plan.size[0])  # the wall's normal
    length, height = plan.size[1 - axis], plan.size[2]
    offset = rng.uniform(-0.12, 0.12) * plan.size[axis]
    width, top = rng.uniform(1.35, 1.7), rng.uniform(2.0, 2.15)
    door = rng.uniform(-1, 1) * (length / 2 - width / 2 - 0.6)

    def slab(along, z0, z1, half, thick, material):
        x, y = (offset, along) if axis == 0 else (along, offset)
        hx, hy = (thick, half) if axis == 0 else (half, thick)
        plan.box(x, y, z0, z1, hx, hy, 0.0, material)

    for side in (-1, 1):
        half = (length / 2 - side * door - width / 2) / 2
        slab(side * (length / 2 - half), 0, height, half, THICK / 2, INNER)
        slab(door + side * (width / 2 - 0.03), 0, top, 0.03, THICK / 2 + 0.03, FRAME)
    slab(door, top, height, width / 2, THICK / 2, INNER)
    slab(door, top - 0.07, top, width / 2, THICK / 2 + 0.03, FRAME)
    x, y = (offset, door) if axis == 0 else (door, offset)
    plan.taken.append((x, y, width / 2 + 0.55))
    return axis, offset, door


def find_place(
    rng: np.random.Generator, plan: Plan, wall, deep: float, wide: float, against: bool
) -> tuple[float, float, float] | None:
    """A free spot (x, y, yaw) for a thing: its back against a wall, or anywhere in the open.

    `deep` and `wide` are its half sizes from the wall and along it; in the open, both are its radius.
    """
    half = plan.size[:2] / 2
    for _ in range(12):
        yaw = 0.0
        if against:
            side = rng.integers(4)
            across, along = side // 2, 1 - side // 2
            p = np.zeros(2)
            p[across] = (1 if side % 2 else -1) * (half[across] - deep)
            p[along] = rng.uniform(-1, 1) * (half[along] - wide)
            yaw = math.pi / 2 * (across == 0)
        else:
            p = rng.uniform(-1, 1, 2) * (half - wide - 0.9)
            yaw = rng.uniform(0, math.pi)
        if wall is not None and abs(p[wall[0]] - wall[1]) < wide + (0.15 if against else 0.95):
            continue
        gap = 0.15 if against else 0.9
        if all(
            math.hypot(p[0] - x, p[1] - y) > wide + r + (0.1 if k == 0 and wall else gap)
            for k, (x, y, r) in enumerate(plan.taken)
        ):
            return float(p[0]), float(p[1]), yaw
    return None


def add_piece(rng: np.random.Generator, plan: Plan, wall) -> None:
    """One piece of furniture: chest, shelf, cube, table, stool, column, ball on the floor or on a plinth."""
    kind = rng.choice(["chest", "shelf", "cube", "table", "column", "stool", "ball", "plinth"])
    against = kind in ("chest", "shelf") or rng.uniform() < 0.45
    material, other = PIECE + rng.permutation(8)[:2]
    hx, hy = {"chest": (0.5, 0.25), "shelf": (0.4, 0.18), "table": (0.5, 0.35), "cube": (0.28, 0.28)}.get(
        kind, (0.2, 0.2)
    )
    hx, hy = hx * rng.uniform(0.8, 1.2), hy * rng.uniform(0.85, 1.2)
    flat = kind in ("chest", "shelf")
    if kind in ("column", "stool", "ball", "plinth"):
        radius = hx = hx * {"column": 0.9, "stool": 1.1, "ball": 1.2, "plinth": 1.0}[kind]
    else:
        radius = max(hx, hy) if flat else math.hypot(hx, hy)
    spot = find_place(rng, plan, wall, hy if flat else radius, radius, against)
    if spot is None:
        return
    x, y, yaw = spot
    if kind == "cube":
        yaw = rng.uniform(0, math.pi)
    if kind in ("chest", "shelf", "cube"):
        height = {
            "chest": rng.uniform(0.6, 1.0),
            "shelf": rng.uniform(1.3, 2.1),
            "cube": rng.uniform(0.4, 0.9),
        }[kind]
        plan.box(x, y, 0.0, height, hx, hy, yaw, material)
        if kind != "shelf" and rng.uniform() < 0.6:  # something on top
            r = min(rng.uniform(0.12, 0.2), hy / 1.3)  # turned, it still stands clear of the wall
            if rng.uniform() < 0.5:
                plan.balls.append([x, y, height + r, r, other])
            else:
                plan.box(x, y, height, height + 2 * r, r, r * 0.8, yaw + 0.5, other)
    elif kind == "table":
        z = rng.uniform(0.65, 0.8)
        plan.box(x, y, z - 0.06, z, hx, hy, yaw, material)
        c, s = math.cos(yaw), math.sin(yaw)
        for u, v in ((-1, -1), (-1, 1), (1, -1), (1, 1)):
            a, b = u * (hx - 0.06), v * (hy - 0.06)
            plan.box(x + c * a - s * b, y + s * a + c * b, 0.0, z - 0.06, 0.04, 0.04, yaw, material)
        if rng.uniform() < 0.7:
            r = rng.uniform(0.1, 0.18)
            plan.cylinders.append([x, y, z, z + rng.uniform(0.2, 0.4), r, other])
    elif kind in ("column", "stool"):
        height = plan.size[2] if kind == "column" else rng.uniform(0.4, 0.9)
        plan.cylinders.append([x, y, 0.0, height, radius, material])
    elif kind == "ball":
        plan.balls.append([x, y, radius, radius, material])
    else:
        height = rng.uniform(0.6, 1.0)
        plan.cylinders.append([x, y, 0.0, height, hx, material])
        plan.balls.append([x, y, height + hx * 0.9, hx * 0.9, other])
    plan.taken.append((x, y, radius))


def add_marks(rng: np.random.Generator, plan: Plan, wall, style: Style) -> None:
    """Posters on the four walls and on both sides of the interior wall, at eye height, well apart."""
    sides = [(axis, sign * plan.size[axis] / 2, -sign) for axis in (0, 1) for sign in (-1, 1)]
    if wall is not None:
        sides += [(wall[0], wall[1] + s * THICK / 2, s) for s in (-1, 1)]
    for number, (axis, offset, facing) in enumerate(sides):
        placed: list[tuple[float, float]] = []
        for _ in range(rng.integers(1, 4)):
            w, h = rng.uniform(0.55, 1.2), rng.uniform(0.5, 1.05)
            along = rng.uniform(-1, 1) * (plan.size[1 - axis] / 2 - w / 2 - 0.12)
            z = rng.uniform(1.05, 1.75)
            if any(abs(along - a) < (w + b) / 2 + 0.15 for a, b in placed):
                continue
            if wall is not None and number >= 4:
                if abs(along - wall[2]) < w / 2 + 0.95:
                    continue
            elif wall is not None and axis != wall[0] and abs(along - wall[1]) < w / 2 + THICK:
                continue
            placed.append((along, w))
            p = offset + facing * MARK
            x, y = (p, along) if axis == 0 else (along, p)
            hx, hy = (MARK, w / 2) if axis == 0 else (w / 2, MARK)
            plan.box(x, y, z - h / 2, z + h / 2, hx, hy, 0.0, MARKS + len(plan.marks))
            plan.marks.append(poster(rng, style.accents, w, h))


def furnish(layout_seed: int, size: np.ndarray, style: Style, pieces: int, attempt: int) -> Plan:
    """A full plan: wall, door, marks by the seed; `pieces` tries at furniture by the seed and the attempt."""
    rng = np.random.default_rng([layout_seed, 0x1B])
    plan = Plan(size)
    wall = add_inner_wall(rng, plan)
    add_marks(rng, plan, wall, style)
    rng = np.random.default_rng([layout_seed, 0x1C, attempt])
    for _ in range(pieces):
        add_piece(rng, plan, wall)
    return plan
