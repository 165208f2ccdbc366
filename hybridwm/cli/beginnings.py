"""Where a dream begins: the views of an episode, of a reconstruction, or of a stereo pair, cut to what a core takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from recon import View, read_calibration
from recon.pipeline import read_pair
from render import Camera

from ..core.config import CoreConfig
from ..training.vectors import clearance, odometry
from ..worlds.collection import walk_rooms
from ..worlds.lerobot import find_datasets
from ..worlds.named_episode import named_episode
from ..worlds.resize import resized
from ..worlds.rooms.layout import make_room, stack_rooms
from ..worlds.rooms.raycast import Raycast, raycast
from ..worlds.rooms.rig import RoomsRig

START = "start.safetensors"  # what reconstruct leaves in its run folder
CAMERA_UP = (0.0, -1.0, 0.0)  # a world that is the axes of a level camera


@dataclass(frozen=True)
class Ahead:
    """What an episode goes on with: its actions, the frames that they led to, and their cameras where there are any."""

    actions: Float[Tensor, "T a"]
    frames: Float[Tensor, "T H W 3"]
    cameras: list[Camera] | None


@dataclass(frozen=True)
class Beginning:
    """The observed views in time order and the world's up; and, of a simulated world, depth [H, W] (metres) and
    image [H, W, 3] at any camera, and the vectors that came with each view, by name. Of an episode: the actions between
    the views, and what came after them."""

    views: list[View]
    up: tuple[float, float, float]
    depth: Callable[[Camera], Tensor] | None = None
    truth: Callable[[Camera], Tensor] | None = None
    vectors: list[dict[str, Tensor]] | None = None
    led: Float[Tensor, "V_1 a"] | None = None
    ahead: Ahead | None = None

    def told(self, core: CoreConfig) -> list[dict[str, Tensor]] | None:
        """The core's vectors of each view, None for a core without. Raises ValueError where they were not kept."""
        names = [name for name, _ in core.vectors]
        if not names:
            return None
        if not self.vectors or not set(names) <= set(self.vectors[0]):
            known = sorted(self.vectors[0]) if self.vectors else "none"
            raise ValueError(
                f"rollout: these weights are told {', '.join(names)} with every view; expected a beginning that has "
                f"them, got {known}. Begin in a room (leave --start out) with weights that were trained on rooms."
            )
        return [{name: view[name] for name in names} for view in self.vectors]


def from_room(seed: int, views: int, width: int, height: int, episodes: dict[str, Any]) -> Beginning:
    """The first `views` frames of a walk through the room of a seed, seen by the rig of the weights' `episodes`."""
    known = {name: episodes[name] for name in ("fov_x", "baseline") if name in episodes}
    rig = RoomsRig(width, height=height, **known)
    episode = walk_rooms([seed], max(2, views), rig)[0]
    rooms = stack_rooms([make_room(seed)])

    def cast(camera: Camera) -> Raycast:
        flat = camera.to("cpu")
        return raycast(rooms, Camera(flat.K[None, None], flat.w2c[None, None], flat.width, flat.height))

    seen = episode.views()[:views]
    led = torch.cat([torch.zeros_like(episode.actions[:1]), episode.actions])
    return Beginning(
        seen,
        episode.up,
        vectors=[
            {"odometry": odometry(led[i]), "clearance": clearance(view.depth)}
            for i, view in enumerate(seen)
            if view.depth is not None
        ],
        depth=lambda camera: cast(camera).depth[0, 0].to(camera.device),
        truth=lambda camera: cast(camera).rgb[0, 0].to(camera.device),
    )


