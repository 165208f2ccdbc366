"""What moves in a room: for each moment, its balls, boxes and cylinders, seen and felt like the room's own.

A mover has a row of its own in the materials, after the room's, so that the row that a pixel shows tells which mover it
is: `mover_ids`. Boxes turn about the vertical (a door about its hinge), balls turn in any way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .layout import RoomBatch


@dataclass
class Shapes:
    """The movers of one room at one moment, under construction; `material` counts the movers' own rows from 0."""

    boxes: list[tuple[float, ...]] = field(default_factory=list)  # centre x y z, half sizes x y z, yaw, material
    cylinders: list[tuple[float, ...]] = field(default_factory=list)  # x y, bottom, top, radius, material
    balls: list[tuple[float, ...]] = field(default_factory=list)  # centre x y z, radius, material
    turns: list[Tensor] = field(default_factory=list)  # [3, 3] world_from_ball, of the last balls

    def door(self, x: float, y: float, yaw: float, width: float, height: float, material: int) -> None:
        """A panel 5 cm thick and `width` wide that hangs at (x, y) and reaches along `yaw`, radians."""
        middle = x + math.cos(yaw) * width / 2, y + math.sin(yaw) * width / 2
        self.boxes.append((*middle, height / 2, width / 2, 0.025, height / 2, yaw, material))

    def person(self, x: float, y: float, materials: tuple[int, int], height: float = 1.65) -> None:
        """Another walker: a body and a head on two rows of the materials."""
        self.cylinders.append((x, y, 0.05, height - 0.27, 0.24, materials[0]))
        self.balls.append((x, y, height - 0.14, 0.14, materials[1]))

    def __add__(self, other: Shapes) -> Shapes:
        turns = [torch.eye(3)] * (len(self.balls) - len(self.turns)) + self.turns
        turns += [torch.eye(3)] * (len(other.balls) - len(other.turns)) + other.turns
        return Shapes(self.boxes + other.boxes, self.cylinders + other.cylinders, self.balls + other.balls, turns)


def with_movers(rooms: RoomBatch, shapes: list[Shapes], materials: Float[Tensor, "E M P"]) -> RoomBatch:
    """The rooms with movers, one Shapes for each; `materials` are the movers' rows.

    One room at several moments is a batch of that room, repeated: `rooms[[0] * len(shapes)]`. Raises ValueError when
    the lengths differ.
    """
    if not len(shapes) == len(materials) == len(rooms):
        raise ValueError(
            f"with_movers: expected shapes and materials for each of {len(rooms)} rooms; got {len(shapes)} and "
            f"{len(materials)}; repeat the room for each moment"
        )
    device, first = rooms.device, rooms.materials.shape[1]
    E, S = rooms.balls.shape[:2]
    boxes, box_rows = _table([s.boxes for s in shapes], (0, 0, -99, -1, -1, -1, 0, 0), device)
    cylinders, cylinder_rows = _table([s.cylinders for s in shapes], (99, 99, -98, -99, -1, 0), device)
    balls, ball_rows = _table([s.balls for s in shapes], (99, 99, -99, -1, 0), device)
    turns = torch.eye(3, device=device).repeat(E, S + balls.shape[1], 1, 1)
    for e, s in enumerate(shapes):
        if s.turns:
            last = S + len(s.balls)
            turns[e, last - len(s.turns) : last] = torch.stack(s.turns).to(turns)
    return replace(
        rooms,
        boxes=torch.cat([rooms.boxes, boxes], 1),
        box_materials=torch.cat([rooms.box_materials, first + box_rows], 1),
        cylinders=torch.cat([rooms.cylinders, cylinders], 1),
        cylinder_materials=torch.cat([rooms.cylinder_materials, first + cylinder_rows], 1),
        balls=torch.cat([rooms.balls, balls], 1),
        ball_materials=torch.cat([rooms.ball_materials, first + ball_rows], 1),
        ball_turns=turns,
        materials=torch.cat([rooms.materials, materials.to(rooms.materials)], 1),
    )


def mover_ids(rooms: RoomBatch, material: Int[Tensor, "E *N"]) -> Int[Tensor, "E *N"]:
    """Which mover each pixel shows: 1 + its row among the movers' materials, or 0 for what stands still.

    `rooms` are the rooms without their movers, `material` what `raycast(…, materials=True)` gave.
    """
    return (material - rooms.materials.shape[1] + 1).clamp(min=0)


def _table(
    rows: list[list[tuple[float, ...]]], padding: tuple[float, ...], device: torch.device
) -> tuple[Tensor, Tensor]:
    """Lists of primitives, padded to the longest: numbers [E, N, K - 1] and material rows [E, N]."""
    longest = max(map(len, rows))
    full = [[*row, *[padding] * (longest - len(row))] for row in rows]
    numbers = torch.tensor(full, dtype=torch.float32, device=device).reshape(len(rows), longest, len(padding))
    return numbers[..., :-1], numbers[..., -1].long()
