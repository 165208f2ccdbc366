"""Single images of procedural rooms from cameras of many kinds, with true depth; and changes of their colours."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int, UInt8
from safetensors.torch import load_file, save_file
from torch import Tensor
from tqdm import tqdm

from render import Camera
from render.files import atomic_write

from ...worlds.rooms.collision import generator, sample_free_pose
from ...worlds.rooms.layout import make_room, stack_rooms
from ...worlds.rooms.raycast import raycast
from .monocular_config import SightsConfig

RADIUS = 0.35  # metres between the eye and whatever is nearest
LARGEST_PITCH = 35.0  # degrees
LOWEST_EYE, HIGHEST_EYE = 0.4, 1.9  # metres: a free place is free between these


@dataclass(frozen=True)
class Sights:
    """N images with depth (metres), focal length and principal point [x, y] (both in pixels)."""

    rgb: UInt8[Tensor, "N H W 3"]
    depth: Float[Tensor, "N H W"]
    focal: Float[Tensor, "N"]
    principal: Float[Tensor, "N 2"]

    def __len__(self) -> int:
        return len(self.rgb)

    def __getitem__(self, index: slice | Int[Tensor, "M"]) -> Sights:
        return Sights(*(getattr(self, name)[index] for name in FIELDS))

    def to(self, device: torch.device) -> Sights:
        return Sights(*(getattr(self, name).to(device) for name in FIELDS))


FIELDS = ("rgb", "depth", "focal", "principal")


def make_sights(seeds: list[int], config: SightsConfig, side: int) -> Sights:
    """side x side pixels images, config.images of each room: a function of each room's seed."""
    rooms = stack_rooms([make_room(seed) for seed in seeds])
    poses, intrinsics = [], []
    for k in range(config.images):
        draws = torch.stack([torch.randn(8, generator=generator(seed, k, 11)) for seed in seeds])
        uniform = 0.5 * (1 + torch.erf(draws / math.sqrt(2)))
        level = sample_free_pose(rooms, k, RADIUS, config.eye_height)
        rise = (2 * uniform[:, 0] - 1) * config.height_spread * (k % 2)
        rise = rise.clamp(LOWEST_EYE - config.eye_height, HIGHEST_EYE - config.eye_height)
        poses.append(turned(level, rise, draws[:, 1:4], config))
        fov = config.least_fov + uniform[:, 4] * (config.largest_fov - config.least_fov)
        K = torch.eye(3).repeat(len(seeds), 1, 1)
        K[:, 0, 0] = K[:, 1, 1] = side / 2 / torch.tan(torch.deg2rad(fov) / 2)
        K[:, :2, 2] = side / 2 + config.principal * draws[:, 5:7].clamp(-2, 2)
        intrinsics.append(K)
    K = torch.stack(intrinsics, dim=1)
    seen = raycast(rooms, Camera(K, torch.stack(poses, dim=1), side, side))
    return Sights(
        (seen.rgb * 255).round().to(torch.uint8).flatten(0, 1),
        seen.depth.half().flatten(0, 1),
        K[..., 0, 0].flatten().contiguous(),
        K[..., :2, 2].flatten(0, 1).contiguous(),
    )


def turned(
    level: Float[Tensor, "E 4 4"], rise: Float[Tensor, "E"], draws: Float[Tensor, "E 3"], config: SightsConfig
) -> Float[Tensor, "E 4 4"]:
    """Level cameras raised by `rise` metres and turned on the spot; draws: of normal distributions."""
    yaw = draws[:, 0] * math.radians(15)  # places come with headings of whole 15 degrees
    pitch = torch.deg2rad((draws[:, 1] * config.pitch).clamp(-LARGEST_PITCH, LARGEST_PITCH))
    roll = torch.deg2rad(draws[:, 2] * config.roll)
    raised = level.clone()
    raised[:, :3, 3] -= level[:, :3, 2] * rise[:, None]  # the world's up is +z
    return rotation(roll, 0, 1) @ rotation(pitch, 1, 2) @ rotation(yaw, 2, 0) @ raised


