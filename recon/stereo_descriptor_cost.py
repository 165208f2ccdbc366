"""Matching costs of descriptors: how little those of both eyes agree, by inner products of small whole numbers.

In the range of matching_cost, so that the penalties of semi_global and the model of stereo_confidence mean the same.
"""

# pyright: reportCallIssue=false, reportArgumentType=false
from __future__ import annotations

import numpy as np
from numpy import ndarray

from render.cpu.kernel import kernel
from render.cpu.short_lanes import (
    WIDTH,
    all_shorts,
    larger,
    load_shorts,
    shift_right,
    smaller,
    store_bytes,
)
from render.cpu.workers import run

from .matching_cost import OUTSIDE

UNIT = 120  # of a descriptor's length: an inner product of two, each component rounded, stays a short
SLOPE, SLOPE_SHIFT = 40, 8  # cost of a 225th of unlikeness: 40 / 256
LARGEST_COST = 60


def descriptor_costs(left: ndarray, right: ndarray, search: int, threads: int = 2) -> ndarray:
    """Costs [H, W, D] uint8 of disparities 0..D - 1, D the next multiple of 16 from search; descriptors float32
    [C, H, W] of at most unit length, up to 64 channels."""
    channels, height, width = left.shape
    depth = -(-search // WIDTH) * WIDTH
    ours = np.rint(left.transpose(1, 2, 0) * UNIT).astype(np.int16, order="C")
    # Mirrored, so that rising disparity is rising memory; what is read beyond a row is not used.
    theirs = np.zeros((height, channels, width + depth), np.int16)
    theirs[:, :, :width] = np.rint(right.transpose(1, 0, 2)[:, :, ::-1] * UNIT)
    costs = np.empty(height * width * depth, np.uint8)
    bands = np.linspace(0, height, threads + 1).astype(int)

    def compare(thread: int) -> None:
        flat = ours.reshape(-1), theirs.reshape(-1)
        _compare(*flat, channels, width, depth, SLOPE, costs, bands[thread], bands[thread + 1])

    run(threads, compare)
    return costs.reshape(height, width, depth)


@kernel
def _compare(ours, theirs, channels, width, depth, slope, costs, first, last):
    one, none, cap, steep = all_shorts(UNIT * UNIT), all_shorts(0), all_shorts(LARGEST_COST), all_shorts(slope)
    row = width + depth
    for y in range(first, last):
        for x in range(width):
            pixel = y * width + x
            opposite = y * channels * row + width - 1 - x
            inside = min(x + 1, depth)
            for d in range(0, inside, WIDTH):
                likeness = none
                for c in range(channels):
                    here = all_shorts(ours[pixel * channels + c])
                    likeness = likeness + here * load_shorts(theirs, opposite + c * row + d)
                # by 64 first, so that the product stays a short
                unlike = shift_right(larger(one - likeness, none), 6)
                store_bytes(costs, pixel * depth + d, smaller(shift_right(unlike * steep, SLOPE_SHIFT), cap))
            for d in range(inside, depth):
                costs[pixel * depth + d] = OUTSIDE
