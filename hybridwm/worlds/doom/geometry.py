"""The level as the engine reports it (sectors with heights, lines between them), and exact depth seen in it.

The engine's own depth buffer has 8 bits and a scale that changes with the texture of a wall; what the walls, floors
and ceilings are is known exactly, so depth is found by casting rays at them. A level of this kind is two and a half
dimensional: floors and ceilings are level, walls upright, and every camera looks level, so in a column of the image a
wall has one depth.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

NOTHING = -1  # the sector behind a wall
NUDGE = 0.05  # map units beside the middle of a line, where it is asked which sector lies there


@dataclass(frozen=True)
class Level:
    """lines: x1, y1, x2, y2 in map units; right, left: sector on the right and left of each, walking from 1 to 2, or
    NOTHING; floor, ceiling: height of each sector in map units."""

    lines: Float64[ndarray, "L 4"]
    right: Int64[ndarray, "L"]
    left: Int64[ndarray, "L"]
    floor: Float64[ndarray, "S"]
    ceiling: Float64[ndarray, "S"]

    def with_heights(self, sectors: Iterable[Any]) -> Level:
        """The same lines with the heights of now: doors and lifts move."""
        floor, ceiling = _heights(sectors)
        return replace(self, floor=floor, ceiling=ceiling)


def read_level(sectors: Iterable[Any]) -> Level:
    """A Level from the engine's list of sectors: `floor_height`, `ceiling_height`, `lines` with x1, y1, x2, y2."""
    sectors = list(sectors)
    around = [np.array([(o.x1, o.y1, o.x2, o.y2) for o in s.lines], np.float64).reshape(-1, 4) for s in sectors]
    lines = np.unique(np.concatenate(around), axis=0)
    along = lines[:, 2:] - lines[:, :2]
    normal = np.stack([along[:, 1], -along[:, 0]], 1) / np.linalg.norm(along, axis=1, keepdims=True)  # to the right
    middle = (lines[:, :2] + lines[:, 2:]) / 2
    floor, ceiling = _heights(sectors)
    right, left = (_sector_at(middle + side * NUDGE * normal, around) for side in (1, -1))
    seen = right != left  # a line inside one sector hides nothing
    return Level(lines[seen], right[seen], left[seen], floor, ceiling)


def _heights(sectors: Iterable[Any]) -> tuple[Float64[ndarray, "S"], Float64[ndarray, "S"]]:
    heights = np.array([(s.floor_height, s.ceiling_height) for s in sectors], np.float64)
    return heights[:, 0], heights[:, 1]


def _sector_at(points: Float64[ndarray, "N 2"], around: list[ndarray]) -> Int64[ndarray, "N"]:
    """The sector whose lines each point is inside of (an odd number of them to its east), or NOTHING."""
    found = np.full(len(points), NOTHING, np.int64)
    for index, lines in enumerate(around):
        x, y = points[:, :1], points[:, 1:]
        x1, y1, x2, y2 = lines.T
        spans = (y1 > y) != (y2 > y)
        with np.errstate(divide="ignore", invalid="ignore"):
            east = spans & (x < x1 + (y - y1) / (y2 - y1) * (x2 - x1))
        found[east.sum(1) % 2 == 1] = index
    return found


