"""Where a walker's disc fits: signed distances to footprints, batched over rooms."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ...actions.walker import Walker
from .layout import BODY_HIGH, BODY_LOW, RoomBatch

SAMPLES = 32
NEVER = 1e3  # metres: distance to what does not stop a walker


def clearance(rooms: RoomBatch, positions: Float[Tensor, "E *N D"]) -> Float[Tensor, "E *N"]:
    """Metres from each point (x, y, …) to the nearest wall or footprint; negative inside one."""
    E = len(rooms)
    points = positions[..., :2].reshape(E, -1, 1, 2)  # [E, N, 1, 2] against [E, 1, primitives]
    x, y = points[..., 0], points[..., 1]
    inside = torch.minimum(rooms.size[:, None, 0, None] / 2 - x.abs(), rooms.size[:, None, 1, None] / 2 - y.abs())[
        ..., 0
    ]

    def stops(low: Tensor, high: Tensor, distance: Tensor) -> Tensor:
        body = (low < BODY_HIGH) & (high > BODY_LOW)
        return torch.where(body[:, None], distance, NEVER).amin(-1)

    cx, cy, cz, hx, hy, hz, yaw = rooms.boxes.unbind(-1)
    c, s = yaw.cos()[:, None], yaw.sin()[:, None]
    dx, dy = x - cx[:, None], y - cy[:, None]
    qx, qy = (c * dx + s * dy).abs() - hx[:, None], (c * dy - s * dx).abs() - hy[:, None]
    box = torch.hypot(qx.clamp(min=0), qy.clamp(min=0)) + torch.maximum(qx, qy).clamp(max=0)
    box = torch.where(hx[:, None] > 0, box, NEVER)
    out = torch.minimum(inside, stops(cz - hz, cz + hz, box))

    for table, low, high in (
        (rooms.cylinders, rooms.cylinders[..., 2], rooms.cylinders[..., 3]),
        (rooms.balls, rooms.balls[..., 2] - rooms.balls[..., 3], rooms.balls[..., 2] + rooms.balls[..., 3]),
    ):
        radius = table[:, None, :, -1]
        around = torch.hypot(x - table[:, None, :, 0], y - table[:, None, :, 1]) - radius
        out = torch.minimum(out, stops(low, high, torch.where(radius > 0, around, NEVER)))
    return out.reshape(positions.shape[:-1])


def is_free(rooms: RoomBatch, positions: Float[Tensor, "E *N D"], radius: float = 0.40) -> Bool[Tensor, "E *N"]:
    """Whether a disc of `radius` metres fits at each point."""
    return clearance(rooms, positions) >= radius


def free_fraction(
    rooms: RoomBatch, start: Float[Tensor, "E 3"], end: Float[Tensor, "E 3"], radius: float = 0.40
) -> Float[Tensor, "E"]:
    """Share 0…1 of the straight way from `start` to `end` that the disc can go before it touches something.

    Found to 1/SAMPLES of the way, for moves of a step's length.
    """
    share = torch.linspace(0, 1, SAMPLES + 1, device=start.device)[:, None]
    room = clearance(rooms, start[:, None] + share * (end - start)[:, None])
    need = room[:, :1].clamp(max=radius) - 1e-4  # who already touches something may still leave it
    free = (room >= need).int().cumprod(1)
    return (free.sum(1) - 1) / SAMPLES


def free_path(
    rooms: RoomBatch, start: Float[Tensor, "E *N 3"], end: Float[Tensor, "E *N 3"], radius: float = 0.40
) -> Bool[Tensor, "E *N"]:
    """Whether the disc fits all along the straight way; for steps of at most half a metre."""
    share = torch.linspace(0, 1, 6, device=start.device)[:, None]
    points = start[..., None, :] + share * (end - start)[..., None, :]
    return is_free(rooms, points, radius).all(-1)


def sample_free_pose(
    rooms: RoomBatch, seed: int, radius: float = 0.40, eye_height: float = 1.20
) -> Float[Tensor, "E 4 4"]:
    """A level w2c in free space in each room, a function of (room seed, seed) and not of the other rooms.

    Headings are multiples of 15 degrees. Raises ValueError when a room has no free place.
    """
    draws = torch.stack([torch.rand(256, 3, generator=generator(s, seed, 0)) for s in rooms.seeds]).to(rooms.device)
    spots = (draws[..., :2] * 2 - 1) * (rooms.size[:, None, :2] / 2 - radius)
    room = clearance(rooms, spots)
    free = room >= radius + 0.05
    if not bool(free.any(1).all()):
        bad = [rooms.seeds[k] for k in (~free.any(1)).nonzero()[:, 0].tolist()]
        raise ValueError(f"expected free space for a disc of {radius} m; got none in rooms {bad}; use a smaller radius")
    first = free.int().argmax(1)
    e = torch.arange(len(rooms), device=rooms.device)
    position = torch.cat([spots[e, first], torch.full((len(rooms), 1), eye_height, device=rooms.device)], -1)
    yaw = (draws[:, 0, 2] * 24).floor() * (math.pi / 12)
    return Walker().stand(position, yaw)


def generator(*numbers: int) -> torch.Generator:
    """A CPU random stream for these numbers, equal on every device and for every batch."""
    mixed = 0x9E3779B97F4A7C15
    for n in numbers:
        mixed = ((mixed ^ int(n)) * 0xBF58476D1CE4E5B9 + 0x94D049BB133111EB) & (2**64 - 1)
        mixed ^= mixed >> 31
    return torch.Generator().manual_seed(mixed & (2**63 - 1))
