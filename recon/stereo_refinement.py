"""After the matching: what both eyes agree on is kept, holes are filled from the background, edges follow the colours.

The weighted median is that of Rhemann et al. 2011 ("Fast cost-volume filtering"), by histogram, at edges and in holes.
"""

# pyright: reportCallIssue=false, reportArgumentType=false
from __future__ import annotations

import cv2
import numpy as np
from numpy import ndarray

from render.cpu.kernel import kernel
from render.cpu.workers import run

AGREEMENT = 2  # pixels, between whole disparities of both eyes
BORDER = 2  # columns of the right image whose matches have half a window only, and are not believed
SPECKLE = 20  # pixels; smaller islands are wrong more often than right
EDGE = 1.5  # pixels of disparity between neighbours
EDGE_REACH = 5  # pixels about an edge that are looked at again
WINDOW = 8  # pixels, radius of the weighted median
STRIDE = 2  # pixels between those that it looks at: a quarter of them is as good
NEAR = 7.0  # pixels, standard deviation of its weights in space
ALIKE = 20.0  # grey levels, summed over channels, over which its weights fall by e
SAME_SURFACE = 1.0  # pixels of disparity within which neighbours are averaged at the end
BINS = 8  # of the median's histogram in one pixel of disparity


def seen_by_both(disparity: ndarray, from_right: ndarray) -> ndarray:
    """Where the right eye's pixel has the same disparity, and enough neighbours too: bool [H, W]."""
    height, width = disparity.shape
    agreed = np.empty(height * width, np.int16)
    _agree(disparity.reshape(-1), from_right.reshape(-1), width, agreed)
    agreed = agreed.reshape(height, width)
    cv2.filterSpeckles(agreed, -16, SPECKLE, 16)
    return agreed >= 0


def refine(disparity: ndarray, seen: ndarray, image: ndarray, threads: int = 2) -> ndarray:
    """Dense disparity [H, W] float32: pixels that are not `seen` are filled, edges moved to where the colours change.

    image: the left one, uint8 [H, W, 3].
    """
    height, width = disparity.shape
    filled = fill_disparity(disparity, seen)
    edge = cv2.morphologyEx(filled, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > EDGE
    edge = cv2.dilate(edge.astype(np.uint8), np.ones((EDGE_REACH, EDGE_REACH), np.uint8))
    chosen = (edge > 0) | ~seen
    offsets = np.arange(-WINDOW, WINDOW + 1)
    near = np.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * NEAR**2)).astype(np.float32).reshape(-1)
    alike = np.exp(-np.arange(3 * 255 + 1) / ALIKE).astype(np.float32)
    bins = int(filled.max() * BINS + 1.5)
    flat, pixels, colours = filled.reshape(-1), chosen.reshape(-1), image.reshape(-1).astype(np.int32)
    median = flat.copy()
    # Interleaved bands, as edges and holes are not spread evenly.
    run(
        threads,
        lambda thread: _weighted_median(
            flat, pixels, colours, height, width, near, alike, bins, median, thread, threads
        ),
    )
    smooth = cv2.medianBlur(median.reshape(height, width), 3)
    return cv2.bilateralFilter(smooth, 5, SAME_SURFACE, 2)


def fill_disparity(disparity: ndarray, valid: ndarray) -> ndarray:
    """Disparity [H, W] with each invalid pixel set to the smaller (background) of its row's nearest valid neighbours.

    A row without any valid pixel keeps its values.
    """
    filled = np.array(disparity, np.float32)
    if filled.size:
        _fill_rows(filled.reshape(-1), np.ascontiguousarray(valid).reshape(-1), filled.shape[1])
    return filled


@kernel
def _agree(disparity, from_right, width, agreed):
    """Sixteenths of a pixel where both eyes agree, else -16."""
    for pixel in range(len(disparity)):
        whole = int(disparity[pixel] + np.float32(0.5))
        agreed[pixel] = -16
        if whole + BORDER <= pixel % width and abs(int(from_right[pixel - whole]) - whole) <= AGREEMENT:
            agreed[pixel] = int(disparity[pixel] * np.float32(16))


@kernel
def _fill_rows(disparity, valid, width):
    for row in range(0, len(disparity), width):
        last = -1
        for x in range(width + 1):
            if x < width and not valid[row + x]:
                continue
            # the hole is last + 1 : x; a row without any valid pixel is all hole
            if x < width or last >= 0:
                before = disparity[row + (last if last >= 0 else x)]
                after = disparity[row + (x if x < width else last)]
                for hole in range(last + 1, x):
                    disparity[row + hole] = min(before, after)
            last = x


@kernel
def _weighted_median(disparity, chosen, colours, height, width, near, alike, bins, median, first, step):
    histogram = np.zeros(bins, np.float32)
    side = 2 * WINDOW + 1
    for y in range(first, height, step):
        for x in range(width):
            pixel = y * width + x
            if not chosen[pixel]:
                continue
            red, green, blue = colours[3 * pixel], colours[3 * pixel + 1], colours[3 * pixel + 2]
            total = np.float32(0)
            lowest, highest = bins - 1, 0
            for v in range(y - WINDOW, y + WINDOW + 1, STRIDE):
                if v < 0 or v >= height:
                    continue
                row = (v - y + WINDOW) * side + WINDOW - x
                for u in range(x - WINDOW, x + WINDOW + 1, STRIDE):
                    if u < 0 or u >= width:
                        continue
                    other = v * width + u
                    difference = (
                        abs(colours[3 * other] - red)
                        + abs(colours[3 * other + 1] - green)
                        + abs(colours[3 * other + 2] - blue)
                    )
                    weight = near[row + u] * alike[difference]
                    i = int(disparity[other] * np.float32(BINS) + np.float32(0.5))
                    lowest, highest = min(lowest, i), max(highest, i)
                    histogram[i] += weight
                    total += weight
            half, below, found = total * np.float32(0.5), np.float32(0), -1
            for i in range(lowest, highest + 1):
                below += histogram[i]
                histogram[i] = 0
                if found < 0 and below >= half:
                    found = i
            median[pixel] = np.float32(found) / np.float32(BINS)
