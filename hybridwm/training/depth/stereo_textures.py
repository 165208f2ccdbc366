"""Textures of many kinds and frequencies, functions of a random generator: what layered worlds are painted with."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

SIDE = 256  # pixels of a texture


def texture(rng: np.random.Generator) -> Float[Tensor, "3 T T"]:
    """A random texture in 0..1; some are nearly plain."""
    make = (_clouds, _patches, _leaves, _leaves, _stripes)[rng.integers(5)]
    colours = make(rng)
    if rng.random() < 0.5:  # grain
        colours = colours + rng.uniform(0.02, 0.2) * (_noise(rng, int(rng.integers(1, 4)))[None] - 0.5)
    contrast = 1.0 if rng.random() < 0.6 else rng.uniform(0.05, 0.6)
    mean = colours.mean((1, 2), keepdim=True)
    return (mean + contrast * (colours - mean)).clamp(0, 1)


def smooth_noise(rng: np.random.Generator, cell: int, side: int = SIDE) -> Float[Tensor, "T T"]:
    """Noise of one octave in 0..1, whose cells are `cell` pixels wide."""
    count = -(-side // cell) + 1
    coarse = torch.from_numpy(rng.random((1, 1, count, count), dtype=np.float32))
    if cell == 1:
        return coarse[0, 0, :side, :side]
    fine = torch.nn.functional.interpolate(coarse, scale_factor=float(cell), mode="bilinear")[0, 0]
    return fine[cell // 2 : cell // 2 + side, cell // 2 : cell // 2 + side]


def _noise(rng: np.random.Generator, finest: int) -> Tensor:
    """A sum of octaves whose cells are `finest` pixels and wider [T, T], in 0..1."""
    slope = rng.uniform(0.1, 1.1)
    cells = [finest * 2**i for i in range(7) if finest * 2**i <= SIDE // 3]
    total = sum(cell**slope * (smooth_noise(rng, cell) - 0.5) for cell in cells)
    assert isinstance(total, Tensor)
    total = (total - total.mean()) / total.std().clamp(min=1e-6)
    return (0.5 + 0.25 * total).clamp(0, 1)


def _palette(rng: np.random.Generator, count: int) -> Tensor:
    """Colours [count, 3]: of one hue or of all."""
    grey = rng.random((count, 1))
    return torch.from_numpy(np.clip(grey + rng.uniform(0, 0.5) * (rng.random((count, 3)) - 0.5), 0, 1)).float()


def _painted(level: Tensor, palette: Tensor) -> Tensor:
    """Levels [T, T] of 0..1 to colours [3, T, T] between those of the palette."""
    place = level * (len(palette) - 1)
    low = place.floor().long().clamp(max=len(palette) - 2)
    share = (place - low)[..., None]
    return (palette[low] * (1 - share) + palette[low + 1] * share).permute(2, 0, 1)


def _clouds(rng: np.random.Generator) -> Tensor:
    return _painted(_noise(rng, int(rng.integers(1, 7))), _palette(rng, int(rng.integers(2, 6))))


def _patches(rng: np.random.Generator) -> Tensor:
    """Noise in few levels, so with hard edges."""
    palette = _palette(rng, int(rng.integers(3, 9)))
    level = (_noise(rng, int(rng.integers(2, 9))) * len(palette)).long().clamp(max=len(palette) - 1)
    return palette[level].permute(2, 0, 1)


def _leaves(rng: np.random.Generator) -> Tensor:
    """Rectangles over one another, of sizes as objects have in images (Lee, Mumford and Huang 2001)."""
    colours = np.empty((3, SIDE, SIDE), np.float32)
    palette = _palette(rng, 40).numpy()
    colours[:] = palette[0][:, None, None]
    smallest = rng.uniform(2, 8)
    for _ in range(int(rng.integers(60, 400))):
        height, width = np.minimum(smallest / np.sqrt(rng.random(2) + 1e-4), SIDE / 2).astype(int) + 1
        y, x = rng.integers(-20, SIDE, 2)
        place = np.s_[:, max(y, 0) : max(y + height, 0), max(x, 0) : max(x + width, 0)]
        colours[place] = palette[rng.integers(40)][:, None, None]
    return torch.from_numpy(colours)


def _stripes(rng: np.random.Generator) -> Tensor:
    """Waves across one another: cloth, bricks, checks; smooth or hard."""
    y, x = torch.meshgrid(torch.arange(SIDE).float(), torch.arange(SIDE).float(), indexing="ij")
    level = torch.zeros(SIDE, SIDE)
    for _ in range(int(rng.integers(1, 4))):
        angle, length = rng.uniform(0, np.pi), np.exp(rng.uniform(np.log(4), np.log(60)))
        level += torch.sin(6.2832 / length * (np.cos(angle) * x + np.sin(angle) * y) + rng.uniform(0, 6.28))
    level = (0.5 + 0.3 * level + rng.uniform(0, 0.4) * (_noise(rng, 4) - 0.5)).clamp(0, 1)
    if rng.random() < 0.5:
        level = (level > 0.5).float()
    return _painted(level, _palette(rng, 2))
