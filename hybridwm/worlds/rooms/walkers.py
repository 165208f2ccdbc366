"""Walks for data: scripted behaviours and a little sticky chance, batched over rooms, a function of the seed.

What is recorded is what happened: a step that would touch something is not made and is recorded as `stay`,
so each action explains the motion that follows it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ...actions.walker import ACTIONS, TURN, Walker, action_vectors
from .collision import free_path, generator, is_free, sample_free_pose
from .layout import RoomBatch
from .navigation import FAR, distance_field, free_grid, grid_points, look_up
from .rig import RoomsRig

NAMES = list(ACTIONS)
FORWARD, BACK, LEFT, RIGHT, STRAFE_LEFT, STRAFE_RIGHT, UP, DOWN, STAY = range(9)
INVERSE = [BACK, FORWARD, RIGHT, LEFT, STRAFE_RIGHT, STRAFE_LEFT, DOWN, UP, STAY]

BEHAVIOURS = ("wander", "out_and_back", "full_turn", "orbit", "stare", "random")
WANDER, OUT_AND_BACK, FULL_TURN, ORBIT, STARE, RANDOM = range(6)
# one round of a walker's plan, shuffled by its seed: (behaviour, steps). Chance fills 40 of 244 steps (16 %).
ROUND = ((WANDER, 32), (WANDER, 32), (WANDER, 32), (OUT_AND_BACK, 24), (OUT_AND_BACK, 16), (FULL_TURN, 24),
         (ORBIT, 24), (STARE, 20), (RANDOM, 20), (RANDOM, 20))  # fmt: skip
STICKY = 0.7  # chance to repeat the last action
CHANCE = (10, 3, 4, 4, 3, 3, 1, 1, 0)  # weights of a fresh random action, in the order of ACTIONS
TALK = 8  # random numbers per step


@dataclass(frozen=True)
class Walk:
    """T cameras in each of E rooms; actions[:, i] takes frame i to frame i + 1."""

    w2c: Float[Tensor, "E T 4 4"]  # left eye, after collisions
    actions: Float[Tensor, "E T-1 4"]  # forward m, right m, yaw rad, pitch rad: as carried out
    index: Int[Tensor, "E T-1"]  # the same, as an index into ACTIONS
    behaviour: Int[Tensor, "E T-1"]  # index into BEHAVIOURS
    touch: Tensor  # [E, T-1] bool: the step was stopped by a wall or an object


def schedule(seeds: tuple[int, ...], steps: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Behaviour, step within it and its length, each [E, steps], on the CPU."""
    out = torch.zeros(3, len(seeds), steps, dtype=torch.long)
    for e, room in enumerate(seeds):
        stream, t = generator(room, seed, 1), 0
        while t < steps:
            for k in torch.randperm(len(ROUND), generator=stream).tolist():
                behaviour, length = ROUND[k]
                n = min(length, steps - t)
                out[0, e, t : t + n] = behaviour
                out[1, e, t : t + n] = torch.arange(n)
                out[2, e, t : t + n] = length
                t += n
                if t >= steps:
                    break
    return out[0], out[1], out[2]


