"""Ways through a room: geodesic distance to a goal on a grid, around furniture and through doors."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from .collision import clearance
from .layout import RoomBatch

GRID, CELL = 36, 0.2  # cells a side, metres a cell: covers 7.2 m
FAR = 1e3  # metres: unreachable
SAFE = 0.42  # metres: planned ways keep this far from things


def grid_points(device: torch.device) -> Float[Tensor, "G G 2"]:
    """Centres of the grid's cells: x along the first axis, y along the second."""
    axis = (torch.arange(GRID, device=device) + 0.5 - GRID / 2) * CELL
    return torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1)


def free_grid(rooms: RoomBatch) -> Tensor:
    """Cells [E, G, G] whose centre keeps SAFE metres from everything."""
    points = grid_points(rooms.device).expand(len(rooms), -1, -1, -1)
    return clearance(rooms, points) >= SAFE


def distance_field(free: Tensor, goal: Float[Tensor, "E 2"]) -> Float[Tensor, "E G G"]:
    """Metres to walk from each cell to the goal (8 neighbours); FAR where there is no way."""
    to_goal = torch.linalg.vector_norm(grid_points(free.device) - goal[:, None, None], dim=-1)
    blocked = torch.where(free, 0.0, FAR)
    field = torch.where(free & (to_goal < 1.5 * CELL), to_goal, FAR)
    for _ in range(3 * GRID):
        padded = torch.nn.functional.pad(field, (1, 1, 1, 1), value=FAR)
        straight = torch.minimum(torch.minimum(padded[:, 2:, 1:-1], padded[:, :-2, 1:-1]),
                                 torch.minimum(padded[:, 1:-1, 2:], padded[:, 1:-1, :-2]))  # fmt: skip
        slanted = torch.minimum(torch.minimum(padded[:, 2:, 2:], padded[:, :-2, :-2]),
                                torch.minimum(padded[:, 2:, :-2], padded[:, :-2, 2:]))  # fmt: skip
        step = torch.minimum(straight + CELL, slanted + CELL * 2**0.5)
        field = torch.minimum(field, step + blocked)
    return field.clamp(max=FAR)


def look_up(field: Float[Tensor, "E G G"], points: Float[Tensor, "E N 2"]) -> Float[Tensor, "E N"]:
    """The field at points, bilinear over the cells that have a way; FAR where none of the four has."""
    where = points / CELL + GRID / 2 - 0.5
    low = where.floor()
    share = where - low
    total, weight = torch.zeros_like(share[..., 0]), torch.zeros_like(share[..., 0])
    for i in (0, 1):
        for j in (0, 1):
            x, y = (low[..., 0] + i).clamp(0, GRID - 1).long(), (low[..., 1] + j).clamp(0, GRID - 1).long()
            value = field.flatten(1).gather(1, x * GRID + y)
            w = (share[..., 0] if i else 1 - share[..., 0]) * (share[..., 1] if j else 1 - share[..., 1])
            w = torch.where(value < FAR / 2, w, 0.0)
            total, weight = total + w * value, weight + w
    return torch.where(weight > 1e-3, total / weight.clamp(min=1e-3), FAR)