def cast(
    level: Level,
    eye: Float64[ndarray, "3"],
    angle: float,
    across: Float64[ndarray, "W"],
    down: Float64[ndarray, "H"],
) -> Float64[ndarray, "H W"]:
    """Depth in map units along the optical axis of a camera that looks level; 0 where the level is open.

    eye: x, y, z in map units. angle: radians, counter-clockwise from +x. across, down: the rays, as shift to the right
    and downwards for every unit of depth.
    """
    depth, sector = _crossings(level, eye[:2], angle, across)
    before = np.concatenate([np.zeros_like(depth[:1]), depth[:-1]])[:, None]  # [K, 1, W]
    after = depth[:, None]
    floor, ceiling = level.floor[sector][:, None] - eye[2], level.ceiling[sector][:, None] - eye[2]
    slope = down[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        flat = np.where(slope > 0, -floor, ceiling) / np.abs(slope)  # where the ray meets the sector's floor or ceiling
        height = -slope * before  # of the ray where it enters the sector
    riser = (height < floor) | (height > ceiling)  # it enters below the floor: it met the step up to it, or a lintel
    met = riser | (flat <= after)
    met[-1] = True
    found = np.where(riser, before, np.minimum(flat, after))
    first = np.take_along_axis(found, met.argmax(0)[None], 0)[0]
    return np.where(np.isfinite(first), first, 0)


def _crossings(
    level: Level, eye: Float64[ndarray, "2"], angle: float, across: Float64[ndarray, "W"]
) -> tuple[Float64[ndarray, "K W"], Int64[ndarray, "K W"]]:
    """Depth of the lines that each column's ray crosses, nearest first, the last one a wall (or infinity); and the
    sector that the ray is in before each."""
    x1, y1, x2, y2 = (level.lines - np.tile(eye, 2)).T
    on_right = (x2 - x1) * -y1 - (y2 - y1) * -x1 < 0
    near, far = np.where(on_right, level.right, level.left), np.where(on_right, level.left, level.right)
    wall = far == NOTHING
    # a border between sectors of equal heights shows nothing
    opens = ~wall & ((level.floor[near] != level.floor[far]) | (level.ceiling[near] != level.ceiling[far]))
    cos, sin = np.cos(angle), np.sin(angle)
    side1, z1 = x1 * sin - y1 * cos, x1 * cos + y1 * sin
    side2, z2 = x2 * sin - y2 * cos, x2 * cos + y2 * sin
    # how far each end lies to the right of the outermost rays: all on one side, and no ray between crosses the line
    ends = np.stack([side1 - a * z1 < 0 for a in across[[0, -1]]] + [side2 - a * z2 < 0 for a in across[[0, -1]]])
    kept = (wall | opens) & (near != NOTHING) & ((z1 > 0) | (z2 > 0)) & (ends.any(0) & ~ends.all(0))
    kept[np.flatnonzero(wall)[:1]] = True  # there is always one to look for
    near, wall, opens = near[kept], wall[kept], opens[kept] & ~wall[kept]
    side1, z1, side2, z2 = (value[kept, None] for value in (side1, z1, side2, z2))
    miss1, miss2 = side1 - across * z1, side2 - across * z2
    crossed = (miss1 < 0) != (miss2 < 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = z1 + miss1 / (miss1 - miss2) * (z2 - z1)
    z = np.where(crossed & (z > 0) & (near != NOTHING)[:, None], z, np.inf)
    nearest = z[wall].argmin(0)
    end = np.take_along_axis(z[wall], nearest[None], 0)
    ends_in = near[wall][nearest][None]
    portals = np.where(z[opens] < end, z[opens], np.inf)
    order = portals.argsort(0)[: int(np.isfinite(portals).sum(0).max(initial=0))]
    depth = np.minimum(np.take_along_axis(portals, order, 0), end)
    # past the last border of its column a row repeats the wall, and its sector
    sector = np.where(depth < end, near[opens][order] if len(order) else order, ends_in)
    return np.concatenate([depth, end]), np.concatenate([sector, ends_in])


def free_place(level: Level, rng: np.random.Generator, clearance: float) -> Float64[ndarray, "2"]:
    """A place in the level, in map units, `clearance` away from every wall and step. Raises RuntimeError for none."""
    low, high = level.lines[:, :2].min(0), level.lines[:, :2].max(0)
    right, left = level.right, level.left
    wall = (right == NOTHING) | (left == NOTHING)
    uneven = (level.floor[right] != level.floor[left]) | (level.ceiling[right] != level.ceiling[left])
    solid = level.lines[wall | uneven]
    start, along = solid[:, :2], solid[:, 2:] - solid[:, :2]
    around = [level.lines[(right == sector) | (left == sector)] for sector in range(len(level.floor))]
    for _ in range(1000):
        place = rng.uniform(low, high)
        share = np.clip(((place - start) * along).sum(1) / (along**2).sum(1), 0, 1)
        away = np.linalg.norm(place - start - share[:, None] * along, axis=1).min()
        if away > clearance and _sector_at(place[None], around)[0] != NOTHING:
            return place
    raise RuntimeError(f"expected free space {clearance} map units from walls in the level; found none in 1000 draws")
