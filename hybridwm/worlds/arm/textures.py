"""Textures painted from seeds into a compiled model: something for stereo to match and for memory to know again."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from .layout import Mark, Table
from .scene import GRAINS, TABLE, TABLE_AT, TEXTURES


def paint(model: Any, table: Table) -> None:
    """Writes every texture of the scene into the model (mujoco.MjModel), before a renderer takes it up."""
    rng = np.random.default_rng([table.style_seed, 0xC1])
    for name, side in TEXTURES.items():
        image = _surface(rng, side, wood=name == "table" and bool(rng.integers(2)))
        if name == "table":
            for mark in table.marks:
                _stamp(image, mark)
        _write(model, name, image)
    for name, side in GRAINS.items():
        tone = 1 - rng.uniform(0.25, 0.5) * _grain(rng, side, (4, 8, 16, 32)[rng.integers(2) :])
        faces = [np.roll(tone, 11 * k, axis=k % 2)[..., None].repeat(3, -1) for k in range(6)]
        _write(model, name, np.concatenate(faces))


def _write(model: Any, name: str, image: Float[np.ndarray, "H W 3"]) -> None:
    texture = model.texture(name)
    start = int(model.tex_adr[texture.id])
    texels = model.tex_data if hasattr(model, "tex_data") else model.tex_rgb  # its name in mujoco 3.2.0
    texels[start : start + image.size] = _bytes(image).ravel()


def _bytes(image: Float[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "H W 3"]:
    return (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)


def _surface(rng: np.random.Generator, side: int, wood: bool) -> Float[np.ndarray, "S S 3"]:
    """Two tones mixed by noise of several sizes, in tiles or in grain."""
    tone = rng.uniform(0.45, 0.8) + rng.uniform(-0.12, 0.12, 3)  # paler than the objects
    other = rng.uniform(-0.3, 0.3) + rng.uniform(-0.1, 0.1, 3)
    if wood:
        tone, other = np.array([0.66, 0.46, 0.28]) * rng.uniform(0.7, 1.15), np.array([-0.3, -0.26, -0.2])
    coarse = _grain(rng, side, (8, 16)) if not wood else _grain(rng, side, (4, 8), (32, 64))
    fine = _grain(rng, side, (32, 64, 128) if side > 256 else (32, 64))
    image = tone + other * (coarse[..., None] - 0.5) * 1.6
    tiles = int(rng.integers(6, 12))
    cells = rng.uniform(-0.10, 0.10, (tiles, tiles))
    index = np.arange(side) * tiles // side
    return ((image + cells[np.ix_(index, index)][..., None]) * (0.72 + 0.5 * fine[..., None])).astype(np.float32)


def _grain(
    rng: np.random.Generator, side: int, cells: tuple[int, ...], across: tuple[int, ...] | None = None
) -> Float[np.ndarray, "S S"]:
    """Smooth noise 0…1, that repeats at the border, with these numbers of cells a side."""
    out = np.zeros((side, side), np.float32)
    for rows, columns in zip(cells, across or cells, strict=True):
        lattice = rng.random((rows, columns), np.float32)
        y, x = (np.arange(side, dtype=np.float32) * np.float32(n / side) for n in (rows, columns))
        i, j = y.astype(int), x.astype(int)
        fy, fx = (y - i)[:, None], (x - j)[None]
        low, high = lattice[i], lattice[(i + 1) % rows]
        along = low + (high - low) * fy
        k = (j + 1) % columns
        left = along[:, j]
        out += left + (along[:, k] - left) * fx
    low, high = out.min(), out.max()
    return (out - low) / (high - low)


def _stamp(image: Float[np.ndarray, "S S 3"], mark: Mark) -> None:
    """Paints a mark where it lies on the table top, keeping the grain beneath. Row 0 is the table's far +y side."""
    side = len(image)
    x = TABLE_AT + ((np.arange(side) + 0.5) / side * 2 - 1) * TABLE[0] - mark.place[0]
    y = ((np.arange(side) + 0.5) / side * 2 - 1) * TABLE[1]
    dx, dy = np.meshgrid(x, y[::-1] - mark.place[1])
    c, s = np.cos(mark.yaw), np.sin(mark.yaw)
    away = np.hypot(dx, dy)
    if mark.shape == "square":
        away = np.maximum(abs(c * dx + s * dy), abs(c * dy - s * dx))
    inside = away < mark.radius
    if mark.shape == "ring":
        inside &= away > 0.6 * mark.radius
    light = image[inside].mean(-1, keepdims=True) / max(float(image.mean()), 1e-6)
    image[inside] = np.array(mark.rgb) * (0.55 + 0.45 * light)
