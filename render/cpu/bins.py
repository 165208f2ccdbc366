"""Stage 2: which splats reach which tile, each tile's list sorted front to back.

Every (splat, tile) pair owns a slot, and the slots of one splat follow one another: the backward pass writes its
sums there, so no two threads ever add to the same number and the result does not depend on their number.
"""

# pyright: reportCallIssue=false, reportArgumentType=false
from __future__ import annotations

import numpy as np

from .kernel import kernel
from .memory import add_one, float_bits, load_scalar, store_scalar, to_int
from .records import (
    BOTTOM,
    CENTER_U,
    CENTER_V,
    CHANNELS,
    CONIC_UU,
    CONIC_UV,
    CONIC_VV,
    CUTOFF,
    HEIGHT_BITS,
    LEFT,
    RECORD,
    RIGHT,
    TILE_HEIGHT,
    TOP,
    WIDTH_BITS,
    f32,
)

_RADIX_BITS = 8


@kernel
def tile_box(records, r):
    """The tiles that the bounding box of the splat at records[r] reaches: first and past-the-last column and row,
    and whether there are so many that an exact look at the ellipse pays."""
    left, right = to_int(load_scalar(records, r + LEFT)), to_int(load_scalar(records, r + RIGHT))
    top, bottom = to_int(load_scalar(records, r + TOP)), to_int(load_scalar(records, r + BOTTOM))
    first, last = left >> WIDTH_BITS, ((right - 1) >> WIDTH_BITS) + 1
    upper, lower = top >> HEIGHT_BITS, ((bottom - 1) >> HEIGHT_BITS) + 1
    return first, last, upper, lower, (last - first) * (lower - upper) > 4


@kernel
def reached_columns(records, r, tile_y):
    """First and past-the-last tile column that the ellipse alpha = 1/255 reaches in a row of tiles."""
    first = max(int(records[r + TOP]), tile_y * TILE_HEIGHT)
    last = min(int(records[r + BOTTOM]), (tile_y + 1) * TILE_HEIGHT) - 1
    dv_first = f32(first) + f32(0.5) - records[r + CENTER_V]
    dv_last = f32(last) + f32(0.5) - records[r + CENTER_V]
    # The ellipse a du^2 + 2 b du dv + c dv^2 = 2 cutoff.
    a, b, c = f32(-32) * records[r + CONIC_UU], f32(-16) * records[r + CONIC_UV], f32(-32) * records[r + CONIC_VV]
    cutoff = f32(-16) * records[r + CUTOFF]
    # Where it is widest; within the row of tiles, the nearest line to that.
    widest = -b / c * np.sqrt(max(f32(0), f32(2) * cutoff * c / (a * c - b * b)))
    dv_right = min(max(widest, dv_first), dv_last)
    dv_left = min(max(-widest, dv_first), dv_last)
    under_right = b * b * dv_right * dv_right - a * (c * dv_right * dv_right - f32(2) * cutoff)
    under_left = b * b * dv_left * dv_left - a * (c * dv_left * dv_left - f32(2) * cutoff)
    if under_right < 0 or under_left < 0:
        return 0, 0
    u, half, margin = records[r + CENTER_U], f32(0.5), f32(1e-3)
    left_end = u + (-b * dv_left - np.sqrt(under_left)) / a
    right_end = u + (-b * dv_right + np.sqrt(under_right)) / a
    left = max(int(records[r + LEFT]), int(np.ceil(left_end - half - margin)))
    right = min(int(records[r + RIGHT]), int(np.floor(right_end - half + margin)) + 1)
    if left >= right:
        return 0, 0
    return left >> WIDTH_BITS, ((right - 1) >> WIDTH_BITS) + 1


