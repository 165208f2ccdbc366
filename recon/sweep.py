"""Plane sweep: how well other views, warped onto planes of constant depth, resemble a view around each pixel.

Zero-mean normalised cross-correlation over windows, of the better share of the other views that see a point.
Source: Collins, A space-sweep approach to true multi-image matching (CVPR 1996). Sums are of whole numbers, so that
the faint texture of a bare wall is not lost in rounding.
"""

# pyright: reportCallIssue=false, reportArgumentType=false
from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int32, UInt8
from numpy import ndarray

from render.cpu.kernel import kernel

GREYS = 4095  # of the whole numbers that images are turned into
WORST = 200  # the cost of no resemblance; a perfect one costs 0
UNSEEN = 255  # no other view sees the point
LEAST_VARIANCE = 1e-6  # of grey in 0..1: less contrast than this is noise


@dataclass(frozen=True)
class Sources:
    """Other views: their pixels end to end, and per view size and how a pixel at inverse depth q is found in it:
    turn @ (u, v, 1) + q * shift, in homogeneous pixels."""

    pixels: Int32[ndarray, "A"]
    sizes: Int32[ndarray, "S 2"]  # height, width
    turns: Float64[ndarray, "S 3 3"]
    shifts: Float64[ndarray, "S 3"]


def whole_greys(grey: Float32[ndarray, "H W"]) -> Int32[ndarray, "H W"]:
    """An image in 0..1 in whole numbers up to GREYS."""
    return np.rint(np.clip(grey, 0, 1) * GREYS).astype(np.int32)


def sweep(
    reference: Int32[ndarray, "H W"], sources: Sources, inverse: Float64[ndarray, "P"], radius: int, share: float
) -> UInt8[ndarray, "H W P"]:
    """Costs 0..WORST of each pixel on each plane (inverse depths), UNSEEN where no source sees it.

    radius: of the windows, at most 5 (their sums must fit in 32 bits). share: of the sources that see a point, the
    better ones that count; the others may be occluded.
    """
    volume = np.empty((*reference.shape, len(inverse)), np.uint8)
    _sweep(
        reference, sources.pixels, sources.sizes, sources.turns, sources.shifts, inverse, radius, share,
        LEAST_VARIANCE * GREYS**2, volume,
    )  # fmt: skip
    return volume


@kernel
def _sweep(reference, pixels, sizes, turns, shifts, inverse, radius, share, least_variance, volume):
    height, width = reference.shape
    count, side = len(sizes), 2 * radius + 1
    number, total, spread = np.empty((3, height, width), np.float64)
    _window_sums(reference, radius, least_variance, number, total, spread)
    best = np.empty(count + 1, np.int64)
    for seen in range(count + 1):
        best[seen] = max(1, int(math.ceil(share * seen)))
    costs = np.empty((height, count, width), np.uint8)
    valid = np.empty((height, width), np.uint8)
    nothing = np.zeros(width, np.int32)
    scratch = np.empty((4, width), np.float32)
    window = np.empty((3, width), np.int32)
    for plane in range(len(inverse)):
        begin = 0
        for s in range(count):
            rows, columns = sizes[s]
            source = pixels[begin : begin + rows * columns]
            begin += rows * columns
            ring = np.zeros((side, width), np.int32)
            column = np.zeros((3, width), np.int32)
            warped = np.zeros(width, np.int32)
            for entering in range(height + radius):
                slot = entering % side
                entered = nothing
                if entering < height:
                    _warp_row(
                        source, rows, columns, turns[s], shifts[s], inverse[plane], entering, scratch, warped,
                        valid[entering],
                    )  # fmt: skip
                    entered = reference[entering]
                else:
                    warped[:] = 0
                left = reference[entering - side] if entering >= side else nothing
                # the row that leaves the windows is the one whose place in the ring the new row takes
                _exchange(warped, entered, ring[slot], left, column[0], column[1], column[2])
                y = entering - radius
                if y >= 0:
                    _sum_across(column[0], radius, window[0])
                    _sum_across(column[1], radius, window[1])
                    _sum_across(column[2], radius, window[2])
                    _correlate(
                        window[0], window[1], window[2], number[y], total[y], spread[y], least_variance, valid[y],
                        costs[y, s],
                    )  # fmt: skip
        for y in range(height):
            _sort(costs[y])
            _mean_of_best(costs[y], best, volume[y, :, plane])


