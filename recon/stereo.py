"""Depth of a rectified pair: semi-global matching, refined along edges and in holes, with a calibrated confidence.

The stages are modules: matching_cost, semi_global, stereo_refinement, stereo_confidence; stereo_checks says why a pair
measures nothing. Small images are matched at twice their size, which halves the sub-pixel error.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import cv2
import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from .matching_cost import matching_costs
from .semi_global import semi_global
from .stereo_checks import check_images
from .stereo_confidence import confidence_of
from .stereo_refinement import refine, seen_by_both
from .view import DepthContext, View

UPSAMPLED_BELOW = 160  # images narrower than this are matched at twice their size
SMALLEST_DISPARITY = 0.25  # pixels; below it the depth is noise
LEAST_CONFIDENCE = 0.05  # below it a pixel has no depth
SUSPECT_BELOW = 0.5  # share of pixels that are measured; with fewer the pair itself is looked at
MEASURED = 0.3  # confidence of a pixel that counts as measured there
LARGEST_VOLUME = 100_000_000  # pixels times disparities that are matched at once, at five bytes each
BAND_OVERLAP = 32  # rows; larger images are matched in bands
ONE_THREAD_BELOW = 2_000_000  # pixels times disparities; a second thread would only be waited for

Costs = Callable[[ndarray, ndarray, int, int], ndarray]
"""(left, right, search, threads) -> matching costs, as matching_cost.matching_costs has them."""


def stereo_depth(
    views: Sequence[View],
    context: DepthContext | None = None,
    *,
    max_disparity: int | None = None,
    costs: Costs = matching_costs,
    name: str = "stereo",
) -> tuple[Float[Tensor, "H W"], Float[Tensor, "H W"]]:
    """Depth [H, W] in metres (0 = none) and confidence [H, W] in 0..1 of the newest view, from its two eyes.

    depth = focal * baseline / (disparity + disparity_offset). Never reads View.depth. `max_disparity` in
    pixels is the search range (default: by the image's width); `costs` compares the eyes; `name` is what errors call
    this source. A pair without texture, with a zero baseline, with swapped eyes or with rows that do not match gives
    zero depth; `stereo_checks.check_pair` says which it is.
    Raises ValueError when the newest view has no right eye or the images are not finite.
    """
    if not views:
        raise ValueError(f"depth source '{name}' needs at least one view; got none.")
    view = views[-1]
    if view.right is None or view.baseline is None:
        raise ValueError(
            f"depth source '{name}' needs View.right and View.baseline; got none. "
            "Pass the right eye, or use another source: multiview, or rgbd where depth was recorded."
        )
    if not (math.isfinite(view.baseline) and view.baseline >= 0):
        raise ValueError(f"View.baseline must be finite metres >= 0; got {view.baseline}. Are left and right swapped?")
    left, right = _numpy(view.image, "image"), _numpy(view.right, "right")
    disparity, confidence = match(left, right, max_disparity, costs)
    if view.baseline == 0 or (
        (confidence >= MEASURED).mean() < SUSPECT_BELOW
        and not check_images(left, right, max_disparity or default_max_disparity(view.width)).ok
    ):
        confidence = np.zeros_like(confidence)
    focal = float(view.camera.K[0, 0])
    depth, confidence = depth_from_disparity(disparity, confidence, focal * view.baseline, view.disparity_offset)
    to = {"dtype": view.image.dtype, "device": view.image.device}
    return torch.from_numpy(depth).to(**to), torch.from_numpy(confidence).to(**to)


def default_max_disparity(width: int) -> int:
    """Search range in pixels for an image of this width: half of a small image, a sixth of a large one."""
    return max(16, round(max(width / 6, min(width / 2, 64))))


def match(
    left: ndarray, right: ndarray, max_disparity: int | None = None, costs: Costs = matching_costs
) -> tuple[ndarray, ndarray]:
    """Disparity [H, W] float32 in pixels (dense) and confidence [H, W] in 0..1 of two float images [H, W, 3].

    Confidence is the share of such pixels that are right within a pixel. It stays below LEAST_CONFIDENCE where
    the eyes do not agree (occlusions, and matches outside the right image): those pixels are filled from the
    background beside them.
    Raises ValueError when sizes differ.
    """
    if left.shape != right.shape:
        raise ValueError(
            f"stereo images must have equal sizes; got left {left.shape[1]}x{left.shape[0]} "
            f"and right {right.shape[1]}x{right.shape[0]}."
        )
    height, width = left.shape[:2]
    search = default_max_disparity(width) if max_disparity is None else max(1, int(max_disparity))
    left8, right8 = _bytes(left), _bytes(right)
    if width >= UPSAMPLED_BELOW:
        return _match_bands(left8, right8, search, costs)
    size = (2 * width, 2 * height)
    fine = _match_bands(
        cv2.resize(left8, size, interpolation=cv2.INTER_CUBIC),
        cv2.resize(right8, size, interpolation=cv2.INTER_CUBIC),
        2 * search,
        costs,
    )
    disparity, confidence = (values.reshape(height, 2, width, 2).transpose(1, 3, 0, 2) for values in fine)
    measured = (confidence >= LEAST_CONFIDENCE).sum((0, 1)) >= 3
    return disparity.mean((0, 1)) / 2, np.where(measured, confidence.mean((0, 1)), confidence.min((0, 1)))


def _match_bands(left: ndarray, right: ndarray, search: int, costs: Costs) -> tuple[ndarray, ndarray]:
    """As match, of uint8 images, in bands of rows when all at once would take too much memory."""
    height, width = left.shape[:2]
    rows = max(BAND_OVERLAP, LARGEST_VOLUME // (width * search) - 2 * BAND_OVERLAP)
    if height <= rows + 2 * BAND_OVERLAP:
        return _match(left, right, search, costs)
    parts = []
    for first in range(0, height, rows):
        start, end = max(0, first - BAND_OVERLAP), min(height, first + rows + BAND_OVERLAP)
        band = _match(left[start:end], right[start:end], search, costs)
        parts.append([values[first - start : first - start + rows] for values in band])
    disparity, confidence = (np.concatenate(values) for values in zip(*parts, strict=True))
    return disparity[:height], confidence[:height]


def _match(left: ndarray, right: ndarray, search: int, costs: Costs) -> tuple[ndarray, ndarray]:
    threads = 1 if left.shape[0] * left.shape[1] * search < ONE_THREAD_BELOW else 2
    grey = cv2.cvtColor(left, cv2.COLOR_RGB2GRAY)
    winners = semi_global(costs(left, right, search, threads), grey, search, threads)
    seen = seen_by_both(winners.disparity, winners.from_right)
    disparity = refine(winners.disparity, seen, left, threads)
    return disparity, confidence_of(winners, disparity, seen, grey, cv2.cvtColor(right, cv2.COLOR_RGB2GRAY))


def depth_from_disparity(
    disparity: ndarray, confidence: ndarray, focal_baseline: float, offset: float = 0.0
) -> tuple[ndarray, ndarray]:
    """Depth [H, W] (metres; 0 = none) and confidence [H, W], lowered where half a pixel is a large share of
    the disparity.

    focal_baseline: focal length (pixels) * baseline (metres); offset: pixels added to the disparity (doffs).
    """
    total = disparity + np.float32(offset)
    confidence = confidence * total / np.maximum(total + 0.5, 0.5)
    valid = (confidence >= LEAST_CONFIDENCE) & (total >= SMALLEST_DISPARITY) & (focal_baseline > 0)
    depth = np.where(valid, focal_baseline / np.maximum(total, SMALLEST_DISPARITY), 0)
    return depth.astype(np.float32), np.where(valid, confidence, 0).astype(np.float32)


def _bytes(image: ndarray) -> ndarray:
    return (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)


def _numpy(image: Tensor, name: str) -> ndarray:
    array = image.detach().to("cpu", torch.float32).numpy()
    if not np.isfinite(array).all():
        bad = int((~np.isfinite(array)).sum())
        raise ValueError(f"View.{name} must be finite; got {bad} NaN or infinite values. Check the image it came from.")
    return array
