"""Trajectories in text, TUM's and KITTI's formats: camera to world, in float64.

Source: the TUM RGB-D benchmark's file formats; the KITTI odometry development kit.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float64
from torch import Tensor

from render.formats.errors import FormatError

from . import tables
from .poses import from_position_xyzw, rigid


@dataclass(frozen=True)
class Trajectory:
    """timestamps in seconds (KITTI's files have none: the row's number), ascending; c2w of each."""

    timestamps: Float64[Tensor, " N"]
    c2w: Float64[Tensor, "N 4 4"]

    def __len__(self) -> int:
        return len(self.timestamps)


def read_trajectory(path: str | Path) -> Trajectory:
    """TUM's rows (time tx ty tz qx qy qz qw) or KITTI's (the upper 3x4 of c2w by rows), told by their length.

    Raises FileNotFoundError, or FormatError for other rows, poses that are none and times that go back.
    """
    path = Path(path)
    rows = tables.table(path, (8, 12), meaning="time tx ty tz qx qy qz qw, or the 3x4 of c2w")
    if rows.shape[1] == 12:
        return Trajectory(torch.arange(len(rows), dtype=torch.float64), rigid(path, rows.reshape(-1, 3, 4)))
    timestamps = torch.from_numpy(rows[:, 0].copy())
    if bool((timestamps.diff() < 0).any()):
        raise FormatError(path, "rows in the order of time", "times that go back", "sort the rows")
    return Trajectory(timestamps, from_position_xyzw(path, rows[:, 1:]))


def associate(first: Float64[Tensor, " N"], second: Float64[Tensor, " M"], most: float = 0.02) -> list[tuple[int, int]]:
    """Pairs (index in first, index in second) of times at most `most` seconds apart, the closest first taken and
    each index once, in the order of first (as the TUM benchmark pairs them)."""
    if not len(first) or not len(second):
        return []
    order = torch.argsort(second)
    sorted_second = second[order]
    gaps: list[tuple[float, int, int]] = []
    low = torch.searchsorted(sorted_second, first - most)
    high = torch.searchsorted(sorted_second, first + most, right=True)
    for index, (begin, end) in enumerate(zip(low.tolist(), high.tolist(), strict=True)):
        near = range(begin, min(end, begin + 1000))
        gaps += [(abs(float(sorted_second[at] - first[index])), index, int(order[at])) for at in near]
    taken_first: set[int] = set()
    taken_second: set[int] = set()
    pairs = []
    for _, a, b in sorted(gaps):
        if a not in taken_first and b not in taken_second:
            taken_first.add(a)
            taken_second.add(b)
            pairs.append((a, b))
    return sorted(pairs)