def from_path(
    path: Path,
    width: int,
    height: int,
    views: int,
    *,
    depth: bool = False,
    K: Sequence[Sequence[float]] | None = None,
    going_on: bool = False,
) -> Beginning:
    """The last `views` views of an episode (a file, or FOLDER#i of a LeRobot dataset), of what `reconstruct` left, or
    of im0.png, im1.png and calib.txt, cut to width x height; with their depth for a core that reads it.

    K: intrinsics at that size, for episodes without cameras, which are then taken to stand still. going_on: the first
    views of the episode, with what came after them as `ahead`. Raises FileNotFoundError, FormatError, ValueError."""
    if path.is_dir() and (path / "calib.txt").is_file():
        return Beginning(fit([_pair(path)], width, height), CAMERA_UP)
    if path.is_dir() and not (path / START).is_file() and not find_datasets(path):
        raise FileNotFoundError(
            f"{path}: expected {START} (hybridwm reconstruct writes it), a LeRobot dataset (hybridwm collect), or "
            "im0.png, im1.png and calib.txt, found none of them"
        )
    episode = named_episode(path / START if (path / START).is_file() else path)
    still = episode.w2c is None
    if still and K is not None:
        episode = replace(
            resized(episode, width, height), w2c=torch.eye(4).repeat(len(episode), 1, 1), K=torch.tensor(K)
        )
    first = 0 if going_on else max(0, len(episode) - views)
    seen = fit(episode.views()[first:], width, height, depth=depth)
    ahead, led = None, episode.actions[first : first + views - 1]
    if going_on:
        if len(episode) <= views:
            raise ValueError(f"{path}: expected more than --views {views} frames to go on with; got {len(episode)}.")
        cameras = None if still else [view.camera for view in seen[views:]]
        ahead = Ahead(episode.actions[views - 1 :], torch.stack([view.image for view in seen[views:]]), cameras)
    return Beginning(seen[:views], episode.up, led=led, ahead=ahead)


def fit(views: Sequence[View], width: int, height: int, *, depth: bool = False) -> list[View]:
    """The views cut to the middle, to these proportions, and scaled to this size; with their depth, or without.

    The right eye is cut with its own principal point in the same place, so its disparity offset is all but gone.
    """
    return [_fit(view, width, height, depth) for view in views]


def _fit(view: View, width: int, height: int, depth: bool) -> View:
    scale = min(view.width / width, view.height / height)
    if scale < 1:
        raise ValueError(f"expected start views of at least {width}x{height}; got {view.width}x{view.height}")
    cut_width, cut_height = round(width * scale), round(height * scale)
    x, y = (view.width - cut_width) // 2, (view.height - cut_height) // 2
    shift = round(view.disparity_offset)
    right_x = min(max(0, x + shift), view.width - cut_width)

    def cut(image: Float[Tensor, "H W 3"], left: int) -> Float[Tensor, "h w 3"]:
        window = image[y : y + cut_height, left : left + cut_width].permute(2, 0, 1)[None]
        return interpolate(window, (height, width), mode="area")[0].permute(1, 2, 0).contiguous()

    kept = None
    if depth and view.depth is not None:
        # depth of one pixel, and no average over edges
        window = view.depth[y : y + cut_height, x : x + cut_width][None, None]
        kept = interpolate(window, (height, width), mode="nearest-exact")[0, 0].contiguous()
    sx, sy = width / cut_width, height / cut_height
    moved = torch.tensor([[sx, 0, -x * sx], [0, sy, -y * sy], [0, 0, 1]], dtype=view.camera.K.dtype)
    # Otherwise depth is left out: every arm measures the views that it starts from anew.
    return replace(
        view,
        image=cut(view.image, x),
        camera=Camera(moved @ view.camera.K, view.camera.w2c, width, height),
        depth=kept,
        confidence=None,
        right=None if view.right is None else cut(view.right, right_x),
        disparity_offset=(view.disparity_offset - (right_x - x)) * sx,
    )


def _pair(folder: Path) -> View:
    calibration = read_calibration(folder / "calib.txt")
    left, right = read_pair(folder / "im0.png", folder / "im1.png")
    camera = calibration.camera(left.shape[1], left.shape[0])
    offset = calibration.disparity_offset
    return View(left, camera, right=right, baseline=calibration.baseline, disparity_offset=offset)
