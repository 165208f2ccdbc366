"""Semi-global matching: costs are summed along eight paths, and each pixel takes the disparity of the least sum.

Hirschmueller, "Stereo processing by semiglobal matching and mutual information" (PAMI 2008). One thread sums the four
paths that come from above and the left, another the four from below and the right.
"""

# pyright: reportCallIssue=false, reportArgumentType=false
from __future__ import annotations

import threading
from typing import NamedTuple

import numpy as np
from numpy import ndarray

from render.cpu.kernel import kernel
from render.cpu.short_lanes import (
    WIDTH,
    all_shorts,
    load_bytes,
    load_shorts,
    short_numbers,
    smaller,
    smallest,
    store_shorts,
    where_less,
)
from render.cpu.workers import run

SMALL_STEP = 16  # penalty of a disparity step of one pixel, in the units of matching_cost
LARGE_STEP = 110  # penalty of a larger step between pixels of one grey level
CONTRAST = 10  # grey levels of difference that halve the large penalty: surfaces tend to end where the colour changes
KEPT_BYTES = 16_000_000  # sums of small images stay allocated: fresh pages cost a third of the time of a 64 x 64 match
FAR = 8000  # above all sums, and no overflow when added to one


class Winners(NamedTuple):
    """Each [H, W]. disparity float32 pixels, sub-pixel; from_right int16, of the right eye's pixels, whole, -1 = none;
    cost int16, the least sum; second int16, the least sum more than one pixel of disparity away."""

    disparity: ndarray
    from_right: ndarray
    cost: ndarray
    second: ndarray


def semi_global(costs: ndarray, grey: ndarray, search: int, threads: int = 2) -> Winners:
    """The winners among disparities 0..search - 1; costs uint8 [H, W, D], D a multiple of 16; grey uint8 [H, W]."""
    height, width, depth = costs.shape
    contrast = np.arange(256)
    penalties = np.maximum(SMALL_STEP + 1, LARGE_STEP / (1 + contrast / CONTRAST)).astype(np.int64)
    flat, guide = costs.reshape(-1), np.ascontiguousarray(grey).reshape(-1).astype(np.int64)
    sums = _sums(costs.size)
    slot = depth + 2 * WIDTH

    def sweep(direction: int) -> None:
        # Two slots for the path along the row, and for each of three paths two rows with a slot beyond either end.
        paths = np.zeros((2 + 6 * (width + 2), slot), np.int16)
        paths[:, :WIDTH] = FAR
        paths[:, WIDTH + depth :] = FAR
        least = np.zeros(len(paths), np.int64)
        step = 1 - 2 * direction
        _sweep(flat, guide, height, width, depth, penalties, step, paths.reshape(-1), least, sums[direction])

    if threads > 1:
        run(2, sweep)
    else:
        sweep(0), sweep(1)

    bands = np.linspace(0, height, threads + 1).astype(int)
    disparity = np.empty(height * width, np.float32)
    whole = [np.empty(height * width, np.int16) for _ in range(3)]

    def choose(thread: int) -> None:
        _choose(*sums, width, depth, search, disparity, *whole, bands[thread], bands[thread + 1])

    run(threads, choose)
    return Winners(*(values.reshape(height, width) for values in (disparity, *whole)))


_kept = threading.local()


def _sums(cells: int) -> list[ndarray]:
    """Two arrays of so many shorts, not initialised; each thread keeps its own while they are small."""
    held: list[ndarray] = getattr(_kept, "sums", [])
    if not held or len(held[0]) < cells:
        held = [np.empty(cells, np.int16) for _ in range(2)]
        if sum(each.nbytes for each in held) <= KEPT_BYTES:
            _kept.sums = held
    return [each[:cells] for each in held]


@kernel
def _extend(paths, before, one, limit, base, cost):
    """Sixteen disparities of one path: the predecessor's sums, its neighbours' plus one step, or its least plus any."""
    beside = smaller(load_shorts(paths, before - 1), load_shorts(paths, before + 1)) + one
    return smaller(smaller(load_shorts(paths, before), beside), limit) - base + cost


