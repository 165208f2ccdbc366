"""What the depth of neighbouring views says about a view: votes for planes of its sweep, one for each point."""

# pyright: reportCallIssue=false, reportArgumentType=false
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from render.camera import Camera
from render.cpu.kernel import kernel

from .consistency import between, pinhole

SPREAD = 2.0  # planes over which a vote falls to nothing
WEIGHT = 1 / 6  # of a vote for each pixel of the 3 x 3 around its own: six agree on the full reward
REWARD = 100.0  # at most, in the units of a sweep's costs


def vote(
    camera: Camera,
    shape: tuple[int, int, int],
    first: float,
    step: float,
    depths: Sequence[Float32[ndarray, "_ _"]],
    trusts: Sequence[Float32[ndarray, "_ _"]],
    cameras: Sequence[Camera],
) -> Float32[ndarray, "H W P"]:
    """Rewards 0..REWARD [H, W, P] for the planes at inverse depth first + index * step of this camera's view, from
    the points of depth maps (metres, 0 = none) that are trusted 0..1."""
    votes = np.zeros(shape, np.float32)
    lens = pinhole(camera)
    for depth, trust, its in zip(depths, trusts, cameras, strict=True):
        _vote(depth, trust, pinhole(its), between(its, camera), lens, first, step, SPREAD, WEIGHT, votes)
    return np.minimum(votes, 1, out=votes) * np.float32(REWARD)


@kernel
def _vote(depth, trust, lens, target_from_here, target_lens, first, step, spread, weight, votes):
    height, width = depth.shape
    rows, columns, planes = votes.shape
    R, t = target_from_here[:3, :3], target_from_here[:3, 3]
    for y in range(height):
        for x in range(width):
            z = depth[y, x]
            if z <= 0 or trust[y, x] <= 0:
                continue
            a, b = (x + 0.5 - lens[2]) / lens[0] * z, (y + 0.5 - lens[3]) / lens[1] * z
            there = R[2, 0] * a + R[2, 1] * b + R[2, 2] * z + t[2]
            if there <= 1e-6:
                continue
            u = (R[0, 0] * a + R[0, 1] * b + R[0, 2] * z + t[0]) / there * target_lens[0] + target_lens[2]
            v = (R[1, 0] * a + R[1, 1] * b + R[1, 2] * z + t[1]) / there * target_lens[1] + target_lens[3]
            if not (u >= 0 and v >= 0 and u < columns and v < rows):
                continue
            plane = (1 / there - first) / step
            low, high = max(int(np.ceil(plane - spread)), 0), min(int(np.floor(plane + spread)), planes - 1)
            for row in range(max(int(v) - 1, 0), min(int(v) + 2, rows)):
                for column in range(max(int(u) - 1, 0), min(int(u) + 2, columns)):
                    for p in range(low, high + 1):
                        votes[row, column, p] += np.float32(weight * trust[y, x] * (1 - abs(p - plane) / spread))
