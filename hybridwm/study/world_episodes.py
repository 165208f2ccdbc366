"""Episodes of the study from any world: cut from recorded ones, or filmed while a script drives a simulator.

Commanded cameras are the recorded ones, so true depth is known at each of them, and `oracle` tells it there.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from recon.view import View
from render.camera import Camera

from ..worlds.episodes import Episode as Recorded
from .episodes import Episode
from .trajectories import StareTest

WorldName = Literal["doom", "arm"]
SAME_CAMERA = 1e-4  # by which numbers of w2c may differ


@dataclass(frozen=True)
class WorldWalks:
    """What a world can be asked for, each a function of a held-out seed.

    walk(seed, frames, size): what the world's own scripted player does, and bool [T, H, W], what moves (None: not
    told). out_and_back(seed, out_steps, size): nine observed views, then over known ground, past its edge and home.
    stare(seed, still, size): look about, look at nothing new for so many steps, come back to what was seen before.
    """

    walk: Callable[[int, int, int], tuple[Recorded, Tensor | None]]
    out_and_back: Callable[[int, int, int], Episode]
    stare: Callable[[int, int, int], StareTest]


def world_walks(world: str) -> WorldWalks:
    """Raises ValueError for a world that has none, ModuleNotFoundError (with the command) without its library."""
    if world not in ("doom", "arm"):
        raise ValueError(f"world: expected doom or arm; got {world!r}; rooms' walks are those of study.trajectories")
    module = importlib.import_module(f".{world}_walks", __package__)
    return WorldWalks(module.walk, module.out_and_back, module.stare)


def cut(
    recorded: Recorded, first: int, views: int, steps: int, moving: Bool[Tensor, "N H W"] | None = None
) -> Episode:
    """`views` observed frames from `first` on, then `steps` to imagine, at the cameras that were recorded.

    moving: of all N frames. Raises ValueError for an episode without cameras or depth, and for one that is too short.
    """
    if recorded.w2c is None or recorded.depth is None:
        raise ValueError(
            "cut: expected an episode with cameras and depth, which judge and command a rollout; got none; record it "
            "in a simulator"
        )
    start, end = first + views, first + views + steps
    if first < 0 or views < 1 or steps < 1 or end > len(recorded):
        raise ValueError(
            f"cut: expected views and steps within {len(recorded)} frames; got {views} views from {first} and {steps} "
            "steps; ask for fewer, or record more"
        )
    seen = [recorded.view(i) for i in range(first, start)]
    cameras = [recorded.view(i).camera for i in range(start, end)]
    return Episode(
        recorded.seed,
        tuple(seen),
        recorded.actions[first : start - 1],
        recorded.actions[start - 1 : end - 1],
        tuple(cameras),
        recorded.rgb[start:end].float() / 255,
        recorded.depth[start:end],
        recorded_depth([view.camera for view in seen] + cameras, recorded.depth[first:end]),
        None if moving is None else moving[start:end],
    )


def recorded_depth(
    cameras: Sequence[Camera], depths: Float[Tensor, "N H W"]
) -> Callable[[Camera], Float[Tensor, "H W"]]:
    """An oracle that knows the depth of these cameras, and of no other: it raises ValueError for another one."""
    known = torch.stack([camera.w2c for camera in cameras])

    def oracle(camera: Camera) -> Tensor:
        away = (known - camera.w2c.to(known)).abs().amax((1, 2))
        nearest = int(away.argmin())
        if float(away[nearest]) > SAME_CAMERA:
            raise ValueError(
                "oracle: expected one of the episode's own cameras, whose depth was recorded; got another; pass "
                "cameras=episode.cameras to imagine"
            )
        return depths[nearest]

    return oracle


class Film:
    """What a simulator shows while it is driven, frame by frame; `episode` is the recording."""

    def __init__(self, seen: dict[str, Any], info: dict[str, Any], moving: np.ndarray | None = None) -> None:
        self._seen, self._actions, self._first = [seen], [], info["view"]
        self._moving = [moving]

    def add(self, seen: dict[str, Any], info: dict[str, Any], moving: np.ndarray | None = None) -> None:
        """What came of an action, which is info["action"] as carried out."""
        self._seen.append(seen)
        self._actions.append(info["action"])
        self._moving.append(moving)

    def __len__(self) -> int:
        return len(self._seen)

    def episode(self, world: str, seed: int, **more: Any) -> Recorded:
        """more: further fields of a recorded episode (action_names, fps)."""
        view = self._first
        return Recorded(
            self._stack("rgb"),
            self._stack("camera"),
            view.camera.K,
            torch.from_numpy(np.stack(self._actions)),
            right=self._stack("right") if "right" in self._seen[0] else None,
            depth=self._stack("depth"),
            baseline=view.baseline,
            world=world,
            seed=seed,
            **more,
        )

    def moving(self) -> Bool[Tensor, "N H W"] | None:
        """Of every frame, where the world told it."""
        told = [each for each in self._moving if each is not None]
        return torch.from_numpy(np.stack(told)) if len(told) == len(self._moving) else None

    def _stack(self, key: str) -> Tensor:
        return torch.from_numpy(np.stack([seen[key] for seen in self._seen]))


def seen_from(views: Sequence[View], cameras: Sequence[Camera]) -> tuple[View, ...]:
    """The same pictures as if these cameras had taken them: a memory of the wrong place."""
    return tuple(
        View(v.image, camera, depth=v.depth, right=v.right, baseline=v.baseline)
        for v, camera in zip(views, cameras, strict=True)
    )
