"""Stage 3: each tile's splats blended front to back, eight pixels at a time."""

# pyright: reportCallIssue=false, reportArgumentType=false
from __future__ import annotations

import numpy as np

from .bins import TILE_HEIGHT, TILE_WIDTH
from .kernel import kernel
from .lanes import any_lane, broadcast, keep, lane_max, lane_min, lane_numbers, select
from .memory import load, load_scalar, prefetch, store, to_int
from .project import (
    BOTTOM,
    CENTER_U,
    CENTER_V,
    CHANNELS,
    CONIC_UU,
    CONIC_UV,
    CONIC_VV,
    CUTOFF,
    DEPTH,
    LEFT,
    OPACITY,
    RECORD,
    RIGHT,
    TOP,
    f32,
)

ROW = TILE_WIDTH + 8  # eight pixels of padding, so that a vector may overhang the tile
PLANE = TILE_HEIGHT * ROW
OUTPUTS = 5  # four channels and depth


@kernel
def composite(records, keys, offsets, tiles_x, width, height, image, alpha):
    """image: flat [H W 5], sums of weight * (channels, depth); alpha: flat [H W].

    planes[0] is transmittance. A finished pixel keeps minus its transmittance and the padding holds -1, so
    that one comparison finds the pixels that are both hit and unfinished.
    """
    planes = np.empty((1 + OUTPUTS) * PLANE, np.float32)
    numbers = lane_numbers()
    nothing = f32(0)
    for tile in range(offsets.size - 1):
        begin, end = offsets[tile], offsets[tile + 1]
        tile_left, tile_top = tile % tiles_x * TILE_WIDTH, tile // tiles_x * TILE_HEIGHT
        w, h = min(TILE_WIDTH, width - tile_left), min(TILE_HEIGHT, height - tile_top)
        _clear(planes, w, h)
        origin_u, origin_v = f32(tile_left) + f32(0.5), f32(tile_top) + f32(0.5)
        for k in range(begin, end):
            if (k - begin) & 31 == 31 and not _unfinished(planes, h):
                break
            if k + 6 < end:
                prefetch(records, np.int64(keys[k + 6] & np.uint64(0xFFFFFFFF)) * RECORD)
            r = np.int64(keys[k] & np.uint64(0xFFFFFFFF)) * RECORD
            left = max(to_int(load_scalar(records, r + LEFT)) - tile_left, 0)
            right = min(to_int(load_scalar(records, r + RIGHT)) - tile_left, w)
            top = max(to_int(load_scalar(records, r + TOP)) - tile_top, 0)
            bottom = min(to_int(load_scalar(records, r + BOTTOM)) - tile_top, h)
            u, v = (
                load_scalar(records, r + CENTER_U) - origin_u,
                load_scalar(records, r + CENTER_V) - origin_v,
            )
            uu, uv = load_scalar(records, r + CONIC_UU), load_scalar(records, r + CONIC_UV)
            vv = load_scalar(records, r + CONIC_VV)
            opacity, cutoff = load_scalar(records, r + OPACITY), load_scalar(records, r + CUTOFF)
            c0 = broadcast(load_scalar(records, r + CHANNELS))
            c1 = broadcast(load_scalar(records, r + CHANNELS + 1))
            c2 = broadcast(load_scalar(records, r + CHANNELS + 2))
            c3 = broadcast(load_scalar(records, r + CHANNELS + 3))
            z = broadcast(load_scalar(records, r + DEPTH))
            above = broadcast(f32(top) - v - f32(1))
            x = left
            # Columns of eight pixels outside, rows inside: du is constant and two FMAs give the exponent.
            while x < right:
                du = numbers + (f32(x) - u)
                du_part, mixed_part, dv = du * du * uu, du * uv, above
                i, stop = top * ROW + x, bottom * ROW
                x += 8
                while i < stop:
                    dv = dv + f32(1)
                    exponent = (dv * vv + mixed_part) * dv + du_part
                    before = load(planes, i)
                    hit = lane_min(
                        exponent - cutoff, before
                    )  # > 0: alpha >= 1/255 and the pixel is unfinished
                    if any_lane(hit > nothing):
                        weight = lane_min(_exp16(exponent) * opacity, f32(0.999)) * before
                        after = before - weight
                        drawn = (
                            lane_min(hit, after - f32(1e-4)) > nothing
                        )  # else this splat would end the pixel
                        weight = keep(drawn, weight)
                        store(
                            planes, i, select(drawn, after, select(hit > nothing, nothing - before, before))
                        )
                        store(planes, i + PLANE, load(planes, i + PLANE) + weight * c0)
                        store(planes, i + 2 * PLANE, load(planes, i + 2 * PLANE) + weight * c1)
                        store(planes, i + 3 * PLANE, load(planes, i + 3 * PLANE) + weight * c2)
                        store(planes, i + 4 * PLANE, load(planes, i + 4 * PLANE) + weight * c3)
                        store(planes, i + 5 * PLANE, load(planes, i + 5 * PLANE) + weight * z)
                    i += ROW
        for y in range(h):
            pixel = (tile_top + y) * width + tile_left
            for x in range(w):
                alpha[pixel + x] = f32(1) - abs(planes[y * ROW + x])
                for output in range(OUTPUTS):
                    image[(pixel + x) * OUTPUTS + output] = planes[(1 + output) * PLANE + y * ROW + x]


@kernel
def _clear(planes, w, h):
    planes[:] = f32(0)
    for y in range(TILE_HEIGHT):
        for x in range(ROW):
            planes[y * ROW + x] = f32(1) if x < w and y < h else f32(-1)


@kernel
def _unfinished(planes, h):
    """Whether any pixel still takes splats."""
    largest = broadcast(f32(-1))
    for i in range(0, h * ROW, 8):
        largest = lane_max(largest, load(planes, i))
    return any_lane(largest > f32(0))


@kernel
def _exp16(t):
    """exp(16 t) for t in -0.35..0, to 3e-6: a polynomial of degree 4 squared four times."""
    p = t * f32(0.0350935595) + f32(0.164757406)
    p = p * t + f32(0.499776416)
    p = p * t + f32(0.999991719)
    p = p * t + f32(1.0)
    p = p * p
    p = p * p
    p = p * p
    return p * p
