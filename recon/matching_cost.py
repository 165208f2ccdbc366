"""Matching cost: how little a pixel of the left eye and one of the right eye look alike, for each disparity.

Census transform (Zabih and Woodfill 1994) of a 5x5 window, which does not see exposure, plus a little of the absolute
difference of colours, which tells surfaces of like texture apart (Mei et al. 2011, "AD-Census").
"""

# pyright: reportCallIssue=false, reportArgumentType=false
from __future__ import annotations

import cv2
import numpy as np
from numpy import ndarray

from render.cpu.kernel import kernel
from render.cpu.short_lanes import (
    WIDTH,
    all_shorts,
    different_bits,
    larger,
    load_bytes,
    shift_right,
    smaller,
    store_bytes,
)
from render.cpu.workers import run

RADIUS = 2  # pixels of the census window about its centre: 24 bits
BIT = 2  # cost of each census bit that differs
COLOUR, COLOUR_SHIFT = 3, 5  # cost of one grey level of colour difference, summed over channels: 3 / 32
COLOUR_CAP = 60  # grey levels; occlusions and highlights cost no more
OUTSIDE = 13  # cost where the match would lie outside the right image: between a good match and a chance one
LARGEST_COST = 24 * BIT + (COLOUR_CAP * COLOUR >> COLOUR_SHIFT)


def matching_costs(left: ndarray, right: ndarray, search: int, threads: int = 2) -> ndarray:
    """Costs [H, W, D] uint8 of disparities 0..D - 1, D the next multiple of 16 from search; images uint8 [H, W, 3]."""
    height, width = left.shape[:2]
    depth = -(-search // WIDTH) * WIDTH
    # Mirrored, so that rising disparity is rising memory; the tail is read, but not used.
    mirrored = np.ascontiguousarray(right[:, ::-1])
    codes, planes = [], []
    for image in (left, mirrored):
        codes.append(np.zeros(height * width + depth, np.uint32))
        plane = np.zeros((3, height * width + depth), np.uint8)
        plane[:, : height * width] = image.reshape(-1, 3).T
        planes.append(plane.reshape(-1))
    padded = [
        cv2.copyMakeBorder(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), *[RADIUS] * 4, cv2.BORDER_REPLICATE)
        for image in (left, right)
    ]
    costs = np.empty(height * width * depth, np.uint8)
    bands = np.linspace(0, height, threads + 1).astype(int)

    def transform(thread: int) -> None:
        for eye in (0, 1):
            _census(padded[eye].reshape(-1), width, eye == 1, codes[eye], bands[thread], bands[thread + 1])

    def compare(thread: int) -> None:
        _compare(*codes, *planes, height * width + depth, width, depth, costs, bands[thread], bands[thread + 1])

    run(threads, transform)
    run(threads, compare)
    return costs.reshape(height, width, depth)


def census(grey: ndarray) -> ndarray:
    """Census codes uint32 [H * W] of a grey image uint8 [H, W]."""
    height, width = grey.shape
    codes = np.empty(height * width, np.uint32)
    padded = cv2.copyMakeBorder(grey, *[RADIUS] * 4, cv2.BORDER_REPLICATE)
    _census(padded.reshape(-1), width, False, codes, 0, height)
    return codes


@kernel
def _census(padded, width, mirror, codes, first, last):
    """Bit by bit: is a neighbour darker than the centre? Rows first:last, mirrored or not."""
    stride = width + 2 * RADIUS
    for y in range(first, last):
        for x in range(width):
            centre = padded[(y + RADIUS) * stride + x + RADIUS]
            code = np.uint32(0)
            for i in range(2 * RADIUS + 1):
                for j in range(2 * RADIUS + 1):
                    if i != RADIUS or j != RADIUS:
                        code = np.uint32(code << 1) | np.uint32(padded[(y + i) * stride + x + j] < centre)
            codes[y * width + (width - 1 - x if mirror else x)] = code


@kernel
def _compare(codes, mirrored_codes, planes, mirrored_planes, plane, width, depth, costs, first, last):
    bit, colour, cap = all_shorts(BIT), all_shorts(COLOUR), all_shorts(COLOUR_CAP)
    for y in range(first, last):
        for x in range(width):
            pixel, opposite = y * width + x, y * width + width - 1 - x
            code = codes[pixel]
            red = all_shorts(planes[pixel])
            green = all_shorts(planes[pixel + plane])
            blue = all_shorts(planes[pixel + 2 * plane])
            cell = pixel * depth
            inside = min(x + 1, depth)
            for d in range(0, inside, WIDTH):
                other = opposite + d
                r = load_bytes(mirrored_planes, other)
                g = load_bytes(mirrored_planes, other + plane)
                b = load_bytes(mirrored_planes, other + 2 * plane)
                difference = (
                    (larger(red, r) - smaller(red, r))
                    + (larger(green, g) - smaller(green, g))
                    + (larger(blue, b) - smaller(blue, b))
                )
                bits = different_bits(mirrored_codes, other, code)
                cost = bits * bit + shift_right(smaller(difference, cap) * colour, COLOUR_SHIFT)
                store_bytes(costs, cell + d, cost)
            for d in range(inside, depth):
                costs[cell + d] = OUTSIDE
