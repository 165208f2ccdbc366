"""Stage 3: each tile's splats blended front to back, eight pixels at a time."""

# pyright: reportCallIssue=false, reportArgumentType=false
from __future__ import annotations

import numpy as np

from .bins import sort_list
from .channels import add_to_planes, broadcast_row
from .kernel import kernel
from .lanes import any_lane, broadcast, keep, lane_max, lane_min, lane_numbers, select
from .memory import fetch_add, load, load_scalar, prefetch, store, to_int
from .records import (
    BOTTOM,
    CENTER_U,
    CENTER_V,
    CHANNELS,
    CONIC_UU,
    CONIC_UV,
    CONIC_VV,
    CUTOFF,
    LEFT,
    OPACITY,
    PLANE,
    RECORD,
    RIGHT,
    ROW,
    TILE_HEIGHT,
    TILE_WIDTH,
    TOP,
    f32,
)

NO_GROUPS = np.zeros(0, np.uint32)


@kernel
def source(groups, splat):
    """The Gaussian of a record, or the record itself where there are no groups."""
    return np.int64(groups[splat >> 3]) * 8 + (splat & 7) if groups.size > 0 else splat


@kernel
def composite(
    counter, longest, records, keys, splat_of_slot, splats, slots, offsets, width, height, template,
    rgb, alpha, depth, features,
):  # fmt: skip
    """Sorts and blends tiles until the shared counter runs out of them.

    template: as many float32 as there are channels: z, red, green, blue, and one feature or none.
    rgb: flat [H W 3]; alpha, depth, features: flat [H W], depth being the expected z where alpha > 0.5, else 0.
    """
    planes = np.empty((1 + len(template)) * PLANE, np.float32)
    scratch = np.empty(longest, np.uint64)
    tiles_x = (width + TILE_WIDTH - 1) // TILE_WIDTH
    while True:
        tile = fetch_add(counter, 0, 1)
        if tile >= offsets.size - 1:
            break
        begin, end = offsets[tile], offsets[tile + 1]
        sort_list(begin, end, keys, scratch, splat_of_slot, splats, slots)
        left, top = tile % tiles_x * TILE_WIDTH, tile // tiles_x * TILE_HEIGHT
        w, h = min(TILE_WIDTH, width - left), min(TILE_HEIGHT, height - top)
        blend(records, NO_GROUPS, records, RECORD, CHANNELS, template, splats, begin, end, left, top, w, h, planes)
        for y in range(h):
            pixel, i = (top + y) * width + left, y * ROW
            for x in range(w):
                opaque = f32(1) - abs(planes[i + x])
                alpha[pixel + x] = opaque
                depth[pixel + x] = planes[PLANE + i + x] / opaque if opaque > f32(0.5) else f32(0)
                rgb[3 * (pixel + x)] = planes[2 * PLANE + i + x]
                rgb[3 * (pixel + x) + 1] = planes[3 * PLANE + i + x]
                rgb[3 * (pixel + x) + 2] = planes[4 * PLANE + i + x]
            if len(template) > 4:
                for x in range(w):
                    features[pixel + x] = planes[5 * PLANE + i + x]


@kernel
def composite_features(
    counter, records, groups, table, row, first, splats, offsets, width, height, template, image, channels
):
    """Blends more channels along lists that composite has sorted: columns `first` and on of table, flat [N, row],
    into the same columns of image, flat [H W channels]."""
    planes = np.empty((1 + len(template)) * PLANE, np.float32)
    tiles_x = (width + TILE_WIDTH - 1) // TILE_WIDTH
    while True:
        tile = fetch_add(counter, 0, 1)
        if tile >= offsets.size - 1:
            break
        left, top = tile % tiles_x * TILE_WIDTH, tile // tiles_x * TILE_HEIGHT
        w, h = min(TILE_WIDTH, width - left), min(TILE_HEIGHT, height - top)
        begin, end = offsets[tile], offsets[tile + 1]
        blend(records, groups, table, row, first, template, splats, begin, end, left, top, w, h, planes)
        for y in range(h):
            for x in range(w):
                pixel = (top + y) * width + left + x
                for c in range(min(len(template), channels - first)):
                    image[pixel * channels + first + c] = planes[(1 + c) * PLANE + y * ROW + x]


@kernel
def blend(records, groups, table, row, first, template, splats, begin, end, tile_left, tile_top, w, h, planes):
    """Fills planes: transmittance, then one for each channel; columns `first` and on of table, flat [N, row].

    A finished pixel keeps minus its transmittance and the padding holds -1, so that one comparison finds the
    pixels that are both hit and unfinished.
    """
    planes[:] = f32(0)
    clear(planes, w, h)
    numbers, nothing = lane_numbers(), f32(0)
    origin_u, origin_v = f32(tile_left) + f32(0.5), f32(tile_top) + f32(0.5)
    for k in range(begin, end):
        if (k - begin) & 31 == 31 and not unfinished(planes, h):
            break
        if k + 6 < end:
            prefetch(records, np.int64(splats[k + 6]) * RECORD)
        splat = np.int64(splats[k])
        r = splat * RECORD
        left = max(to_int(load_scalar(records, r + LEFT)) - tile_left, 0)
        right = min(to_int(load_scalar(records, r + RIGHT)) - tile_left, w)
        top = max(to_int(load_scalar(records, r + TOP)) - tile_top, 0)
        bottom = min(to_int(load_scalar(records, r + BOTTOM)) - tile_top, h)
        u, v = load_scalar(records, r + CENTER_U) - origin_u, load_scalar(records, r + CENTER_V) - origin_v
        uu, uv = load_scalar(records, r + CONIC_UU), load_scalar(records, r + CONIC_UV)
        vv = load_scalar(records, r + CONIC_VV)
        opacity, cutoff = load_scalar(records, r + OPACITY), load_scalar(records, r + CUTOFF)
        light = broadcast_row(table, source(groups, splat) * row + first, template)
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
                hit = lane_min(exponent - cutoff, before)  # > 0: alpha >= 1/255 and the pixel is unfinished
                if any_lane(hit > nothing):
                    weight = lane_min(exp16(exponent) * opacity, f32(0.999)) * before
                    after = before - weight
                    drawn = lane_min(hit, after - f32(1e-4)) > nothing  # else this splat would end the pixel
                    weight = keep(drawn, weight)
                    store(planes, i, select(drawn, after, select(hit > nothing, nothing - before, before)))
                    add_to_planes(planes, i + PLANE, PLANE, weight, light)
                i += ROW


@kernel
def clear(planes, w, h):
    """Full transmittance inside of the tile, -1 outside."""
    for y in range(TILE_HEIGHT):
        for x in range(ROW):
            planes[y * ROW + x] = f32(1) if x < w and y < h else f32(-1)


@kernel
def unfinished(planes, h):
    """Whether any pixel still takes splats."""
    largest = broadcast(f32(-1))
    for i in range(0, h * ROW, 8):
        largest = lane_max(largest, load(planes, i))
    return any_lane(largest > f32(0))


@kernel
def exp16(t):
    """exp(16 t) for t in -0.35..0, to 3e-6: a polynomial of degree 4 squared four times."""
    p = t * f32(0.0350935595) + f32(0.164757406)
    p = p * t + f32(0.499776416)
    p = p * t + f32(0.999991719)
    p = p * t + f32(1.0)
    p = p * p
    p = p * p
    p = p * p
    return p * p
