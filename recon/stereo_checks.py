"""Why a pair measures nothing: NaN, no texture, identical frames, swapped eyes, rows that do not match.

A few hundred textured points of the left image are looked for in the right one, on both sides and in the rows above and
below, by their census codes.
"""

# pyright: reportCallIssue=false, reportArgumentType=false
from __future__ import annotations

import math
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy import ndarray

from render.cpu.kernel import kernel

from .matching_cost import census
from .view import View

POINTS = 600
ROWS = 8  # rows above and below that are searched
CONTRAST = 3.0  # grey levels, both along the row and across it, of a point that can be found again
TEXTURED = 0.005  # share of pixels with contrast along the row, below which there is nothing to match
SAME = 0.25  # grey levels of mean difference below which two frames are one
FOUND = 0.2  # share of census bits that may differ in a match
ENOUGH = 20  # matches, and this share of the points, to judge by
ENOUGH_SHARE = 0.1
MOST = 0.6  # share of the matches that decides
REACH = 3  # pixels between the codes that are compared together


@dataclass(frozen=True)
class PairStatus:
    """Whether a stereo pair can be measured; if not, `reason` says why and what to do, and `numbers` what was measured.

    numbers, as far as they were needed: texture (share of pixels), difference (grey levels), matched (share of the
    points looked for), on_wrong_side and off_row (shares of those matched), rows (median vertical disparity in pixels).
    """

    ok: bool
    reason: str = ""
    numbers: dict[str, float] = field(default_factory=dict)


def check_pair(view: View, *, max_disparity: int | None = None) -> PairStatus:
    """Looks at both eyes of a view, without measuring depth; never raises for bad images. About 50 ms for 741x497."""
    if view.right is None or view.baseline is None:
        return PairStatus(False, "no right eye: pass View.right and View.baseline.")
    if not math.isfinite(view.baseline) or view.baseline < 0:
        return PairStatus(False, f"baseline {view.baseline} m: expected metres >= 0. Are left and right swapped?")
    if view.baseline == 0:
        return PairStatus(False, "zero baseline: one point of view has no disparity. Pass the distance of the eyes.")
    images = [image.detach().to("cpu").float().numpy() for image in (view.image, view.right)]
    for name, image in zip(("image", "right"), images, strict=True):
        bad = int((~np.isfinite(image)).sum())
        if bad:
            return PairStatus(False, f"View.{name} has {bad} NaN or infinite values.", {"bad": float(bad)})
    search = max_disparity or max(16, round(max(view.width / 6, min(view.width / 2, 64))))
    return check_images(*images, search)


def check_images(left: ndarray, right: ndarray, search: int) -> PairStatus:
    """As check_pair, of two finite float images [H, W, 3] in 0..1."""
    greys = [
        cv2.cvtColor((np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8), cv2.COLOR_RGB2GRAY) for image in (left, right)
    ]
    along, across = (np.abs(cv2.Sobel(greys[0], cv2.CV_32F, *axes, ksize=1, scale=0.5)) for axes in ((1, 0), (0, 1)))
    numbers = {"texture": float((along > CONTRAST).mean())}
    if numbers["texture"] < TEXTURED:
        return PairStatus(False, "no texture: nothing to match in the left image.", numbers)
    numbers["difference"] = float(np.abs(greys[0].astype(np.float32) - greys[1]).mean())
    if numbers["difference"] < SAME:
        reason = "identical frames: the two eyes see from one place. Pass the right eye's image as View.right."
        return PairStatus(False, reason, numbers)

    height, width = greys[0].shape
    margin = REACH + ROWS
    corner = (along > CONTRAST) & (across > CONTRAST)
    corner[:margin] = corner[-margin:] = False
    corner[:, :REACH] = corner[:, -REACH:] = False
    points = np.flatnonzero(corner)
    if height <= 2 * margin or len(points) < ENOUGH:
        return PairStatus(True, "", numbers)
    points = points[np.linspace(0, len(points) - 1, min(POINTS, len(points))).astype(int)]
    codes = [census(grey) for grey in greys]
    found = np.empty((len(points), 3), np.int32)
    _find(*codes, width, points, search, found)
    matched = found[found[:, 2] <= FOUND * 24 * 5]
    numbers["matched"] = len(matched) / len(points)
    if len(matched) < max(ENOUGH, ENOUGH_SHARE * len(points)):
        return PairStatus(False, "unrelated images: hardly a point of the left one is found in the right one.", numbers)
    disparity, row = matched[:, 0], matched[:, 1]
    numbers["on_wrong_side"] = float((disparity < -1).mean())
    numbers["off_row"] = float((np.abs(row) > 1).mean())
    numbers["rows"] = float(np.median(row))
    if numbers["on_wrong_side"] > MOST:
        reason = (
            f"swapped eyes: {numbers['on_wrong_side']:.0%} of the matches lie to the right. Exchange left and right."
        )
        return PairStatus(False, reason, numbers)
    if numbers["off_row"] > MOST:
        share, shift = f"{numbers['off_row']:.0%}", f"{numbers['rows']:+.0f}"
        reason = f"not rectified: {share} of the matches lie in other rows (median {shift} px). Rectify the pair first."
        return PairStatus(False, reason, numbers)
    return PairStatus(True, "", numbers)


@kernel
def _find(left, right, width, points, search, found):
    """For each point the disparity and the rows (right minus left) of its best match, and the bits that differ."""
    for i in range(len(points)):
        y, x = points[i] // width, points[i] % width
        best, best_d, best_row = 1000, 0, 0
        # From the middle outwards, so that ties are decided for no disparity.
        for step in range(2 * ROWS + 1):
            row = (step + 1) // 2 * (1 - 2 * (step & 1))
            for d in range(-search, search + 1):
                u = x - d
                if u < REACH or u >= width - REACH:
                    continue
                bits = 0
                for j in range(5):
                    dy = REACH * ((j == 1) - (j == 2))
                    dx = REACH * ((j == 3) - (j == 4))
                    word = left[(y + dy) * width + x + dx] ^ right[(y + row + dy) * width + u + dx]
                    # bits set in a word, all at once
                    word = word - ((word >> np.uint32(1)) & np.uint32(0x55555555))
                    word = (word & np.uint32(0x33333333)) + ((word >> np.uint32(2)) & np.uint32(0x33333333))
                    word = (word + (word >> np.uint32(4))) & np.uint32(0x0F0F0F0F)
                    bits += (word * np.uint32(0x01010101) >> np.uint32(24)) & np.uint32(0xFF)
                if bits < best:
                    best, best_d, best_row = bits, d, row
        found[i, 0], found[i, 1], found[i, 2] = best_d, best_row, best