@kernel
def count_pairs(first, last, begins, ends, records, tiles_x, counts, first_slot, slots):
    """Of the records begins[b]:ends[b] of the blocks b in first:last, counts[t]: how many reach tile t; slots[r]: how
    many tiles record r reaches; first_slot[r]: how many pairs come before it. Returns the number of pairs."""
    counts[:] = 0
    pairs = np.int64(0)
    for block in range(first, last):
        for row in range(begins[block], ends[block]):
            r = RECORD * row
            store_scalar(first_slot, row, np.uint32(pairs))
            reached = np.int64(0)
            if load_scalar(records, r + RIGHT) >= f32(0):
                left, right, upper, lower, many = tile_box(records, r)
                for tile_y in range(upper, lower):
                    if many:
                        left, right = reached_columns(records, r, tile_y)
                    for tile in range(tile_y * tiles_x + left, tile_y * tiles_x + right):
                        add_one(counts, tile)
                    reached += right - left
            store_scalar(slots, row, np.uint32(reached))
            pairs += reached
    return pairs


@kernel
def place_lists(counts, offsets):
    """From counts [threads, tiles] to where each thread's part of each tile's list begins; offsets: each list's.
    Returns the longest list's length."""
    total = np.int64(0)
    longest = np.int64(0)
    for tile in range(counts.shape[1]):
        offsets[tile] = total
        for thread in range(counts.shape[0]):
            count = counts[thread, tile]
            counts[thread, tile] = total
            total += count
        longest = max(longest, total - offsets[tile])
    offsets[counts.shape[1]] = total
    return longest


@kernel
def list_pairs(
    first, last, begins, ends, records, tiles_x, cursors, slots_before, first_slot, slots, keys, splat_of_slot
):
    """Fills keys with depth bits << 32 | slot, by tile, and splat_of_slot with records; slots_before: those of the
    blocks before `first`."""
    for block in range(first, last):
        for row in range(begins[block], ends[block]):
            if load_scalar(slots, row) == 0:
                continue
            r = RECORD * row
            slot = np.int64(load_scalar(first_slot, row)) + slots_before
            store_scalar(first_slot, row, np.uint32(slot))
            depth = np.uint64(float_bits(load_scalar(records, r + CHANNELS))) << np.uint64(32)
            left, right, upper, lower, many = tile_box(records, r)
            for tile_y in range(upper, lower):
                if many:
                    left, right = reached_columns(records, r, tile_y)
                for tile in range(tile_y * tiles_x + left, tile_y * tiles_x + right):
                    store_scalar(keys, add_one(cursors, tile), depth | np.uint64(slot))
                    store_scalar(splat_of_slot, slot, np.uint32(row))
                    slot += 1


@kernel
def sort_list(begin, end, keys, scratch, splat_of_slot, splats, slots):
    """Sorts the keys of one tile by depth, equal depths in index order; splats, slots: what they stand for."""
    part = keys[begin:end]
    _sort(part, scratch)
    for k in range(part.size):
        slot = part[k] & np.uint64(0xFFFFFFFF)
        slots[begin + k] = slot
        splats[begin + k] = splat_of_slot[slot]


@kernel
def _sort(keys, scratch):
    """Stable radix sort on the depth bits that vary among these keys."""
    n = keys.size
    if n <= 24:
        for i in range(1, n):
            key, j = keys[i], i
            while j > 0 and keys[j - 1] > key:
                keys[j] = keys[j - 1]
                j -= 1
            keys[j] = key
        return
    any_set, all_set = np.uint64(0), ~np.uint64(0)
    for i in range(n):
        any_set |= keys[i]
        all_set &= keys[i]
    varying = (any_set & ~all_set) >> np.uint64(32)
    shift = np.uint64(32)
    digit = np.uint64((1 << _RADIX_BITS) - 1)
    counts = np.empty(1 << _RADIX_BITS, np.int64)
    source, target = keys, scratch[:n]
    while varying != 0:
        while varying & np.uint64(1) == 0:
            varying >>= np.uint64(1)
            shift += np.uint64(1)
        counts[:] = 0
        for i in range(n):
            counts[(source[i] >> shift) & digit] += 1
        total = 0
        for d in range(counts.size):
            count = counts[d]
            counts[d] = total
            total += count
        for i in range(n):
            d = (source[i] >> shift) & digit
            target[counts[d]] = source[i]
            counts[d] += 1
        source, target = target, source
        varying >>= np.uint64(_RADIX_BITS)
        shift += np.uint64(_RADIX_BITS)
    # After an odd number of passes the sorted keys lie in scratch; copying onto itself is harmless otherwise.
    for i in range(n):
        keys[i] = source[i]
