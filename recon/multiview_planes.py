"""Slanted planes: each pixel's depth and slant moved until its window looks alike in the other views.

A sweep compares windows on planes that face the camera and prefers few steps of depth; floors and walls seen at a
grazing angle suffer from both. Here every pixel has a plane of its own, takes over those of its neighbours where they
fit better, and tries small changes. Source: Bleyer et al., PatchMatch Stereo (BMVC 2011) and Galliani et al., Massively
Parallel Multiview Stereopsis by Surface Normal Diffusion (ICCV 2015), here with steps in place of chance.
"""

# pyright: reportCallIssue=false, reportArgumentType=false
from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from render.cpu.kernel import kernel

from .sweep import GREYS, LEAST_VARIANCE, Sources

STEPS = (0.5, 0.2)  # pixels of parallax by which depth and slant are changed, one round each
ALIKE = 0.1  # difference of grey in 0..1 at which a pixel of the window counts 1/e
DRAWN, DRAWN_FROM = (
    0.2,
    2.0,
)  # cost of disagreeing with a source's depth, and the pixels of parallax that are quite that
NEAREST_INVERSE = 1e-4  # of depths tried, in 1 / metre
STEEPEST = 0.5  # change of inverse depth from pixel to pixel, as a share of it


def slanted_depth(
    depth: Float32[ndarray, "H W"],
    grey: Float32[ndarray, "H W"],
    sources: Sources,
    radius: int,
    share: float,
    theirs: Sequence[Float32[ndarray, "_ _"]] = (),
) -> tuple[Float32[ndarray, "H W"], Float32[ndarray, "H W"], Float32[ndarray, "H W"]]:
    """Depth in metres (0 = none, as given) after the moves, the cost 0..1 of the windows there, and the reach: how many
    pixels a point moves, for each 1 / metre of its inverse depth, in the source that tells the most about it.

    radius: of the windows; share: as of sweep(); theirs: the
    depth of the sources where it is known, to which planes are drawn.
    """
    inverses = np.zeros(len(sources.pixels), np.float32)
    if len(theirs):
        known = np.concatenate([one.ravel() for one in theirs])
        inverses = np.where(known > 0, 1 / np.maximum(known, 1e-9), 0).astype(np.float32)
    drawn = (DRAWN if len(theirs) else 0.0, 1 / DRAWN_FROM)
    reach = np.zeros(depth.shape, np.float32)
    planes = _planes_through(depth)
    cost = np.ones(depth.shape, np.float32)
    reference = np.clip(grey, 0, 1).astype(np.float32)
    pixels = sources.pixels.astype(np.float32) / np.float32(GREYS)
    for step in STEPS:
        for colour in (0, 1):
            _move(
                reference, pixels, inverses, drawn, sources.sizes, sources.turns, sources.shifts, radius, share, ALIKE,
                step, LEAST_VARIANCE, STEEPEST, NEAREST_INVERSE, colour, planes, cost, reach,
            )  # fmt: skip
    inverse = planes[..., 0]
    return np.where(inverse > 0, 1 / np.maximum(inverse, 1e-9), 0).astype(np.float32), np.minimum(cost, 1), reach


def _planes_through(depth: Float32[ndarray, "H W"]) -> Float32[ndarray, "H W 3"]:
    """Inverse depth and its change to the next pixel on the right and below; 0 where there is no depth."""
    inverse = np.where(depth > 0, 1 / np.maximum(depth, 1e-9), 0)
    planes = np.zeros((*depth.shape, 3), np.float32)
    planes[..., 0] = inverse
    for axis, size in ((1, depth.shape[1]), (0, depth.shape[0])):
        if size < 3:
            continue
        line, known = np.moveaxis(inverse, axis, 0), np.moveaxis(depth, axis, 0) > 0
        steps = np.where(known[1:] & known[:-1], line[1:] - line[:-1], 0)
        before, after = steps[:-1], steps[1:]
        slope = np.where(np.abs(before) < np.abs(after), before, after)  # the flatter one does not cross an edge
        np.moveaxis(planes[..., 2 - axis], axis, 0)[1:-1] = slope
    return planes


