"""Crops of stereo pairs as two real cameras would have taken them; a batch is a function of its generator."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from .stereo_worlds import StereoPairs

SAME_EYES = 0.3  # share of pairs whose eyes have one exposure, one focus and straight rows
GAIN, OFFSET, GAMMA = 0.2, 0.06, 0.2  # most by which the second eye differs: in log, in 0..1, in log
COMMON_GAIN = 0.6  # most by which both eyes are off, in log
TINT = 0.05  # most by which a channel differs between the eyes, in log
NOISE = 0.03  # largest standard deviation of the sensors' noise
BLUR = 0.15  # largest weight of each neighbour in a blur of three pixels
ROWS = 0.35  # pixels by which the rows of the eyes may be apart


@dataclass(frozen=True)
class StereoBatch:
    """As the network takes it; disparity in pixels, 0 = unknown or not seen by both."""

    left: Float[Tensor, "B 3 H W"]
    right: Float[Tensor, "B 3 H W"]
    disparity: Float[Tensor, "B H W"]


def draw(pairs: StereoPairs, count: int, height: int, width: int, generator: torch.Generator) -> StereoBatch:
    """`count` crops of at most this size, each from a random pair, in random colours, flipped upside down or not."""
    height, width = min(height, pairs.left.shape[2]), min(width, pairs.left.shape[3])
    crops = []
    for _ in range(count):
        i = _below(len(pairs), generator)
        y = _below(pairs.left.shape[2] - height + 1, generator)
        x = _below(pairs.left.shape[3] - width + 1, generator)
        place = (slice(y, y + height), slice(x, x + width))
        left, right = (eye[i][:, *place].float() / 255 for eye in (pairs.left, pairs.right))
        disparity = pairs.disparity[i][place]
        if _below(2, generator):
            left, right, disparity = left.flip(1), right.flip(1), disparity.flip(0)
        colours = torch.randperm(3, generator=generator)
        crops.append((*as_filmed(left[colours], right[colours], generator), disparity))
    return StereoBatch(*(torch.stack(values) for values in zip(*crops, strict=True)))


def whole(pairs: StereoPairs, index: int, generator: torch.Generator) -> StereoBatch:
    """One pair, uncropped, as filmed."""
    left, right = (eye[index].float() / 255 for eye in (pairs.left, pairs.right))
    left, right = as_filmed(left, right, generator)
    return StereoBatch(left[None], right[None], pairs.disparity[index][None])


def as_filmed(
    left: Float[Tensor, "3 H W"], right: Float[Tensor, "3 H W"], generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Both eyes with exposure, focus and noise, the second one with its own, and with rows a little off."""
    common = torch.exp(COMMON_GAIN * (torch.rand(1, generator=generator) * 1.3 - 1))
    different = float(torch.rand(1, generator=generator)) >= SAME_EYES
    noise = NOISE * float(torch.rand(1, generator=generator)) ** 2
    eyes = []
    for eye, image in enumerate((left, right)):
        image = common * image
        if different and eye:
            image = _shifted(image, ROWS * _signed(generator))
            image = image.clamp(min=1e-4) ** float(torch.exp(GAMMA * _signed(generator)))
            image = image * torch.exp(GAIN * _signed(generator) + TINT * _signed(generator, 3)[:, None, None])
            image = image + OFFSET * _signed(generator)
        if different:
            image = _blurred(image, BLUR * float(torch.rand(1, generator=generator)))
        image = image + noise * torch.randn(image.shape, generator=generator)
        eyes.append((image.clamp(0, 1) * 255).round() / 255)
    return eyes[0], eyes[1]


def _below(limit: int, generator: torch.Generator) -> int:
    return int(torch.randint(limit, (1,), generator=generator))


def _signed(generator: torch.Generator, count: int = 1) -> Tensor:
    return torch.rand(count, generator=generator) * 2 - 1


def _shifted(image: Tensor, rows: Tensor) -> Tensor:
    """The image [3, H, W] up or down by less than a row."""
    share = float(rows.abs())
    other = image.roll(1 if float(rows) > 0 else -1, 1)
    return (1 - share) * image + share * other


def _blurred(image: Tensor, side: float) -> Tensor:
    line = torch.tensor([side, 1 - 2 * side, side])
    padded = torch.nn.functional.pad(image[:, None], (1, 1, 1, 1), mode="replicate")
    return torch.nn.functional.conv2d(padded, (line[:, None] * line)[None, None])[:, 0]