def rotation(angle: Float[Tensor, "E"], a: int, b: int) -> Float[Tensor, "E 4 4"]:
    """By `angle` radians from axis a to axis b."""
    out = torch.eye(4).repeat(len(angle), 1, 1)
    out[:, a, a] = out[:, b, b] = angle.cos()
    out[:, a, b], out[:, b, a] = -angle.sin(), angle.sin()
    return out


def load_or_make(folder: Path, config: SightsConfig, side: int) -> tuple[Sights, Sights]:
    """The run's images, training and validation ones; shards already in `folder` are not made again.

    Raises ValueError for shards of another configuration.
    """
    seeds = [config.first_seed + i for i in range(config.rooms + config.validation)]
    chunks = [seeds[i : i + config.batch] for i in range(0, len(seeds), config.batch)]
    shards = []
    for chunk in tqdm(chunks, desc="images", unit="shard"):
        path = folder / f"sights-{chunk[0]:08d}.safetensors"
        if not path.exists():
            made = make_sights(chunk, config, side)
            with atomic_write(path) as temporary:
                save_file({name: getattr(made, name).contiguous() for name in FIELDS}, temporary)
        tensors = load_file(path)
        expected = (len(chunk) * config.images, side, side)
        found = tuple(tensors["depth"].shape) if set(tensors) == set(FIELDS) else None
        if found != expected:
            raise ValueError(
                f"{path}: expected images of another configuration, {expected} (images, height, width); found "
                f"{found}. Use a new run folder or remove the old shards."
            )
        shards.append(tensors)
    every = Sights(*(torch.cat([shard[name] for shard in shards]) for name in FIELDS))
    first = config.rooms * config.images
    return every[:first], every[first:]


def mirrored(sights: Sights, which: Tensor) -> Sights:
    """The images whose entry in the boolean tensor `which` is true, with left and right exchanged."""
    width = sights.rgb.shape[2]
    x = torch.where(which, width - sights.principal[:, 0], sights.principal[:, 0])
    return Sights(
        torch.where(which[:, None, None, None], sights.rgb.flip(2), sights.rgb),
        torch.where(which[:, None, None], sights.depth.flip(2), sights.depth),
        sights.focal,
        torch.stack([x, sights.principal[:, 1]], dim=1),
    )


def recoloured(image: Float[Tensor, "B 3 H W"], plain: float, stream: torch.Generator) -> Float[Tensor, "B 3 H W"]:
    """Images as other cameras and imagined frames have them: gain, tint, gamma, blur and noise; a share stays plain."""
    count = len(image)

    def draw(*shape: int) -> Tensor:
        return torch.rand(count, *shape, generator=stream, device=stream.device)

    exponent = (0.7 * (draw(1, 1, 1) - 0.5)).exp()
    gain = (0.5 * (draw(1, 1, 1) - 0.5) + 0.3 * (draw(3, 1, 1) - 0.5)).exp()
    offset = 0.1 * (draw(3, 1, 1) - 0.5)
    changed = gain * image.clamp(min=1e-4) ** exponent + offset
    softer = torch.nn.functional.avg_pool2d(changed, 3, stride=1, padding=1, count_include_pad=False)
    softest = torch.nn.functional.avg_pool2d(softer, 5, stride=1, padding=2, count_include_pad=False)
    # half of them keep their sharpness, the others lie between sharp, soft and softest
    blur = (2 * draw(1, 1, 1) - 1).clamp(min=0)
    changed = torch.lerp(changed, torch.lerp(softer, softest, draw(1, 1, 1)), blur)
    noise = torch.randn(image.shape, generator=stream, device=stream.device)
    changed = changed + 0.04 * draw(1, 1, 1).square() * noise
    return torch.where(draw(1, 1, 1) < plain, image, changed.clamp(0, 1))
