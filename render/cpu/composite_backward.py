"""Stage 4: from the gradient of the image to sums for each (splat, tile) pair.

Runs front to back again and stores nothing for each fragment. With T the transmittance before a splat, v the
gradient of the pixel along the splat's own channels and Q the same for all that lies behind it, weighted as
drawn, dL/dalpha = T v - Q / (1 - alpha); Q starts as the gradient along the finished pixel and loses each splat's
share as it is passed.
"""

# pyright: reportCallIssue=false, reportArgumentType=false
from __future__ import annotations

import numpy as np

from .channels import add_scaled, broadcast_row, dot, lane_sums, load_planes, no_light
from .composite import NO_GROUPS, clear, exp16, source, unfinished
from .kernel import kernel
from .lanes import any_lane, broadcast, keep, lane_abs, lane_min, lane_numbers, select
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

# The sums of one slot: of s, s du, s dv, s du^2, s du dv, s dv^2 over the pixels, s being minus the gradient of the
# exponent; of |dL/du| and |dL/dv|; then of each channel's gradient.
SLOT = 16
CHANNEL_SUMS = 8


@kernel
def composite_backward(
    counter, records, splats, slots, offsets, width, height, template, absolute,
    rgb, alpha, depth, features, rgb_gradient, alpha_gradient, depth_gradient, features_gradient, sums, add,
):  # fmt: skip
    """Fills the slots of tiles until the shared counter runs out of them. Images are flat, as composite's;
    template: likewise. absolute: (float32,) to sum absolute gradients too, else (). add: keep what moments the
    slots hold, and add to them."""
    planes = np.empty((3 + len(template)) * PLANE, np.float32)
    tiles_x = (width + TILE_WIDTH - 1) // TILE_WIDTH
    while True:
        tile = fetch_add(counter, 0, 1)
        if tile >= offsets.size - 1:
            break
        left, top = tile % tiles_x * TILE_WIDTH, tile // tiles_x * TILE_HEIGHT
        w, h = min(TILE_WIDTH, width - left), min(TILE_HEIGHT, height - top)
        planes[:] = f32(0)
        clear(planes, w, h)
        for y in range(h):
            pixel, i = (top + y) * width + left, y * ROW
            for x in range(w):
                p = pixel + x
                opaque, along_alpha, along_z = alpha[p], alpha_gradient[p], f32(0)
                if opaque > f32(0.5):  # depth = sum of z / alpha
                    along_z = depth_gradient[p] / opaque
                    along_alpha -= along_z * depth[p]
                red, green, blue = rgb_gradient[3 * p], rgb_gradient[3 * p + 1], rgb_gradient[3 * p + 2]
                behind = along_alpha * opaque + along_z * depth[p] * opaque
                behind += red * rgb[3 * p] + green * rgb[3 * p + 1] + blue * rgb[3 * p + 2]
                planes[2 * PLANE + i + x] = along_alpha
                planes[3 * PLANE + i + x] = along_z
                planes[4 * PLANE + i + x] = red
                planes[5 * PLANE + i + x] = green
                planes[6 * PLANE + i + x] = blue
                if len(template) > 4:
                    planes[7 * PLANE + i + x] = features_gradient[p]
                    behind += features_gradient[p] * features[p]
                planes[PLANE + i + x] = behind
        begin, end = offsets[tile], offsets[tile + 1]
        spread(
            records, NO_GROUPS, records, RECORD, CHANNELS, template, absolute, splats, slots, begin, end,
            left, top, w, h, planes, sums, add,
        )  # fmt: skip


