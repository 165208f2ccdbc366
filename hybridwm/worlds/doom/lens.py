"""The camera of the engine's pictures, and how they become square images.

Measured, by where the engine's own labels change from wall to floor against where the level says that they should
(0.05 % of the pixels differ at 640 x 480, 0.2 % at 160 x 120): at a field of view of 90 degrees and a 4:3 picture of
W x H, fx = W / 2, fy = 0.6 W (the engine keeps the tall pixels of a 320 x 200 screen), cx = W / 2, cy = H / 2 - 0.5.
Looking up and down is a shift of the picture in this engine and no rotation, so the camera always looks level.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int64, UInt8
from numpy import ndarray

UNITS_PER_METRE = 32.0  # the player stands 56 map units high: 1.75 m, eyes at 41 units: 1.28 m
HEIGHTS = (120, 150, 192, 240, 300, 384, 480, 600, 768)  # of the engine's 4:3 pictures
SAMPLES = 1.7  # rows of the engine's picture for each row of ours, at least: against flicker of far textures
SIZES = (16, int(HEIGHTS[-1] / SAMPLES))


@dataclass(frozen=True)
class Lens:
    """width, height: the engine's picture. size: ours, square, the largest square (of equal angles) in its middle.
    focal: of ours, in pixels; its principal point is its centre."""

    size: int

    def __post_init__(self) -> None:
        if not SIZES[0] <= self.size <= SIZES[1]:
            raise ValueError(f"size: expected {SIZES[0]}…{SIZES[1]} pixels; got {self.size}; choose one of them")

    @property
    def height(self) -> int:
        return next(height for height in HEIGHTS if height >= SAMPLES * self.size)

    @property
    def width(self) -> int:
        return self.height * 4 // 3

    @property
    def reach(self) -> float:
        """Tangent of half the field of view: what the picture shows above its horizon."""
        return (self.height / 2 - 0.5) / (0.6 * self.width)

    @property
    def focal(self) -> float:
        return self.size / 2 / self.reach

    @property
    def fov(self) -> float:
        """Horizontal and vertical field of view in degrees: 63.6 to 63.9, by size."""
        return 2 * math.degrees(math.atan(self.reach))

    def rays(self) -> Float64[ndarray, "size"]:
        """Shift for a unit of depth of each column to the right, and of each row downwards."""
        return (np.arange(self.size) + 0.5 - self.size / 2) / self.focal

    def nearest(self) -> tuple[Int64[ndarray, "size"], Int64[ndarray, "size"]]:
        """Rows and columns of the engine's picture where the centres of our pixels fall."""
        rows = np.floor(self.rays() * 0.6 * self.width + self.height / 2 - 0.5)
        columns = np.floor(self.rays() * self.width / 2 + self.width / 2)
        return rows.astype(np.int64), columns.astype(np.int64)

    def areas(self) -> tuple[Float32[ndarray, "size height"], Float32[ndarray, "size width"]]:
        """Weights by which the engine's rows and columns are averaged to ours: the shares of area."""
        half = self.reach * self.width / 2
        rows = _shares(np.linspace(0, self.height - 1, self.size + 1), self.height)
        return rows, _shares(np.linspace(self.width / 2 - half, self.width / 2 + half, self.size + 1), self.width)


def _shares(edges: Float64[ndarray, "N_1"], count: int) -> Float32[ndarray, "N count"]:
    cells = np.arange(count)
    overlap = np.minimum(edges[1:, None], cells + 1) - np.maximum(edges[:-1, None], cells)
    weights = np.clip(overlap, 0, None)
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


def shrink(
    picture: UInt8[ndarray, "height width 3"],
    rows: Float32[ndarray, "size height"],
    columns: Float32[ndarray, "size width"],
) -> UInt8[ndarray, "size size 3"]:
    """The picture averaged over the area of each of our pixels."""
    first, last = np.flatnonzero(columns.any(0))[[0, -1]]
    seen = picture[:, first : last + 1].astype(np.float32)
    averaged = (rows @ seen.reshape(len(picture), -1)).reshape(len(rows), -1, 3)
    return np.rint(columns[:, first : last + 1] @ averaged).astype(np.uint8)