@kernel
def _move(
    reference, pixels, inverses, drawn, sizes, turns, shifts, radius, share, alike, step, least_variance, steepest,
    nearest, colour, planes, cost, reach,
):  # fmt: skip
    """One round over the pixels of one colour of the chequerboard: they look at those of the other colour only."""
    height, width = reference.shape
    count = len(sizes)
    side = 2 * radius + 1
    weights, values = np.empty(side * side, np.float32), np.empty(side * side, np.float32)
    costs = np.empty(count, np.float32)
    best, tried = np.empty(3, np.float32), np.empty(3, np.float32)
    for y in range(height):
        for x in range((y + colour) % 2, width, 2):
            if planes[y, x, 0] <= 0:
                continue
            spread = _window(reference, x, y, radius, alike, weights, values)
            best[:] = planes[y, x]
            reach[y, x] = _reach(sizes, turns, shifts, x, y, best[0])
            pull = np.float32(reach[y, x] * drawn[1])
            change = np.float32(step / reach[y, x])
            least = _cost(
                pixels, inverses, drawn[0], pull, sizes, turns, shifts, x, y, radius, width, height, share, weights,
                values, spread, least_variance, best, costs,
            )  # fmt: skip
            for hypothesis in range(14):
                if hypothesis < 8:
                    away = 1 if hypothesis < 4 else 3
                    dx = away * (1 - 2 * (hypothesis & 1)) if hypothesis & 2 else 0
                    dy = 0 if hypothesis & 2 else away * (1 - 2 * (hypothesis & 1))
                    if not (0 <= x + dx < width and 0 <= y + dy < height) or planes[y + dy, x + dx, 0] <= 0:
                        continue
                    other = planes[y + dy, x + dx]
                    tried[:] = other
                    tried[0] = other[0] - other[1] * dx - other[2] * dy
                else:
                    which = (hypothesis - 8) >> 1
                    sign = np.float32(1 - 2 * (hypothesis & 1))
                    tried[:] = best
                    tried[which] += sign * (change if which == 0 else change / np.float32(radius))
                if tried[0] < nearest or abs(tried[1]) + abs(tried[2]) > steepest * tried[0]:
                    continue
                found = _cost(
                    pixels, inverses, drawn[0], pull, sizes, turns, shifts, x, y, radius, width, height, share, weights,
                    values, spread, least_variance, tried, costs,
                )  # fmt: skip
                if found < least:
                    least = found
                    best[:] = tried
            planes[y, x] = best
            cost[y, x] = least


@kernel
def _reach(sizes, turns, shifts, x, y, q):
    """Of a pixel at inverse depth q: near the point that a camera walks towards it is little, whatever the way."""
    u, v = x + 0.5, y + 0.5
    most = 1e-3
    for s in range(len(sizes)):
        rows, columns = sizes[s]
        T, t = turns[s], shifts[s]
        c = T[2, 0] * u + T[2, 1] * v + T[2, 2] + q * t[2]
        if c < 1e-6:
            continue
        at_x = (T[0, 0] * u + T[0, 1] * v + T[0, 2] + q * t[0]) / c
        at_y = (T[1, 0] * u + T[1, 1] * v + T[1, 2] + q * t[1]) / c
        if 0 <= at_x <= columns and 0 <= at_y <= rows:
            most = max(most, math.hypot(t[0] - at_x * t[2], t[1] - at_y * t[2]) / c)
    return most


@kernel
def _window(reference, x, y, radius, alike, weights, values):
    """Weights (summing to 1) and values less their mean, of the pixels around; and the standard deviation."""
    height, width = reference.shape
    middle, k = reference[y, x], 0
    total, mean = np.float32(0), np.float32(0)
    for dy in range(-radius, radius + 1):
        for dx in range(-radius, radius + 1):
            u, v = x + dx, y + dy
            if 0 <= u < width and 0 <= v < height:
                values[k] = reference[v, u]
                weights[k] = math.exp(-abs(values[k] - middle) / alike)
            else:
                values[k] = 0
                weights[k] = 0
            total += weights[k]
            mean += weights[k] * values[k]
            k += 1
    mean /= total
    variance = np.float32(0)
    for i in range(k):
        weights[i] /= total
        values[i] -= mean
        variance += weights[i] * values[i] * values[i]
    return variance


