"""What planned walks share: actions by name, the cameras that follow from them, and whether a body fits all along."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from render.transforms import invert_rigid

from ..actions.walker import ACTIONS, Walker
from ..worlds.rooms.collision import free_path, sample_free_pose
from ..worlds.rooms.layout import RoomBatch, make_room, stack_rooms
from ..worlds.rooms.rig import RoomsRig
from .episodes import Episode, Route, record

SPACE = 0.55  # metres kept free around a starting point: wider than the walker
TRIES = 400


def named_actions(names: Sequence[str]) -> Float[Tensor, "T 4"]:
    """The walker's actions of these names."""
    return torch.stack([torch.as_tensor(ACTIONS[name], dtype=torch.float32) for name in names])


def follow(start: Float[Tensor, "4 4"], actions: Float[Tensor, "T 4"], observed: int) -> Route:
    """The cameras that a walker comes to from `start`, nothing in its way."""
    w2c = [start]
    for action in actions:
        w2c.append(Walker().move(w2c[-1], action))
    return Route(torch.stack(w2c), actions, observed)


def centers(w2c: Float[Tensor, "N 4 4"]) -> Float[Tensor, "N 3"]:
    """Where the cameras are."""
    return invert_rigid(w2c)[:, :3, 3]


def ground_track(start: Float[Tensor, "4 4"], actions: Float[Tensor, "T 4"]) -> Float[Tensor, "N 3"]:
    """The same places as `follow` comes to, without its cameras: some hundred times faster, for walks that may not
    fit."""
    heading = Walker().heading(start[None])[0]
    yaw = float(torch.atan2(heading[1], heading[0])) + np.cumsum(actions[:, 2].double().numpy())
    ahead, right = actions[:, 0].double().numpy(), actions[:, 1].double().numpy()
    steps = np.stack([ahead * np.cos(yaw) + right * np.sin(yaw), ahead * np.sin(yaw) - right * np.cos(yaw)], axis=1)
    place = centers(start[None])[0].double().numpy()
    track = np.repeat(place[None], len(actions) + 1, axis=0)
    track[1:, :2] += np.cumsum(steps, axis=0)
    return torch.from_numpy(track).float()


def fits(rooms: RoomBatch, track: Float[Tensor, "N 3"]) -> bool:
    """Whether the walker's disc is free all along."""
    return bool(free_path(rooms, track[None, :-1], track[None, 1:]).all())


def plan(
    seed: int,
    stream: int,
    propose: Callable[[np.random.Generator, int, RoomBatch, Tensor], tuple[Sequence[str], int] | None],
    rig: RoomsRig | None = None,
    tries: int = TRIES,
) -> Episode:
    """The first walk proposed that fits into room `seed`, as an episode.

    propose(rng, attempt, rooms, start [4, 4]) gives the names of all actions and how many views are observed, or None
    for another try; rng is that of (seed, stream). Raises ValueError where none fits.
    """
    rooms, rng = stack_rooms([make_room(seed)]), np.random.default_rng([seed, stream])
    for attempt in range(tries):
        start = sample_free_pose(rooms, seed=attempt, radius=SPACE)[0]
        proposed = propose(rng, attempt, rooms, start)
        if proposed is None:
            continue
        names, observed = proposed
        actions = named_actions(names)
        if fits(rooms, ground_track(start, actions)):
            return record(rooms, follow(start, actions, observed), seed, rig)
    raise ValueError(f"expected a free walk in room {seed}; found none in {tries} tries; do use another seed")
