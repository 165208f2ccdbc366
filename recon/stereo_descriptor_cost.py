"""Matching costs of descriptors: how little those of both eyes agree, by inner products of small whole numbers, and the
difference of colours.

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

from .matching_cost import COLOUR_CAP, COLOUR_SHIFT, OUTSIDE

UNIT = 120  # of a descriptor's length: an inner product of two, each component rounded, stays a short
SLOPE, SLOPE_SHIFT = 28, 8  # cost of a 225th of unlikeness: 28 / 256
MOST_UNLIKE = 40  # largest cost of unlikeness; of chance it is about 20
COLOUR = 9  # cost of one grey level of colour difference, summed over channels, in 32nds: at edges a patch sees both
# sides, a pixel does not
LARGEST_COST = MOST_UNLIKE + (COLOUR_CAP * COLOUR >> COLOUR_SHIFT)


def descriptor_costs(
    descriptors: tuple[ndarray, ndarray], images: tuple[ndarray, ndarray], search: int, threads: int = 2
) -> ndarray:
    """Costs [H, W, D] uint8 of disparities 0..D - 1, D the next multiple of 16 from search.

    Of both eyes: descriptors float32 [C, H, W] of at most unit length, up to 64 channels, and images uint8 [H, W, 3].
    """
    channels, height, width = descriptors[0].shape
    depth = -(-search // WIDTH) * WIDTH
    ours = np.empty((height, width, channels + 3), np.int16)
    ours[..., :channels] = np.rint(descriptors[0].transpose(1, 2, 0) * UNIT)
    ours[..., channels:] = images[0]
    # Mirrored, so that rising disparity is rising memory; what is read beyond a row is not used.
    theirs = np.zeros((height, channels + 3, width + depth), np.int16)
    theirs[:, :channels, :width] = np.rint(descriptors[1].transpose(1, 0, 2)[..., ::-1] * UNIT)
    theirs[:, channels:, :width] = images[1].transpose(0, 2, 1)[..., ::-1]
    costs = np.empty(height * width * depth, np.uint8)
    bands = np.linspace(0, height, threads + 1).astype(int)

    def compare(thread: int) -> None:
        flat = ours.reshape(-1), theirs.reshape(-1)
        _compare(*flat, channels, width, depth, SLOPE, COLOUR, costs, bands[thread], bands[thread + 1])

    run(threads, compare)
    return costs.reshape(height, width, depth)


@kernel
def _compare(ours, theirs, channels, width, depth, slope, colour, costs, first, last):
    one, none, most, steep = all_shorts(UNIT * UNIT), all_shorts(0), all_shorts(MOST_UNLIKE), all_shorts(slope)
    cap, share = all_shorts(COLOUR_CAP), all_shorts(colour)
    row = width + depth
    for y in range(first, last):
        for x in range(width):
            pixel = y * width + x
            here = pixel * (channels + 3)
            opposite = y * (channels + 3) * row + width - 1 - x
            inside = min(x + 1, depth)
            for d in range(0, inside, WIDTH):
                likeness, difference = none, none
                for c in range(channels):
                    likeness = likeness + all_shorts(ours[here + c]) * load_shorts(theirs, opposite + c * row + d)
                for c in range(channels, channels + 3):
                    own, other = all_shorts(ours[here + c]), load_shorts(theirs, opposite + c * row + d)
                    difference = difference + (larger(own, other) - smaller(own, other))
                # by 64 first, so that the product stays a short
                unlike = shift_right(larger(one - likeness, none), 6)
                cost = smaller(shift_right(unlike * steep, SLOPE_SHIFT), most)
                store_bytes(
                    costs, pixel * depth + d, cost + shift_right(smaller(difference, cap) * share, COLOUR_SHIFT)
                )
            for d in range(inside, depth):
                costs[pixel * depth + d] = OUTSIDE