def walk(
    rooms: RoomBatch,
    steps: int,
    seed: int,
    *,
    start: Float[Tensor, "E 4 4"] | None = None,
    rig: RoomsRig | None = None,
) -> Walk:
    """Walk `steps` actions (so steps + 1 frames) in every room: the same for the same room seed and `seed`.

    `start` is a free pose in each room; by default one is drawn. Raises ValueError for steps < 1 and for a
    start that is not free.
    """
    if steps < 1:
        raise ValueError(f"expected at least 1 step; got {steps}; ask for more")
    rig = rig or RoomsRig()
    device, E = rooms.device, len(rooms)
    body = Walker(radius=rig.radius)
    w2c = sample_free_pose(rooms, seed, rig.radius, rig.eye_height) if start is None else start
    if not bool(is_free(rooms, centers(w2c), rig.radius).all()):
        raise ValueError("expected start poses in free space; got one that touches something; use sample_free_pose")
    behaviour, phase, length = (x.to(device) for x in schedule(rooms.seeds, steps, seed))
    talk = torch.stack([torch.rand(steps, TALK, generator=generator(s, seed, 2)) for s in rooms.seeds]).to(device)
    table, inverse = action_vectors(device), torch.tensor(INVERSE, device=device)
    chance = torch.tensor(CHANCE, device=device, dtype=torch.float32).cumsum(0)
    free = free_grid(rooms)
    field = torch.full(free.shape, FAR, device=device)
    each = torch.arange(E, device=device)

    frames, taken, touched = [w2c], [], []
    last = torch.full((E,), STAY, device=device)
    side = torch.ones(E, dtype=torch.bool, device=device)
    arrived = torch.ones(E, dtype=torch.bool, device=device)
    for t in range(steps):
        kind, i, n, r = behaviour[:, t], phase[:, t], length[:, t], talk[:, t]
        fresh = i == 0
        side = torch.where(fresh, r[:, 5] < 0.5, side)
        pitch = body.pitch(w2c)
        replan = ((fresh | arrived) & (kind == WANDER)).nonzero()[:, 0]
        if len(replan):
            field[replan] = new_goal(rooms.size[replan], free[replan], r[replan, 6:8])
        action, open_ahead, arrived = wander(rooms, field, w2c, body, r)
        level = torch.where(pitch > TURN / 2, DOWN, torch.where(pitch < -TURN / 2, UP, action))
        action = torch.where(r[:, 1] < 0.04, torch.where(r[:, 2] < 0.4, UP, DOWN), level)

        # there, then every step undone in reverse: frame n - i is seen again
        undo = inverse[torch.stack(taken, 1)[each, (t - 1 - 2 * (i - n // 2)).clamp(0, t - 1)]] if t else last
        turn = torch.where(side, LEFT, RIGHT)
        out = torch.where(open_ahead & (r[:, 3] < 0.85), FORWARD, turn)
        action = torch.where(kind == OUT_AND_BACK, torch.where(i < n // 2, out, undo), action)
        action = torch.where(kind == FULL_TURN, turn, action)
        # two steps aside and one turn inwards: a circle of 1.9 m around what is ahead
        circle = torch.where(i % 3 == 2, turn, torch.where(side, STRAFE_RIGHT, STRAFE_LEFT))
        action = torch.where(kind == ORBIT, circle, action)
        gaze = torch.where(side, DOWN, torch.where(i < 2, STAY, UP))
        stare = torch.where(i < 3, gaze, torch.where(r[:, 3] < 0.6, STAY, torch.where(r[:, 4] < 0.5, LEFT, RIGHT)))
        stare = torch.where(
            i >= n - 5, torch.where(pitch < -TURN / 2, UP, torch.where(pitch > TURN / 2, DOWN, LEFT)), stare
        )
        action = torch.where(kind == STARE, stare, action)
        drawn = torch.searchsorted(chance, r[:, 3].contiguous() * chance[-1]).clamp(max=STAY - 1)
        action = torch.where(
            kind == RANDOM, torch.where((r[:, 4] < STICKY) & ~fresh & (last != STAY), last, drawn), action
        )

        w2c, action, touch = carry_out(rooms, w2c, action, body, table, (kind == OUT_AND_BACK) & (i >= n // 2))
        side = torch.where(touch & (kind == ORBIT), ~side, side)
        last = action
        frames.append(w2c)
        taken.append(action)
        touched.append(touch)
    index = torch.stack(taken, 1)
    return Walk(torch.stack(frames, 1), table[index], index, behaviour, torch.stack(touched, 1))


def centers(w2c: Float[Tensor, "*B 4 4"]) -> Float[Tensor, "*B 3"]:
    return -(w2c[..., :3, :3].mT @ w2c[..., :3, 3:])[..., 0]


def carry_out(
    rooms: RoomBatch, w2c: Tensor, action: Tensor, body: Walker, table: Tensor, known: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Move by discrete actions; one that would touch something, or look past the limit, becomes `stay`.

    Where `known`, the way was walked before, so it is free whatever rounding says.
    """
    touch = ~known & ~free_path(rooms, centers(w2c), centers(body.move(w2c, table[action])), body.radius)
    gaze = body.pitch(w2c) + table[action][:, 3]
    action = torch.where(touch | (gaze.abs() > body.pitch_limit + 1e-3), STAY, action)
    return body.move(w2c, table[action]), action, touch


def new_goal(size: Float[Tensor, "E 3"], free: Tensor, draw: Float[Tensor, "E 2"]) -> Float[Tensor, "E G G"]:
    """Distance field to the free cell nearest to a drawn point of each room."""
    points = grid_points(size.device)
    wish = (draw * 2 - 1).sign() * (draw * 2 - 1).abs().sqrt() * (size[:, :2] / 2 - 0.5)  # rather near the walls
    away = torch.linalg.vector_norm(points - wish[:, None, None], dim=-1) + torch.where(free, 0.0, FAR)
    return distance_field(free, points.reshape(-1, 2)[away.flatten(1).argmin(1)])


def wander(rooms: RoomBatch, field: Tensor, w2c: Tensor, body: Walker, draw: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Towards the goal: turn to the best of 24 headings, then walk. And: is the way ahead open; arrived?"""
    here = centers(w2c)
    ahead = body.heading(w2c)
    yaw = torch.atan2(ahead[:, 1], ahead[:, 0])
    turns = torch.arange(-11, 13, device=w2c.device)
    angles = yaw[:, None] + turns * TURN
    ways = torch.stack([angles.cos(), angles.sin(), torch.zeros_like(angles)], -1)
    ends = here[:, None] + 0.25 * ways
    open_way = free_path(rooms, here[:, None].expand_as(ends), ends, body.radius)
    cost = look_up(field, (here[:, None] + 0.4 * ways)[..., :2]) + torch.where(open_way, 0.0, FAR)
    best = (cost + 0.02 * turns.abs()).argmin(1)
    turn, open_ahead = turns[best], open_way[:, 11]
    arrived = (look_up(field, here[:, None, :2])[:, 0] < 0.35) | (cost.amin(1) > FAR / 2)
    step = torch.where(turn == 0, FORWARD, torch.where(turn > 0, LEFT, RIGHT))
    step = torch.where((turn.abs() <= 2) & open_ahead & (draw[:, 0] < 0.5), FORWARD, step)
    return torch.where(arrived, torch.where(open_ahead, FORWARD, LEFT), step), open_ahead, arrived