@kernel
def _warp_row(source, rows, columns, turn, shift, inverse, y, scratch, row, valid):
    v = y + 0.5
    a = np.float32(turn[0, 1] * v + turn[0, 2] + inverse * shift[0])
    b = np.float32(turn[1, 1] * v + turn[1, 2] + inverse * shift[1])
    c = np.float32(turn[2, 1] * v + turn[2, 2] + inverse * shift[2])
    by_a, by_b, by_c = np.float32(turn[0, 0]), np.float32(turn[1, 0]), np.float32(turn[2, 0])
    right, bottom = np.float32(max(columns - 1.001, 0)), np.float32(max(rows - 1.001, 0))
    zero, half, tiny = np.float32(0), np.float32(0.5), np.float32(1e-6)
    last_x, last_y = np.float32(columns - 0.5), np.float32(rows - 0.5)
    across, down = scratch[0], scratch[1]
    for x in range(len(row)):
        u = np.float32(x) + half
        z = by_c * u + c
        scale = np.float32(1) / max(z, tiny)
        to_x = (by_a * u + a) * scale - half
        to_y = (by_b * u + b) * scale - half
        # half a pixel beyond the outermost centres the image ends
        valid[x] = (z > tiny) & (to_x >= -half) & (to_y >= -half) & (to_x <= last_x) & (to_y <= last_y)
        across[x] = min(max(to_x, zero), right)
        down[x] = min(max(to_y, zero), bottom)
    next_x, next_y = np.uint64(min(columns - 1, 1)), np.uint64(min(rows - 1, 1) * columns)
    stride = np.uint64(columns)
    for x in range(len(row)):
        left, top = np.uint64(across[x]), np.uint64(down[x])
        at = top * stride + left
        p, q = across[x] - np.float32(left), down[x] - np.float32(top)
        first, third = np.float32(source[at]), np.float32(source[at + next_y])
        upper = first + p * (np.float32(source[at + next_x]) - first)
        lower = third + p * (np.float32(source[at + next_y + next_x]) - third)
        row[x] = np.int32(upper + q * (lower - upper) + half)


@kernel
def _exchange(warped, entered, ring, left, one, square, product):
    """Column sums of the values, their squares and their products with the reference, one row further."""
    for x in range(len(one)):
        new, old = warped[x], ring[x]
        one[x] += np.int32(new - old)
        square[x] += np.int32(new * new - old * old)
        product[x] += np.int32(new * entered[x] - old * left[x])
        ring[x] = new


@kernel
def _sum_across(column, radius, window):
    width = len(column)
    total = np.int32(0)
    for x in range(min(radius, width)):
        total = np.int32(total + column[x])
    for x in range(width):
        if x + radius < width:
            total = np.int32(total + column[x + radius])
        if x > radius:
            total = np.int32(total - column[x - radius - 1])
        window[x] = total


@kernel
def _correlate(values, squares, products, number, total, spread, least_variance, valid, cost):
    """Costs of a row from the sums over its windows. In double precision up to the differences, which cancel."""
    one, worst = np.float32(1), np.float32(WORST)
    for x in range(len(cost)):
        n = number[x]
        value = np.float64(values[x])
        covariance = np.float32(n * np.float64(products[x]) - total[x] * value)
        variance = np.float32(n * np.float64(squares[x]) - value * value + n * n * least_variance)
        resemblance = covariance / (np.float32(math.sqrt(variance)) * np.float32(spread[x]))
        good = worst * min(max(one - resemblance, np.float32(0)), one)
        cost[x] = np.uint8(good if valid[x] != 0 else np.float32(UNSEEN))


@kernel
def _window_sums(reference, radius, least_variance, number, total, spread):
    """Pixels in each window, their sum, and n times their standard deviation."""
    height, width = reference.shape
    for y in range(height):
        top, bottom = max(y - radius, 0), min(y + radius + 1, height)
        for x in range(width):
            left, right = max(x - radius, 0), min(x + radius + 1, width)
            n = (bottom - top) * (right - left)
            values, squares = np.int64(0), np.int64(0)
            for v in range(top, bottom):
                for u in range(left, right):
                    value = np.int64(reference[v, u])
                    values += value
                    squares += value * value
            number[y, x] = n
            total[y, x] = values
            spread[y, x] = math.sqrt(n * squares - values * values + n * n * least_variance)


@kernel
def _sort(costs):
    """Each column of [S, W], ascending: rows are exchanged whole, many columns at a time."""
    count, width = costs.shape
    for end in range(count - 1, 0, -1):
        for s in range(end):
            upper, lower = costs[s], costs[s + 1]
            for x in range(width):
                a, b = upper[x], lower[x]
                upper[x] = min(a, b)
                lower[x] = max(a, b)


@kernel
def _mean_of_best(costs, best, out):
    """The mean of the first best[seen] of each sorted column; UNSEEN ones stand last."""
    count, width = costs.shape
    for x in range(width):
        seen = 0
        while seen < count and costs[seen, x] != UNSEEN:
            seen += 1
        total = 0
        for s in range(best[seen]):
            total += costs[s, x]
        out[x] = np.uint8((total + best[seen] // 2) // best[seen]) if seen > 0 else np.uint8(UNSEEN)