@kernel
def composite_features_backward(
    counter, records, groups, table, row, first, splats, slots, offsets, width, height, template,
    image, gradient, channels, sums, add,
):  # fmt: skip
    """The same for channels that composite_features blended."""
    planes = np.empty((3 + len(template)) * PLANE, np.float32)
    tiles_x = (width + TILE_WIDTH - 1) // TILE_WIDTH
    while True:
        tile = fetch_add(counter, 0, 1)
        if tile >= offsets.size - 1:
            break
        left, top = tile % tiles_x * TILE_WIDTH, tile // tiles_x * TILE_HEIGHT
        w, h = min(TILE_WIDTH, width - left), min(TILE_HEIGHT, height - top)
        planes[:] = f32(0)
        clear(planes, w, h)
        for y in range(h):
            for x in range(w):
                p, i = (top + y) * width + left + x, y * ROW + x
                for c in range(min(len(template), channels - first)):
                    along = gradient[p * channels + first + c]
                    planes[(3 + c) * PLANE + i] = along
                    planes[PLANE + i] += along * image[p * channels + first + c]
        begin, end = offsets[tile], offsets[tile + 1]
        spread(
            records, groups, table, row, first, template, (), splats, slots, begin, end, left, top, w, h, planes,
            sums, add,
        )  # fmt: skip


@kernel
def spread(
    records, groups, table, row, first, template, absolute, splats, slots, begin, end, tile_left, tile_top, w, h,
    planes, sums, add,
):  # fmt: skip
    """One tile. planes: transmittance, Q, the gradient of alpha, then that of each channel."""
    numbers, nothing, zero = lane_numbers(), f32(0), broadcast(f32(0))
    origin_u, origin_v = f32(tile_left) + f32(0.5), f32(tile_top) + f32(0.5)
    k = begin
    while k < end:
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
        light_sums = no_light(template)
        s, s_u, s_v, s_uu, s_uv, s_vv, abs_u, abs_v = zero, zero, zero, zero, zero, zero, zero, zero
        above = broadcast(f32(top) - v - f32(1))
        x = left
        while x < right:
            du = numbers + (f32(x) - u)
            du_part, mixed_part, dv = du * du * uu, du * uv, above
            i, stop = top * ROW + x, bottom * ROW
            x += 8
            # Moments in dv for each lane: du is constant along a column, so its powers wait until the rows are done.
            moment0, moment1, moment2 = zero, zero, zero
            while i < stop:
                dv = dv + f32(1)
                exponent = (dv * vv + mixed_part) * dv + du_part
                before = load(planes, i)
                hit = lane_min(exponent - cutoff, before)
                if any_lane(hit > nothing):
                    alpha = exp16(exponent) * opacity
                    weight = lane_min(alpha, f32(0.999)) * before
                    after = before - weight
                    drawn_by = lane_min(hit, after - f32(1e-4))
                    drawn = drawn_by > nothing
                    store(planes, i, select(drawn, after, select(hit > nothing, nothing - before, before)))
                    weight = keep(drawn, weight)
                    along = load_planes(planes, i + 3 * PLANE, PLANE, template)
                    light_sums = add_scaled(light_sums, weight, along)
                    value = load(planes, i + 2 * PLANE) + dot(along, light)
                    behind = load(planes, i + PLANE) - weight * value
                    store(planes, i + PLANE, behind)
                    # No gradient where alpha is capped.
                    ds = keep(
                        lane_min(drawn_by, f32(0.999) - alpha) > nothing, (behind / after - value) * weight
                    )
                    moment0 = moment0 + ds
                    if len(absolute) > 0:
                        abs_u = abs_u + lane_abs(ds * (du * (uu + uu) + dv * uv))
                        abs_v = abs_v + lane_abs(ds * (dv * (vv + vv) + du * uv))
                    ds = ds * dv
                    moment1, moment2 = moment1 + ds, moment2 + ds * dv
                i += ROW
            s, s_v, s_vv = s + moment0, s_v + moment1, s_vv + moment2
            moment0 = moment0 * du
            s_u, s_uu, s_uv = s_u + moment0, s_uu + moment0 * du, s_uv + moment1 * du
        slot = np.int64(slots[k]) * SLOT
        moments = lane_sums((s, s_u, s_v, s_uu, s_uv, s_vv, abs_u * f32(16), abs_v * f32(16)))
        if add:
            moments = moments + load(sums, slot)
        store(sums, slot, moments)
        store(sums, slot + CHANNEL_SUMS, lane_sums(light_sums))
        k += 1
    while k < end:  # nothing of these is seen
        slot = np.int64(slots[k]) * SLOT
        if not add:
            store(sums, slot, zero)
        store(sums, slot + CHANNEL_SUMS, zero)
        k += 1