@kernel
def _cost(
    pixels, inverses, drawn, pull, sizes, turns, shifts, x, y, radius, width, height, share, weights, values, spread,
    least_variance, plane, costs,
):  # fmt: skip
    """1 - correlation, limited to 0..1, of the better share of the sources that see the middle; 1 where none does."""
    begin, seen = 0, 0
    one, half, tiny = np.float32(1), np.float32(0.5), np.float32(1e-6)
    u, v = np.float32(x + 0.5), np.float32(y + 0.5)
    q, qx, qy = plane[0], plane[1], plane[2]
    for s in range(len(sizes)):
        rows, columns = sizes[s]
        at = np.uint64(begin)
        begin += rows * columns
        T, t = turns[s], shifts[s]
        a = np.float32(T[0, 0] * u + T[0, 1] * v + T[0, 2] + q * t[0])
        b = np.float32(T[1, 0] * u + T[1, 1] * v + T[1, 2] + q * t[1])
        c = np.float32(T[2, 0] * u + T[2, 1] * v + T[2, 2] + q * t[2])
        if c < tiny or a < 0 or b < 0 or a > columns * c or b > rows * c:
            continue
        # to first order the window's homography is an affine map
        scale = one / c
        x0, y0 = a * scale, b * scale
        row_z, column_z = T[2, 1] + qy * t[2], T[2, 0] + qx * t[2]
        x_across = np.float32((T[0, 0] + qx * t[0] - x0 * column_z) * scale)
        x_down = np.float32((T[0, 1] + qy * t[0] - x0 * row_z) * scale)
        y_across = np.float32((T[1, 0] + qx * t[1] - y0 * column_z) * scale)
        y_down = np.float32((T[1, 1] + qy * t[1] - y0 * row_z) * scale)
        right, bottom = np.float32(max(columns - 1.001, 0)), np.float32(max(rows - 1.001, 0))
        stride, zero = np.uint64(columns), np.float32(0)
        next_x, next_y = np.uint64(min(columns - 1, 1)), np.uint64(min(rows - 1, 1) * columns)
        total, square, product = zero, zero, zero
        k = 0
        for dy in range(-radius, radius + 1):
            for dx in range(-radius, radius + 1):
                px = min(max(x0 - half + dx * x_across + dy * x_down, zero), right)
                py = min(max(y0 - half + dx * y_across + dy * y_down, zero), bottom)
                left, top = np.uint64(px), np.uint64(py)
                p, r = px - np.float32(left), py - np.float32(top)
                i = at + top * stride + left
                upper = pixels[i] + p * (pixels[i + next_x] - pixels[i])
                lower = pixels[i + next_y] + p * (pixels[i + next_y + next_x] - pixels[i + next_y])
                value = upper + r * (lower - upper)
                weighted = weights[k] * value
                total += weighted
                square += weighted * value
                product += weighted * values[k]
                k += 1
        variance = square - total * total
        resemblance = product / math.sqrt((max(variance, np.float32(0)) + least_variance) * (spread + least_variance))
        worse = min(max(one - resemblance, np.float32(0)), one)
        if drawn > 0:
            column, row = np.uint64(min(x0, right)), np.uint64(min(y0, bottom))
            off = abs(inverses[at + row * stride + column] - q * scale) * pull
            worse += np.float32(drawn) * min(off, one)
        i = seen
        while i > 0 and costs[i - 1] > worse:
            costs[i] = costs[i - 1]
            i -= 1
        costs[i] = worse
        seen += 1
    if seen == 0:
        return one
    kept = max(1, int(math.ceil(share * seen)))
    mean = np.float32(0)
    for i in range(kept):
        mean += costs[i]
    return mean / np.float32(kept)
