"""Where a cell takes place: a scene's walk with its truth, and what is measured on the truth alone."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from render.camera import Camera

from ...worlds.rooms.collision import is_free
from ...worlds.rooms.layout import RoomBatch, make_room, stack_rooms
from ...worlds.rooms.raycast import raycast
from ...worlds.rooms.rig import RoomsRig
from ..episodes import Episode
from ..metrics import gradient_energy
from ..optical_motion import mean_flow
from ..reaching import ReachTest, reach
from ..returns import full_turn, leave_wait_return, mirrored, orbit, shifted_return, square_loop
from ..trajectories import out_and_back, random_walk, stare
from ..visibility import seen_before
from ..world_episodes import WorldName, cut, world_walks
from .config import Route, TrajectoryConfig, World

OTHERS = 25_000_000  # first seed of the rooms whose depth is the placebo
OTHER_WORLD = 5_000_000  # from a seed of doom or arm to that of the placebo
TRIES = 40  # rooms that are looked at for one in which the whole walk is free
VIEWS = 8  # observed frames before a random walk


@dataclass(frozen=True)
class Setting:
    """A walk in one scene. seen: pixels of the truth that the observed beginning had shown; shuffled: true depth of
    another scene from any camera; candidates: views among which the last frame is looked up, the right one first; goal:
    the plans of a route `reach`."""

    episode: Episode
    seen: Bool[Tensor, "T H W"]
    shuffled: Callable[[Camera], Tensor]
    candidates: Float[Tensor, "C H W 3"] | None = None
    goal: ReachTest | None = None
    route: Route = "random_walk"
    _truth: dict[str, list[float | None]] = field(default_factory=dict, repr=False, compare=False)

    def truth_columns(self) -> dict[str, list[float | None]]:
        """What the true frames measure, by column; once for all arms."""
        if not self._truth:
            shown = torch.cat([self.episode.views[-1].image[None], self.episode.truth])
            self._truth["change_true"] = shown.diff(dim=0).abs().mean((1, 2, 3)).tolist()
            self._truth["flow_true"] = mean_flow(shown).tolist()
            self._truth["gradient_true"] = [gradient_energy(frame[None]) for frame in self.episode.truth]
        return dict(self._truth)


def _out_and_back(seed: int, steps: int, rig: RoomsRig) -> Episode:
    return out_and_back(seed, steps // 2, rig)


def _random_walk(seed: int, steps: int, rig: RoomsRig) -> Episode:
    return random_walk(seed, VIEWS + steps, rig).window(0, VIEWS, steps)


ROUTES: dict[Route, Callable[[int, int, RoomsRig], Episode]] = {
    "out_and_back": _out_and_back,
    "random_walk": _random_walk,
    "shifted_return": shifted_return,
    "leave_wait_return": leave_wait_return,
    "full_turn": full_turn,
    "square_loop": square_loop,
    "orbit": orbit,
    "mirrored": mirrored,
}
"""Each takes the scene's seed, the imagined steps, and the walker's eyes; `stare` has candidates beside its walk."""


@functools.lru_cache(maxsize=2)
def setting_of(trajectory: TrajectoryConfig, seed: int, size: tuple[int, int], world: World = "rooms") -> Setting:
    """The setting of a scene; size: (height, width) of frames. The last two are kept, for the arms that follow.

    Raises ValueError where the scene leaves no free walk of this kind, or the world has no such route.
    """
    if world != "rooms":
        return _elsewhere_than_rooms(world, trajectory, seed, size)
    rig, candidates, goal = RoomsRig(size[1], height=size[0]), None, None
    if trajectory.route == "stare":
        test = stare(seed, trajectory.steps, rig)
        episode, candidates = test.episode, test.candidates
    elif trajectory.route == "reach":
        goal = reach(seed, trajectory.steps, rig)
        episode = goal.episode
    else:
        episode = ROUTES[trajectory.route](seed, trajectory.steps, rig)
    return Setting(
        episode, _seen(episode), _elsewhere(episode), candidates=candidates, goal=goal, route=trajectory.route
    )


def _elsewhere_than_rooms(world: WorldName, trajectory: TrajectoryConfig, seed: int, size: tuple[int, int]) -> Setting:
    if size[0] != size[1]:
        raise ValueError(f"study: expected square frames for the world {world}; got {size[1]}x{size[0]}.")
    episode, candidates = _world_episode(world, trajectory, seed, size[0])
    # the placebo: at each camera, what another scene's walk of the same kind measured at the same step
    other, _ = _world_episode(world, trajectory, seed + OTHER_WORLD, size[0])
    return Setting(
        episode, _seen(episode), _step_by_step(episode, other), candidates=candidates, route=trajectory.route
    )


def _world_episode(
    world: WorldName, trajectory: TrajectoryConfig, seed: int, size: int
) -> tuple[Episode, Tensor | None]:
    walks, steps = world_walks(world), trajectory.steps
    if trajectory.route == "stare":
        test = walks.stare(seed, steps, size)
        return test.episode, test.candidates
    if trajectory.route == "out_and_back":
        return walks.out_and_back(seed, steps // 2, size), None
    if trajectory.route == "random_walk":
        recorded, moving = walks.walk(seed, VIEWS + steps, size)
        return cut(recorded, 0, VIEWS, steps, moving), None
    raise ValueError(
        f"study: expected the routes out_and_back, stare or random_walk in {world}; got {trajectory.route}."
    )


def _step_by_step(episode: Episode, other: Episode) -> Callable[[Camera], Tensor]:
    cameras = torch.stack([camera.w2c for camera in (*(v.camera for v in episode.views), *episode.cameras)])
    depths = torch.cat([torch.stack([v.depth for v in other.views if v.depth is not None]), other.depth])

    def depth(camera: Camera) -> Tensor:
        nearest = int((cameras - camera.w2c.to(cameras)).abs().amax((1, 2)).argmin())
        return depths[min(nearest, len(depths) - 1)]

    return depth


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
