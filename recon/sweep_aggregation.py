"""Semi-global aggregation of a sweep's costs, and the plane that wins, between planes.

Eight paths over the image, small and large steps of depth with a penalty each, the large one lower across edges of the
image. Source: Hirschmüller, Stereo Processing by Semi-Global Matching and Mutual Information (PAMI 2008).
"""

# pyright: reportCallIssue=false, reportArgumentType=false
from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float32, UInt8
from numpy import ndarray

from render.cpu.kernel import kernel

from .sweep import UNSEEN, WORST

STEP = 0.1  # penalty of a step to the next plane for each pixel of width: in small images depth changes faster
SMALL_STEPS, LARGE_STEPS = (8.0, 30.0), (150.0, 300.0)  # its limits, in the units of costs; ten times it for any other
EDGE = 10.0  # by exp(-EDGE * difference of grey in 0..1) the latter falls, down to 1.5 times the small one
PATHS = 8
RIVAL = 3 / 128  # of all planes, and at least two: so far from the winner another one competes with it


def aggregate(
    volume: UInt8[ndarray, "H W P"], grey: Float32[ndarray, "H W"], reward: Float32[ndarray, "H W P"] | None = None
) -> Float32[ndarray, "H W P"]:
    """The costs of the best paths through each pixel and plane; reward: what is taken off the costs beforehand.

    Where nothing is seen the cost is WORST; grey in 0..1 gives the edges.
    """
    costs = volume.astype(np.float32)
    costs[volume == UNSEEN] = WORST
    if reward is not None:
        costs -= reward
    small = min(max(STEP * grey.shape[1], SMALL_STEPS[0]), SMALL_STEPS[1])
    large = min(max(10 * small, LARGE_STEPS[0]), LARGE_STEPS[1])
    total = np.zeros_like(costs)
    for across, down in ((1, 0), (0, 1), (1, 1), (-1, 1)):
        _along(costs, grey, across, down, 1, small, large, EDGE, total)
        _along(costs, grey, across, down, -1, small, large, EDGE, total)
    return total


def winner(
    total: Float32[ndarray, "H W P"], volume: UInt8[ndarray, "H W P"]
) -> tuple[Float32[ndarray, "H W"], Float32[ndarray, "H W"], Float32[ndarray, "H W"]]:
    """The best plane, as a fraction between planes; its own cost 0..1 (1 = none); by how much the best other one that
    is well away from it costs more, per path and in shares of WORST."""
    shape = total.shape[:2]
    plane, cost, margin = (np.empty(shape, np.float32) for _ in range(3))
    _winner(total, volume, max(2, round(RIVAL * total.shape[2])), plane, cost, margin)
    return plane, cost, margin


@kernel
def _along(costs, grey, across, down, sign, small, large, edge, total):
    height, width, planes = costs.shape
    step_x, step_y = sign * across, sign * down
    small, infinite = np.float32(small), np.float32(1e9)
    # one place more on either side, so that every plane has two neighbours
    before = np.full((width, planes + 2), infinite, np.float32)
    now = np.full((width, planes + 2), infinite, np.float32)
    least_before, least_now = np.zeros(width, np.float32), np.zeros(width, np.float32)
    for i in range(height):
        y = i if sign > 0 else height - 1 - i
        for j in range(width):
            x = j if sign > 0 else width - 1 - j
            from_x, from_y = x - step_x, y - step_y
            cost, out, target = costs[y, x], total[y, x], now[x]
            least = infinite
            if from_x < 0 or from_x >= width or from_y < 0 or from_y >= height:
                for p in range(planes):
                    value = cost[p]
                    target[p + 1] = value
                    out[p] += value
                    least = min(least, value)
            else:
                difference = abs(grey[y, x] - grey[from_y, from_x])
                jump = max(np.float32(1.5) * small, np.float32(large * math.exp(-edge * difference)))
                if step_y == 0:
                    path, floor = now[from_x], least_now[from_x]
                else:
                    path, floor = before[from_x], least_before[from_x]
                jump += floor
                for p in range(planes):
                    value = min(min(path[p + 1], jump), min(path[p], path[p + 2]) + small) - floor + cost[p]
                    target[p + 1] = value
                    out[p] += value
                    least = min(least, value)
            least_now[x] = least
        if step_y != 0:
            before, now = now, before
            least_before, least_now = least_now, least_before


@kernel
def _winner(total, volume, apart, plane, cost, margin):
    height, width, planes = total.shape
    scale = np.float32(1 / (PATHS * WORST))
    for y in range(height):
        for x in range(width):
            values = total[y, x]
            best = 0
            for p in range(planes):
                if values[p] < values[best]:
                    best = p
            rival = np.float32(1e9)
            for p in range(planes):
                if abs(p - best) >= apart:
                    rival = min(rival, values[p])
            middle = min(max(best, 1), planes - 2)
            below, at, above = values[middle - 1], values[middle], values[middle + 1]
            # vertex of the parabola through the best plane and its neighbours
            curvature = max(below - 2 * at + above, np.float32(1e-6))
            offset = np.float32(0.5) * (below - above) / curvature
            plane[y, x] = middle + min(max(offset, np.float32(-1)), np.float32(1))
            own = np.float32(volume[y, x, best])
            cost[y, x] = np.float32(1) if own > WORST else own / np.float32(WORST)
            margin[y, x] = min((rival - values[best]) * scale, np.float32(1))
