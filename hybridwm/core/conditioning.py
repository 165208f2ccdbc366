"""What the loop knows (images, cameras, recalled renders) as the tensors that the core reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from render import Camera, RenderOutput

from .clip import RememberedTokens
from .config import CoreConfig
from .embeddings import patchify, ray_map

HIDDEN = 0.05
"""Below this alpha a recalled colour is noise divided by almost nothing: it is shown as grey."""

NEAR, FAR = 0.5, 50.0
"""Metres. Depth z is a channel 2 · min(1, NEAR / z) - 1, so that near things, which parallax and touch tell of, have
most of its range. What is nearer than NEAR is at NEAR; beyond FAR, and 0 m, is no measurement: -1."""


@dataclass(frozen=True)
class Remembered:
    """A frame that memory kept, with the (left) camera that it was seen from. It may be smaller than the core's frames:
    height and width are multiples of the patch, and the camera is scaled with it. depth: metres, 0 where unknown; an
    rgb-d core needs it."""

    image: Float[Tensor, "h w 3"]
    camera: Camera
    right: Float[Tensor, "h w 3"] | None = None
    depth: Float[Tensor, "h w"] | None = None


@dataclass(frozen=True)
class Recalled:
    """What memory knows from a camera: a render for each eye (or none) and remembered frames with their cameras.

    `RenderOutput.features[..., 0]` is the observed share, premultiplied by alpha as colours are.
    """

    renders: tuple[RenderOutput, ...] = ()
    frames: tuple[Remembered, ...] = ()


def to_video(
    image: Float[Tensor, "*B H W 3"],
    right: Float[Tensor, "*B H W 3"] | None,
    depth: Float[Tensor, "*B H W"] | None = None,
) -> Float[Tensor, "*B C H W"]:
    """Channels-last images 0…1 to a channels-first video frame -1…1, left eye first, depth (metres) last."""
    eyes = image if right is None else torch.cat([image, right], -1)
    video = eyes.movedim(-1, -3) * 2 - 1
    return video if depth is None else torch.cat([video, depth_channel(depth)[..., None, :, :]], -3)


def to_images(
    frame: Float[Tensor, "*B C H W"],
) -> tuple[Float[Tensor, "*B H W 3"], Float[Tensor, "*B H W 3"] | None]:
    """Inverse of `to_video`, quantised to 8 bits (against drift: DIAMOND, Alonso et al. 2024)."""
    images = ((frame.clamp(-1, 1) + 1) * 127.5).round().div(255).movedim(-3, -1)
    if images.shape[-1] != 6:
        return images[..., :3], None
    return images[..., :3], images[..., 3:]


def to_depth(frame: Float[Tensor, "*B C H W"]) -> Float[Tensor, "*B H W"] | None:
    """Depth in metres of an rgb-d frame (4 channels), 0 where nothing is measured; None for other frames."""
    if frame.shape[-3] != 4:
        return None
    near = (frame[..., 3, :, :].clamp(-1, 1) + 1) / 2
    return torch.where(near >= NEAR / FAR, NEAR / near.clamp(min=NEAR / FAR), 0.0)


def depth_channel(depth: Float[Tensor, "*B H W"]) -> Float[Tensor, "*B H W"]:
    """Metres (0: no measurement) as the channel -1…1 of an rgb-d frame; see NEAR."""
    known = (depth > 0) & (depth <= FAR)
    return torch.where(known, 2 * NEAR / depth.clamp(min=NEAR) - 1, -1.0)


def quantise(frame: Float[Tensor, "*B C H W"]) -> Float[Tensor, "*B C H W"]:
    """The frame as it is after `to_images` and back: colours in 256 levels; depth, which would lose more, as it is."""
    levels = ((frame.clamp(-1, 1) + 1) * 127.5).round() / 127.5 - 1
    depth = to_depth(frame)
    if depth is None:
        return levels
    return torch.cat([levels[..., :3, :, :], depth_channel(depth)[..., None, :, :]], -3)


def recall_channels(
    rgb: Float[Tensor, "*B E H W 3"],
    alpha: Float[Tensor, "*B E H W"],
    observed: Float[Tensor, "*B E H W"],
    depth: Float[Tensor, "*B E H W"] | None = None,
) -> Float[Tensor, "*B r H W"]:
    """Premultiplied renders of each eye as recall channels: rgb -1…1 of each eye (and depth, from metres where alpha
    is above a half), alphas, observed shares."""
    weight = alpha.clamp(min=HIDDEN)[..., None]
    known = (alpha > HIDDEN)[..., None]
    colour = torch.where(known, (rgb / weight).clamp(0, 1) * 2 - 1, 0.0)
    share = torch.where(alpha > HIDDEN, (observed / weight[..., 0]).clamp(0, 1), 0.0)
    colour = colour.movedim(-1, -3)
    if depth is not None:
        colour = torch.cat([colour, depth_channel(depth)[..., None, :, :]], -3)
    colour = colour.flatten(-4, -3)
    return torch.cat([colour, alpha, share], -3)


def recall_tensor(
    recalled: Recalled, eyes: int, height: int, width: int, *, depth: bool = False
) -> Float[Tensor, "r H W"] | None:
    """The recall channels of one camera, with or without the renders' depth, or none when memory gave no render."""
    if not recalled.renders:
        return None
    if len(recalled.renders) != eyes:
        raise ValueError(f"Recalled.renders: expected one for each of {eyes} eyes; got {len(recalled.renders)}.")
    rgb = torch.stack([r.rgb for r in recalled.renders])
    if tuple(rgb.shape[1:3]) != (height, width):
        raise ValueError(
            f"Recalled.renders: expected {height}x{width} as the core imagines; got {rgb.shape[1]}x{rgb.shape[2]}."
        )
    alpha = torch.stack([r.alpha for r in recalled.renders])
    observed = torch.stack(
        [alpha[i] if r.features is None else r.features[..., 0] for i, r in enumerate(recalled.renders)]
    )
    return recall_channels(rgb, alpha, observed, torch.stack([r.depth for r in recalled.renders]) if depth else None)


def remembered_tokens(
    frames: Sequence[Remembered], camera: Camera, config: CoreConfig, encode: Callable[..., Tensor] = to_video
) -> RememberedTokens:
    """Patches of remembered frames, and their rays in the camera's axes; a batch and a clip of one. encode: (image,
    right, depth) to a frame."""
    side = config.patch * config.factor  # of a patch, in image pixels
    patches, rays = [], []
    for frame in frames:
        height, width = frame.image.shape[:2]
        if height % side or width % side:
            raise ValueError(f"Remembered.image: expected sides that patch={side} divides; got {height}x{width}.")
        if (frame.right is None) != (config.eyes == 1):
            raise ValueError(
                f"Remembered.right: expected {config.eyes} eyes; got {'one' if frame.right is None else 2}."
            )
        if config.rgbd and frame.depth is None:
            raise ValueError("Remembered.depth: expected metres for an rgb-d core; got None. Observe views with depth.")
        video = encode(frame.image, frame.right, frame.depth if config.rgbd else None)
        patches.append(patchify(video, config.patch))
        # camera_from_remembered = camera_from_world @ world_from_remembered
        to = camera.w2c @ frame.camera.c2w
        rays.append(ray_map(frame.camera.K, to, patch=side, width=width, height=height))
    tokens = torch.cat(patches)
    visible = torch.ones(1, len(tokens), dtype=torch.bool, device=tokens.device)
    return RememberedTokens(tokens[None], torch.cat(rays)[None, None], visible)
