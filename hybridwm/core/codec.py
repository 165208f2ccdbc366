"""Codecs: between images and the frames that the core imagines, which are pixels or the latents of an autoencoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from .conditioning import quantise, to_images, to_video
from .config import CoreConfig

PROBE = 64  # pixels: the side of the picture by which autoencoders are told apart


@runtime_checkable
class Codec(Protocol):
    @property
    def channels(self) -> int:
        """Channels of an eye's frame."""
        ...

    @property
    def factor(self) -> int:
        """Height of an image over that of its frame, and so for widths."""
        ...

    def encode(self, images: Float[Tensor, "*B H W 3"]) -> Float[Tensor, "*B c h w"]:
        """Images 0…1 as frames of about -1…1, always the same ones."""
        ...

    def decode(self, frames: Float[Tensor, "*B c h w"]) -> Float[Tensor, "*B H W 3"]:
        """Images 0…1 in 256 levels."""
        ...


class PixelCodec:
    """Frames are the images themselves, -1…1."""

    channels = 3
    factor = 1

    def encode(self, images: Float[Tensor, "*B H W 3"]) -> Float[Tensor, "*B 3 H W"]:
        return to_video(images, None)

    def decode(self, frames: Float[Tensor, "*B 3 H W"]) -> Float[Tensor, "*B H W 3"]:
        return to_images(frames)[0]


def signature(codec: Codec) -> list[float]:
    """Eight numbers by which one autoencoder is told from another: what it makes of a fixed picture."""
    across, down = torch.meshgrid(torch.linspace(0, 1, PROBE), torch.linspace(0, 1, PROBE), indexing="xy")
    checks = ((8 * across).floor() + (8 * down).floor()) % 2
    frame = codec.encode(torch.stack([across, down, checks], -1))
    return [float(part.mean()) for part in frame.flatten().chunk(8)]


def check_signature(codec: Codec, told: Sequence[float] | None) -> None:
    """Raises ValueError where this is not the autoencoder that had the told signature; None: nothing was told."""
    if told is None:
        return
    found, expected = torch.tensor(signature(codec)), torch.tensor(list(told))
    if (found - expected).abs().max() > 0.02 * expected.abs().max().clamp(min=0.1):
        raise ValueError(
            f"codec: expected the autoencoder that these weights were trained with; {getattr(codec, 'folder', codec)} "
            "makes other latents of a test picture. Pass codec=FOLDER of the one that training names."
        )


def codec_for(config: CoreConfig, folder: str = "") -> Codec:
    """The codec of a core: pixels, or the autoencoder in a local folder.

    Raises ValueError where the codec's frames are not the configuration's, and what the autoencoder's loader raises.
    """
    if not folder:
        if config.factor != 1:
            raise ValueError(
                f"CoreConfig.factor: expected a codec's folder for frames of latents (factor {config.factor}); got "
                "none. Name it: `codec:` in training, hybridwm.load(weights, codec=FOLDER) at use."
            )
        return PixelCodec()
    from .diffusers_codec import DiffusersCodec

    codec = DiffusersCodec(folder)
    if (codec.channels, codec.factor) != (config.eye_channels, config.factor):
        raise ValueError(
            f"{folder}: expected an autoencoder of core.eye_channels={config.eye_channels} channels, "
            f"core.factor={config.factor} times smaller than images; got {codec.channels} and {codec.factor}."
        )
    return codec


def encode_eyes(
    codec: Codec,
    image: Float[Tensor, "*B H W 3"],
    right: Float[Tensor, "*B H W 3"] | None,
    depth: Float[Tensor, "*B H W"] | None = None,
) -> Float[Tensor, "*B C h w"]:
    """Images of one or both eyes as one frame, left eye first; depth (metres) last, which pixels alone may have."""
    if isinstance(codec, PixelCodec):
        return to_video(image, right, depth)
    if right is None:
        return codec.encode(image)
    return codec.encode(torch.stack([image, right], -4)).flatten(-4, -3)


def decode_eyes(
    codec: Codec, frame: Float[Tensor, "*B C h w"]
) -> tuple[Float[Tensor, "*B H W 3"], Float[Tensor, "*B H W 3"] | None]:
    """Inverse of `encode_eyes`, as far as the codec has one; depth is left out."""
    if isinstance(codec, PixelCodec):
        return to_images(frame)
    images = codec.decode(frame.unflatten(-3, (-1, codec.channels)))
    left = images.select(-4, 0)
    return left, images.select(-4, 1) if images.shape[-4] == 2 else None


def encode_recall(codec: Codec, recall: Float[Tensor, "*B r H W"], eyes: int) -> Float[Tensor, "*B s h w"]:
    """Recall channels of images as those of frames: colours through the codec, alphas and observed shares averaged."""
    if isinstance(codec, PixelCodec):
        return recall
    colours, told = recall.split([3 * eyes, 2 * eyes], -3)
    frames = codec.encode((colours.unflatten(-3, (eyes, 3)).movedim(-3, -1) + 1) / 2)
    told = told.unflatten(-2, (-1, codec.factor)).unflatten(-1, (-1, codec.factor)).mean((-3, -1))
    return torch.cat([frames.flatten(-4, -3), told], -3)


def frame_intrinsics(K: Float[Tensor, "*B 3 3"], factor: int) -> Float[Tensor, "*B 3 3"]:
    """Intrinsics of frames whose pixels are `factor` image pixels wide; the corner of the image stays at (0, 0)."""
    return K if factor == 1 else K / K.new_tensor([factor, factor, 1])[:, None]


def settled(frames: Float[Tensor, "*B C h w"], config: CoreConfig) -> Float[Tensor, "*B C h w"]:
    """Imagined frames as later ones are shown them: pixels in 256 levels, latents as they are."""
    return frames if config.factor > 1 else quantise(frames)
