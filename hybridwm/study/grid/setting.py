"""Where a cell takes place: a scene's walk with its truth, and what is measured on the truth alone."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from render.camera import Camera

from ...worlds.rooms.collision import is_free
from ...worlds.rooms.layout import RoomBatch, make_room, stack_rooms
from ...worlds.rooms.raycast import raycast
from ...worlds.rooms.rig import RoomsRig
from ..episodes import Episode
from ..trajectories import out_and_back, random_walk, stare
from ..visibility import seen_before
from .config import Route, TrajectoryConfig

OTHERS = 25_000_000  # first seed of the rooms whose depth is the placebo
TRIES = 40  # rooms that are looked at for one in which the whole walk is free
VIEWS = 8  # observed frames before a random walk


@dataclass(frozen=True)
class Setting:
    """A walk in one scene. seen: pixels of the truth that the observed beginning had shown; shuffled: true depth of
    another scene from any camera; candidates: views among which the last frame is looked up, the right one first."""

    episode: Episode
    seen: Bool[Tensor, "T H W"]
    shuffled: Callable[[Camera], Tensor]
    candidates: Float[Tensor, "C H W 3"] | None = None


def _out_and_back(seed: int, steps: int, rig: RoomsRig) -> Episode:
    return out_and_back(seed, steps // 2, rig)


def _random_walk(seed: int, steps: int, rig: RoomsRig) -> Episode:
    return random_walk(seed, VIEWS + steps, rig).window(0, VIEWS, steps)


ROUTES: dict[Route, Callable[[int, int, RoomsRig], Episode]] = {
    "out_and_back": _out_and_back,
    "random_walk": _random_walk,
}


@functools.lru_cache(maxsize=2)
def setting_of(trajectory: TrajectoryConfig, seed: int, size: tuple[int, int]) -> Setting:
    """The setting of a scene; size: (height, width) of frames. The last two are kept, for the arms that follow.

    Raises ValueError where the room leaves no free walk of this kind.
    """
    rig, candidates = RoomsRig(size[1], height=size[0]), None
    if trajectory.route == "stare":
        test = stare(seed, trajectory.steps, rig)
        episode, candidates = test.episode, test.candidates
    else:
        episode = ROUTES[trajectory.route](seed, trajectory.steps, rig)
    return Setting(episode, _seen(episode), _elsewhere(episode), candidates)


def _seen(episode: Episode) -> Bool[Tensor, "T H W"]:
    depths = [view.depth for view in episode.views if view.depth is not None]
    cameras = [view.camera for view in episode.views]
    pairs = zip(episode.depth, episode.cameras, strict=True)
    return torch.stack([seen_before(depth, camera, depths, cameras) for depth, camera in pairs])


def _elsewhere(episode: Episode) -> Callable[[Camera], Tensor]:
    """True depth of another room in which the whole walk is free, so that no camera stands inside a thing."""
    cameras = [*(view.camera for view in episode.views), *episode.cameras]
    centers = torch.stack([camera.center for camera in cameras])[None]
    best: tuple[float, RoomBatch] | None = None
    for attempt in range(TRIES):
        rooms = stack_rooms([make_room(OTHERS + TRIES * (episode.seed % 1_000_000) + attempt)])
        free = float(is_free(rooms, centers, 0.2).float().mean())
        if best is None or free > best[0]:
            best = free, rooms
        if free == 1:
            break
    assert best is not None
    rooms = best[1]

    def depth(camera: Camera) -> Tensor:
        return raycast(rooms, Camera(camera.K[None, None], camera.w2c[None, None], camera.width, camera.height)).depth[
            0, 0
        ]

    return depth


def mean_or_none(values: np.ndarray) -> float | None:
    """The mean of what is finite; None where nothing is."""
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else None
