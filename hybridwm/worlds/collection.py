"""Episodes made in a world by its own players: each is a function of its seed alone, so that shards and batches agree.

WORLDS: by name, `play(seed, frames, size)` → an Episode of at most `frames` frames of size x size pixels.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Sequence

import torch

from render import Camera

from .episodes import Episode
from .rooms.layout import make_room, stack_rooms
from .rooms.raycast import raycast
from .rooms.rig import RoomsRig
from .rooms.walkers import walk

WALK_SEED = 0
FRAMES_AT_ONCE = 16

Play = Callable[[int, int, int], Episode]
NEEDS = {"doom": ("vizdoom", "doom"), "arm": ("mujoco", "arm")}  # world: library, extra


@torch.no_grad()
def walk_rooms(
    seeds: Sequence[int], frames: int, rig: RoomsRig, device: torch.device | str = "cpu"
) -> list[Episode]:
    """One walk of `frames` frames through the room of each seed, seen by both eyes, with true depth."""
    if frames < 2:
        raise ValueError(f"expected at least 2 frames in an episode, for one action; got {frames}")
    rooms = stack_rooms([make_room(seed) for seed in seeds], device)
    path = walk(rooms, frames - 1, WALK_SEED, rig=rig)
    rgb, depth = [], []
    for first in range(0, frames, FRAMES_AT_ONCE):
        eyes = rig.stereo(path.w2c[:, first : first + FRAMES_AT_ONCE])
        steps = eyes.batch_shape[1]
        seen = raycast(rooms, Camera(eyes.K.flatten(1, 2), eyes.w2c.flatten(1, 2), eyes.width, eyes.height))
        rgb.append((seen.rgb.clamp(0, 1) * 255).round().to(torch.uint8).unflatten(1, (steps, 2)).cpu())
        depth.append(seen.depth.unflatten(1, (steps, 2))[:, :, 0].cpu())
    colours, depths = torch.cat(rgb, 1), torch.cat(depth, 1)
    K = rig.camera(path.w2c[0, 0]).K.cpu()
    return [
        Episode(
            colours[i, :, 0],
            path.w2c[i].cpu(),
            K,
            path.actions[i].cpu(),
            right=colours[i, :, 1],
            depth=depths[i],
            baseline=rig.baseline,
            world="rooms",
            seed=seed,
        )
        for i, seed in enumerate(seeds)
    ]


def _rooms(seed: int, frames: int, size: int) -> Episode:
    return walk_rooms([seed], frames, RoomsRig(size=size))[0]


def _doom(seed: int, frames: int, size: int) -> Episode:
    from .doom.collection import play_episode

    return play_episode(seed, frames, size)


def _arm(seed: int, frames: int, size: int) -> Episode:
    from .arm.collection import play_episode

    return play_episode(seed, frames, size)


WORLDS: dict[str, Play] = {"rooms": _rooms, "doom": _doom, "arm": _arm}


def check_world(name: str) -> None:
    """Raises ValueError for a world that there is not, ModuleNotFoundError where its library is not installed."""
    if name not in WORLDS:
        raise ValueError(f"world: expected one of {', '.join(WORLDS)}; got '{name}'.")
    library, extra = NEEDS.get(name, ("torch", ""))
    if importlib.util.find_spec(library) is None:
        raise ModuleNotFoundError(
            f"world '{name}' needs {library}; it is not installed. Run: pip install 'hybridwm[{extra}]'"
        )


def play(world: str, seeds: Sequence[int], frames: int, size: int, device: str = "cpu") -> Iterator[Episode]:
    """The episodes of these seeds, in their order; rooms are ray cast together, on `device`."""
    if world == "rooms":
        yield from walk_rooms(seeds, frames, RoomsRig(size=size), device)
        return
    for seed in seeds:
        yield WORLDS[world](seed, frames, size)