@kernel
def _sweep(costs, grey, height, width, depth, penalties, step, paths, least, sums):
    """The paths that come from one pixel back, from up and one back, from up, from up and one ahead.

    step = 1 goes through the rows and columns forwards; -1 backwards, and up is down.
    """
    slot = depth + 2 * WIDTH
    row = width + 2
    one = all_shorts(SMALL_STEP)
    corner = 0 if step == 1 else height * width - 1
    for y in range(height):
        now, before = y & 1, 1 - (y & 1)
        for i in range(depth):
            paths[WIDTH + i] = 0
        least[0] = 0
        for x in range(width):
            pixel = corner + step * (y * width + x)
            level = grey[pixel]
            back = grey[pixel - step] if x > 0 else level
            up_back = grey[pixel - step * (width + 1)] if x > 0 and y > 0 else level
            up = grey[pixel - step * width] if y > 0 else level
            up_ahead = grey[pixel - step * (width - 1)] if x < width - 1 and y > 0 else level
            f0, t0 = x & 1, 1 - (x & 1)
            f1, t1 = 2 + before * row + x, 2 + now * row + x + 1
            f2, t2 = 2 + (2 + before) * row + x + 1, 2 + (2 + now) * row + x + 1
            f3, t3 = 2 + (4 + before) * row + x + 2, 2 + (4 + now) * row + x + 1
            limit0 = all_shorts(least[f0] + penalties[abs(level - back)])
            limit1 = all_shorts(least[f1] + penalties[abs(level - up_back)])
            limit2 = all_shorts(least[f2] + penalties[abs(level - up)])
            limit3 = all_shorts(least[f3] + penalties[abs(level - up_ahead)])
            base0, base1 = all_shorts(least[f0]), all_shorts(least[f1])
            base2, base3 = all_shorts(least[f2]), all_shorts(least[f3])
            least0 = least1 = least2 = least3 = all_shorts(FAR)
            cell = pixel * depth
            for d in range(0, depth, WIDTH):
                cost = load_bytes(costs, cell + d)
                i = WIDTH + d
                sum0 = _extend(paths, f0 * slot + i, one, limit0, base0, cost)
                sum1 = _extend(paths, f1 * slot + i, one, limit1, base1, cost)
                sum2 = _extend(paths, f2 * slot + i, one, limit2, base2, cost)
                sum3 = _extend(paths, f3 * slot + i, one, limit3, base3, cost)
                store_shorts(paths, t0 * slot + i, sum0)
                store_shorts(paths, t1 * slot + i, sum1)
                store_shorts(paths, t2 * slot + i, sum2)
                store_shorts(paths, t3 * slot + i, sum3)
                store_shorts(sums, cell + d, (sum0 + sum1) + (sum2 + sum3))
                least0, least1 = smaller(least0, sum0), smaller(least1, sum1)
                least2, least3 = smaller(least2, sum2), smaller(least3, sum3)
            least[t0], least[t1], least[t2], least[t3] = (
                smallest(least0),
                smallest(least1),
                smallest(least2),
                smallest(least3),
            )


@kernel
def _choose(sums, other_sums, width, depth, search, disparity, from_right, cost, second, first, last):
    """Rows first:last: the least sum of each pixel, refined between its neighbours, and of each of the right eye's.

    The right eye's sums are the same ones along a diagonal: its pixel x - d has disparity d.
    """
    values = np.full(depth + 2 * WIDTH, FAR, np.int16)
    right_least = np.empty(width + depth + WIDTH, np.int16)
    right_best = np.empty(width + depth + WIDTH, np.int16)
    far = all_shorts(FAR)
    for y in range(first, last):
        for i in range(len(right_least)):
            right_least[i] = FAR
            right_best[i] = -1
        for x in range(width):
            pixel = y * width + x
            opposite = width - 1 - x
            least = far
            for d in range(0, depth, WIDTH):
                number = short_numbers() + all_shorts(d)
                value = load_shorts(sums, pixel * depth + d) + load_shorts(other_sums, pixel * depth + d)
                # The last disparities only fill the sixteen lanes.
                value = where_less(number, all_shorts(search), value, far)
                store_shorts(values, WIDTH + d, value)
                least = smaller(least, value)
                other = load_shorts(right_least, opposite + d)
                store_shorts(
                    right_best, opposite + d, where_less(value, other, number, load_shorts(right_best, opposite + d))
                )
                store_shorts(right_least, opposite + d, smaller(value, other))
            lowest = smallest(least)
            above = all_shorts(lowest + 1)
            place = far
            for d in range(0, depth, WIDTH):
                number = short_numbers() + all_shorts(d)
                place = smaller(place, where_less(load_shorts(values, WIDTH + d), above, number, far))
            best = smallest(place)
            at = WIDTH + best
            low, high = values[at - 1], values[at + 1]
            fine = np.float32(best)
            if 0 < best < search - 1:
                # The two sides of the minimum of a census cost are straight and equally steep.
                steep = max(low, high) - lowest
                if steep > 0:
                    fine += np.float32(0.5) * np.float32(low - high) / np.float32(steep)
            values[at - 1] = values[at] = values[at + 1] = FAR
            if best == 0:
                values[WIDTH - 1] = FAR
            rest = far
            for d in range(0, depth, WIDTH):
                rest = smaller(rest, load_shorts(values, WIDTH + d))
            disparity[pixel] = fine
            cost[pixel] = lowest
            second[pixel] = smallest(rest)
        for x in range(width):
            from_right[y * width + x] = right_best[width - 1 - x]
