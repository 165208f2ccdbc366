"""Remembered frames for training: what the memories of `hybridwm.memory` may give at use, from a walk's own past."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from ..core.clip import RememberedTokens
from ..core.codec import Codec
from ..core.config import CoreConfig
from ..core.embeddings import patchify, ray_map
from .config import TrainConfig
from .episodes import Episodes
from .rig import Rig

WHOLE = 4
"""Frames at full size, as camera-retrieved ones are given."""
CANDIDATES = 12
SLOTS = 20
"""Frames at (1/2, 3/8) of the size, as Loopy's segments are given."""
SMALL = (1 / 2, 3 / 8)


def remembers(config: TrainConfig, step: int) -> bool:
    """Whether a step shows remembered frames: all units of its batch or none, so that every process trains the same
    parameters."""
    generator = torch.Generator().manual_seed((config.seed * 1_000_003 + step) * 7919 + 18)
    return float(torch.rand((), generator=generator)) < config.remembered


def remembered_tokens(
    episodes: Episodes,
    walk: Int[Tensor, "B"],
    frames: Int[Tensor, "B F"],
    core: CoreConfig,
    rig: Rig,
    generator: torch.Generator,
) -> RememberedTokens:
    """Half of the time the nearest of some past frames, half of the time slots over the whole past."""
    device = generator.device
    b, f = frames.shape
    whole = float(torch.rand((), generator=generator, device=device)) < 0.5
    past = frames[:, :1] - 1
    count = CANDIDATES if whole else SLOTS
    index = (torch.rand((b, count), generator=generator, device=device) * (past + 1)).long()
    size = (core.height, core.width)
    if whole:
        middle = frames[:, f // 2 :][:, :1]
        distance = _apart(episodes.w2c[walk[:, None], index], episodes.w2c[walk[:, None], middle])
        index = index.gather(1, distance.argsort(1)[:, :WHOLE])
    else:
        index = index.sort(1).values
        size = tuple(int(side * s) // core.patch * core.patch for side, s in zip(size, SMALL, strict=True))
    if whole or episodes.latents is None:
        shown = episodes.video(walk, index, core)
    else:
        shown = _small_latents(episodes, episodes.latents.codec, walk, index, size)
    if not whole and episodes.latents is None:
        flat = shown.flatten(0, 1)
        small = F.interpolate(flat, size, mode="area")
        if core.rgbd:
            # a mean of two surfaces lies on neither
            small[:, 3:] = F.interpolate(flat[:, 3:], size, mode="nearest-exact")
        shown = small.unflatten(0, index.shape)
    patches = patchify(shown, core.patch).flatten(1, 2)

    K = rig.camera(episodes.w2c[walk[:, None], index]).K.clone()
    K[..., 0, :] *= size[1] / core.image_size[1]
    K[..., 1, :] *= size[0] / core.image_size[0]
    # frame_from_remembered = frame_from_world @ world_from_remembered
    w2c = episodes.w2c[walk[:, None], frames]
    to = w2c[:, :, None] @ torch.linalg.inv(episodes.w2c[walk[:, None], index])[:, None]
    rays = ray_map(K[:, None].expand(-1, f, -1, -1, -1), to, patch=core.patch, width=size[1], height=size[0])
    rays = rays.flatten(2, 3)
    tokens = rays.shape[2] // index.shape[1]
    # some of the slots are not there yet, as at the beginning of a rollout
    there = torch.rand(index.shape, generator=generator, device=device) > 0.5 * torch.rand(
        (b, 1), generator=generator, device=device
    )
    return RememberedTokens(patches, rays, there.repeat_interleave(tokens, 1))


def _small_latents(
    episodes: Episodes, codec: Codec, walk: Int[Tensor, "B"], index: Int[Tensor, "B N"], size: tuple[int, ...]
) -> Float[Tensor, "B N C h w"]:
    """Frames of `size` from smaller images, as at use: a smaller latent would not be a smaller image's."""
    images = episodes.rgb[walk[:, None], index].movedim(-1, -3).float() / 255
    small = F.interpolate(images.flatten(0, 2), tuple(side * codec.factor for side in size), mode="area")
    return codec.encode(small.movedim(1, -1)).unflatten(0, images.shape[:3]).flatten(2, 3)


def _apart(a: Float[Tensor, "B N 4 4"], b: Float[Tensor, "B 1 4 4"]) -> Float[Tensor, "B N"]:
    """How far apart two cameras look: 1 - cosine of the viewing directions, and metres."""
    facing = (a[..., 2, :3] * b[..., 2, :3]).sum(-1)
    centres = [-(w2c[..., :3, :3].mT @ w2c[..., :3, 3:])[..., 0] for w2c in (a, b)]
    return 1 - facing + (centres[0] - centres[1]).norm(dim=-1)
