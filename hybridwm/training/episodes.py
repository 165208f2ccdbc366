"""Walks through procedural rooms for training: made in batch on the training device, kept shard by shard."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float, Int, UInt8
from safetensors.torch import load_file, save_file
from torch import Tensor
from tqdm import tqdm

from render import Camera
from render.files import atomic_write

from ..core.codec import Codec, PixelCodec
from ..core.conditioning import depth_channel
from ..core.config import CoreConfig
from ..worlds.rooms.layout import make_room, stack_rooms
from ..worlds.rooms.raycast import raycast
from ..worlds.rooms.rig import RoomsRig
from ..worlds.rooms.walkers import walk
from .config import EpisodesConfig
from .latents import Latents, latents_of
from .vectors import clearance, odometry


@dataclass(frozen=True)
class Episodes:
    """N walks of T frames. actions[:, i] led to frame i (zeros at i = 0). latents: the frames of a core of latents."""

    rgb: UInt8[Tensor, "N T E H W 3"]
    depth: Float[Tensor, "N T H W"]
    w2c: Float[Tensor, "N T 4 4"]
    actions: Float[Tensor, "N T a"]
    latents: Latents | None = None

    def __len__(self) -> int:
        return self.rgb.shape[0]

    def video(self, walk: Int[Tensor, "B"], frames: Int[Tensor, "B F"], core: CoreConfig) -> Float[Tensor, "B F C H W"]:
        """Frames of some walks as the core reads them, -1…1; an rgb-d core's with the left eye's depth."""
        if self.latents is not None:
            return self.latents.frames[walk[:, None], frames].flatten(2, 3).float()
        colours = self.rgb[walk[:, None], frames].movedim(-1, -3).flatten(2, 3).float() / 127.5 - 1
        if not core.rgbd:
            return colours
        return torch.cat([colours, depth_channel(self.depth[walk[:, None], frames].float())[:, :, None]], 2)

    def vectors(
        self, walk: Int[Tensor, "B"], frames: Int[Tensor, "B F"], core: CoreConfig
    ) -> Float[Tensor, "B F v"] | None:
        """What these frames tell beside their images, in the order of the core's vectors; None where it has none."""
        if not core.vectors:
            return None
        index = (walk[:, None], frames)
        told = {"odometry": odometry(self.actions[index]), "clearance": clearance(self.depth[index].float())}
        return torch.cat([told[name] for name, _ in core.vectors], -1)

    def to(self, device: torch.device) -> Episodes:
        rgb, depth, w2c, actions = (x.to(device) for x in (self.rgb, self.depth, self.w2c, self.actions))
        return Episodes(rgb, depth, w2c, actions, None if self.latents is None else self.latents.to(device))

    def split(self, last: int) -> tuple[Episodes, Episodes]:
        """All but the last walks, and the last ones."""
        return self._walks(slice(None, -last)), self._walks(slice(-last, None))

    def _walks(self, chosen: slice) -> Episodes:
        latents = None if self.latents is None else self.latents[chosen]
        return Episodes(self.rgb[chosen], self.depth[chosen], self.w2c[chosen], self.actions[chosen], latents)

    def encoded(self, codec: Codec) -> Episodes:
        """With latents, which are pixels' own frames where the codec is of pixels."""
        return self if isinstance(codec, PixelCodec) else replace(self, latents=latents_of(self.rgb, codec))


@torch.no_grad()
def make_episodes(
    seeds: list[int],
    steps: int,
    rig: RoomsRig,
    device: torch.device,
    *,
    eyes: int = 2,
    frames_at_once: int = 10,
) -> Episodes:
    """Ray-cast one walk in the room of each seed; the walk is a function of the seeds."""
    rooms = stack_rooms([make_room(seed) for seed in seeds], device)
    path = walk(rooms, steps - 1, seed=seeds[0])
    rgb, depth = [], []
    for first in range(0, steps, frames_at_once):
        pairs = rig.stereo(path.w2c[:, first : first + frames_at_once])[:, :, :eyes]
        shape = pairs.batch_shape
        flat = Camera(pairs.K.flatten(1, 2), pairs.w2c.flatten(1, 2), pairs.width, pairs.height)
        seen = raycast(rooms, flat)
        rgb.append((seen.rgb * 255).round().to(torch.uint8).unflatten(1, shape[1:]).cpu())
        depth.append(seen.depth.unflatten(1, shape[1:])[:, :, 0].half().cpu())
    actions = torch.cat([torch.zeros_like(path.actions[:, :1]), path.actions], 1)
    return Episodes(torch.cat(rgb, 1), torch.cat(depth, 1), path.w2c.cpu(), actions.cpu())


def load_or_make(
    folder: Path, config: EpisodesConfig, rig: RoomsRig, device: torch.device, *, eyes: int, quiet: bool = False
) -> Episodes:
    """The run's walks, training ones first and validation ones last; shards already in `folder` are not made again."""
    seeds = [config.first_seed + i for i in range(config.episodes + config.validation)]
    chunks = [seeds[i : i + config.batch] for i in range(0, len(seeds), config.batch)]
    shards = []
    for chunk in tqdm(chunks, desc="episodes", unit="shard", disable=quiet):
        path = folder / f"rooms-{chunk[0]:08d}.safetensors"
        if not path.exists():
            made = make_episodes(chunk, config.steps, rig, device, eyes=eyes)
            with atomic_write(path) as temporary:
                save_file({name: getattr(made, name).contiguous() for name in _FIELDS}, temporary)
        shards.append(_read_shard(path, len(chunk), config.steps, eyes))
    rgb, depth, w2c, actions = (torch.cat([getattr(s, name) for s in shards]) for name in _FIELDS)
    return Episodes(rgb, depth, w2c, actions)


_FIELDS = ("rgb", "depth", "w2c", "actions")


def _read_shard(path: Path, episodes: int, steps: int, eyes: int) -> Episodes:
    tensors = load_file(path)
    shape = tuple(tensors["rgb"].shape[:3]) if set(tensors) == set(_FIELDS) else None
    if shape != (episodes, steps, eyes):
        raise ValueError(
            f"{path}: expected walks of another configuration, {(episodes, steps, eyes)} (episodes, steps, eyes); "
            f"found {shape}. Use a new run folder or remove the old shards."
        )
    return Episodes(tensors["rgb"], tensors["depth"], tensors["w2c"], tensors["actions"])
