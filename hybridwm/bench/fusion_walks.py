"""Walks for measuring fusion: laps over the same ground, and a ball that the rooms do not have, at a place a step.

The ball is one more primitive of the room, so both eyes' images and the depth show it alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from recon import View
from render.geometry import project, unproject

from ..actions.walker import TURN, Walker
from ..worlds.rooms.collision import sample_free_pose
from ..worlds.rooms.layout import RoomBatch, make_room, stack_rooms
from ..worlds.rooms.rig import RoomsRig
from ..worlds.rooms.simulation import see
from ..worlds.rooms.walkers import walk

Path = Float[Tensor, "T 4 4"]
ON_GROUND = 0.1  # share of the distance by which a point may be off a surface that it counts as part of
BALL_MATERIAL = 8  # of the room's table: a piece of furniture's


def room(seed: int) -> RoomBatch:
    """The room of this seed, as a batch of one."""
    return stack_rooms([make_room(seed)])


def with_ball(rooms: RoomBatch, center: Sequence[float], radius: float) -> RoomBatch:
    """The room with one ball more."""
    ball = torch.tensor([[[*center, radius]]])
    material = torch.full((1, 1), BALL_MATERIAL)
    return replace(
        rooms,
        balls=torch.cat([rooms.balls, ball], dim=1),
        ball_materials=torch.cat([rooms.ball_materials, material], dim=1),
    )


def ball_room(seed: int, least: float = 2.5) -> tuple[RoomBatch, Float[Tensor, "4 4"]]:
    """A room, and a level camera in it that has at least this many metres of free space before its middle.

    Raises ValueError where no heading has.
    """
    rooms, rig = room(seed), RoomsRig()
    start = sample_free_pose(rooms, seed=0, radius=0.55)[0]
    lap = turning(start, 24)
    third = slice(rig.size // 3, 2 * rig.size // 3)
    free = [float(see(rooms, w2c[None], rig).depth[0, third, third].min()) for w2c in lap]
    best = max(range(24), key=free.__getitem__)
    if free[best] < least:
        raise ValueError(f"ball_room: expected {least} m of free space in room {seed}; got {free[best]:.2f} m.")
    return rooms, lap[best]


def turning(start: Float[Tensor, "4 4"], steps: int, angle: float = TURN) -> Path:
    """Cameras that turn to the left on the spot, by `angle` radians a step."""
    turn = torch.tensor([0.0, 0.0, angle, 0.0])
    path = [start]
    for _ in range(steps - 1):
        path.append(Walker().move(path[-1], turn))
    return torch.stack(path)


def passing(start: Float[Tensor, "4 4"], steps: int, width: float = 0.6) -> Path:
    """Cameras that walk past what is ahead, from left to right over `width` metres, looking at 2 m before the start."""
    body, path = Walker(), []
    for share in torch.linspace(-0.5, 0.5, steps):
        side = float(share) * width
        angle = torch.atan2(torch.tensor(side), torch.tensor(2.0))
        aside = body.move(start, torch.tensor([0.0, side, 0.0, 0.0]))
        path.append(body.move(aside, torch.tensor([0.0, 0.0, float(angle), 0.0])))
    return torch.stack(path)


def there_and_back(rooms: RoomBatch, steps: int, seed: int = 1) -> Path:
    """One lap: a walk of half the steps, and the same way back."""
    path = walk(rooms, steps // 2, seed=seed).w2c[0]
    return torch.cat([path, path.flip(0)[1:-1]])


def jittered(path: Path, metres: float, radians: float, seed: int) -> Path:
    """The same cameras, each a little beside its place and turned a little: no lap is exactly the one before."""
    generator = torch.Generator().manual_seed(seed)
    amount = torch.randn(len(path), 4, generator=generator) * torch.tensor([metres, metres, radians, radians / 2])
    return Walker().move(path, amount)


def views_along(rooms: RoomBatch, path: Path, rig: RoomsRig | None = None) -> Iterator[View]:
    """What the rig sees from each camera: stereo, with true depth."""
    rig = rig or RoomsRig()
    for w2c in path:
        yield see(rooms, w2c[None], rig).view(0, rig)


def on_ground(points: Float[Tensor, "N 3"], views: Sequence[View]) -> Bool[Tensor, "N"]:
    """Points that lie on a surface that one of the views has depth of, within ON_GROUND of the distance."""
    found = torch.zeros(len(points), dtype=torch.bool)
    for view in views:
        assert view.depth is not None
        uv, z = project(points, view.camera)
        u, v = uv.floor().unbind(1)
        inside = (z > 0) & (u >= 0) & (v >= 0) & (u < view.width) & (v < view.height)
        pixel = torch.where(inside, v * view.width + u, 0).long()
        surface = view.depth.flatten()[pixel]
        found |= inside & (surface > 0) & ((surface - z).abs() <= ON_GROUND * z)
    return found


def in_ball(
    points: Float[Tensor, "*S 3"], center: Sequence[float], radius: float, margin: float = 0.0
) -> Bool[Tensor, "*S"]:
    """Points in the ball, or up to `margin` metres outside."""
    return (points - points.new_tensor(list(center))).norm(dim=-1) <= radius + margin


def ball_pixels(view: View, center: Sequence[float], radius: float) -> Bool[Tensor, "H W"]:
    """Pixels whose true depth lies on the ball."""
    assert view.depth is not None
    return in_ball(unproject(view.depth, view.camera), center, radius, 1e-3)
