"""Depth of a rectified pair: semi-global matching of the padded pair, with a left-right check.

Hirschmueller, "Stereo processing by semiglobal matching and mutual information" (PAMI 2008), by OpenCV's
StereoSGBM. Small images are matched at twice their size, which halves the sub-pixel error.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from .view import DepthContext, View

UPSAMPLED_BELOW = 160  # images narrower than this are matched at twice their size
SMALLEST_DISPARITY = 0.25  # pixels; below it the depth is noise
LR_TOLERANCE = 1.0  # pixels between the two matchings, where trust ends
TEXTURE_FLOOR = 0.002  # horizontal contrast (grey levels in 0..1) at which texture is trusted by half
CAMERA_NOISE = 0.02  # differences between the eyes (of 0..1) that are not held against a match
LEAST_CONFIDENCE = 0.05  # below it a pixel has no depth


def stereo_depth(
    views: Sequence[View], context: DepthContext | None = None, *, max_disparity: int | None = None
) -> tuple[Float[Tensor, "H W"], Float[Tensor, "H W"]]:
    """Depth [H, W] in metres (0 = none) and confidence [H, W] in 0..1 of the newest view, from its two eyes.

    depth = focal * baseline / (disparity + disparity_offset). Never reads View.depth. `max_disparity` in
    pixels is the search range (default: by the image's width). A pair without texture, or with a zero
    baseline, gives zero depth.
    Raises ValueError when the newest view has no right eye or the images are not finite.
    """
    if not views:
        raise ValueError("depth source 'stereo' needs at least one view; got none.")
    view = views[-1]
    if view.right is None or view.baseline is None:
        raise ValueError(
            "depth source 'stereo' needs View.right and View.baseline; got none. "
            "Pass the right eye, or use depth='multiview' or 'truth'."
        )
    if not (math.isfinite(view.baseline) and view.baseline >= 0):
        raise ValueError(f"View.baseline must be finite metres >= 0; got {view.baseline}. Are left and right swapped?")
    disparity, confidence = match(_numpy(view.image, "image"), _numpy(view.right, "right"), max_disparity)
    focal = float(view.camera.K[0, 0])
    depth, confidence = depth_from_disparity(disparity, confidence, focal * view.baseline, view.disparity_offset)
    to = {"dtype": view.image.dtype, "device": view.image.device}
    return torch.from_numpy(depth).to(**to), torch.from_numpy(confidence).to(**to)


def default_max_disparity(width: int) -> int:
    """Search range in pixels for an image of this width: half of a small image, a sixth of a large one."""
    return max(16, round(max(width / 6, min(width / 2, 64))))


def match(left: ndarray, right: ndarray, max_disparity: int | None = None) -> tuple[ndarray, ndarray]:
    """Disparity [H, W] float32 in pixels (dense) and confidence [H, W] in 0..1 of two float images [H, W, 3].

    Confidence is 0 where the two matchings disagree (occlusions), where the matched images differ, where the
    match lies outside the right image, and where there is no texture.
    Raises ValueError when sizes differ.
    """
    if left.shape != right.shape:
        raise ValueError(
            f"stereo images must have equal sizes; got left {left.shape[1]}x{left.shape[0]} "
            f"and right {right.shape[1]}x{right.shape[0]}."
        )
    height, width = left.shape[:2]
    search = default_max_disparity(width) if max_disparity is None else max(1, int(max_disparity))
    scale = 2 if width < UPSAMPLED_BELOW else 1
    left8, right8 = _bytes(left), _bytes(right)
    if scale == 1:
        disparity = _sgm(left8, right8, search)
    else:
        size = (width * scale, height * scale)
        fine = _sgm(
            cv2.resize(left8, size, interpolation=cv2.INTER_CUBIC),
            cv2.resize(right8, size, interpolation=cv2.INTER_CUBIC),
            search * scale,
        )
        disparity = fine.reshape(height, scale, width, scale).mean((1, 3)) / scale
    mirrored = _sgm(np.ascontiguousarray(right8[:, ::-1]), np.ascontiguousarray(left8[:, ::-1]), search)
    from_right = np.ascontiguousarray(mirrored[:, ::-1])

    columns, rows = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    matched = columns - disparity
    difference = np.abs(cv2.remap(from_right, matched, rows, cv2.INTER_NEAREST) - disparity)
    # LR_TOLERANCE with a soft shoulder: full trust to half of it
    agreement = np.clip(2 - 2 * difference / LR_TOLERANCE, 0, 1)
    agreement[matched < -0.5] = 0
    confidence = agreement * _texture(left8) * _likeness(left8, right8, matched, rows)
    return disparity.astype(np.float32), confidence.astype(np.float32)


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


def fill_disparity(disparity: ndarray, valid: ndarray) -> ndarray:
    """Disparity [H, W] with each invalid pixel set to the smaller (background) of its row's nearest valid
    neighbours.

    A row without any valid pixel keeps its values.
    """
    width = disparity.shape[1]
    columns = np.broadcast_to(np.arange(width), disparity.shape)
    before = np.maximum.accumulate(np.where(valid, columns, -1), axis=1)
    after = np.minimum.accumulate(np.where(valid, columns, width)[:, ::-1], axis=1)[:, ::-1]
    far = np.float32(np.inf)
    low = np.where(before >= 0, np.take_along_axis(disparity, np.maximum(before, 0), 1), far)
    high = np.where(after < width, np.take_along_axis(disparity, np.minimum(after, width - 1), 1), far)
    filled = np.minimum(low, high)
    return np.where(np.isfinite(filled), filled, disparity).astype(np.float32)


def _sgm(left: ndarray, right: ndarray, search: int, block: int = 5) -> ndarray:
    """Dense disparity [H, W] in pixels of two uint8 images, the first columns included."""
    search = -(-search // 16) * 16
    matcher = cv2.StereoSGBM.create(
        minDisparity=0,
        numDisparities=search,
        blockSize=block,
        P1=8 * 3 * block * block,
        P2=32 * 3 * block * block,
        disp12MaxDiff=-1,
        preFilterCap=31,
        uniquenessRatio=0,
        mode=cv2.STEREO_SGBM_MODE_HH,
    )
    # OpenCV leaves the first numDisparities columns unmatched, a quarter or more of a small image
    width = left.shape[1]
    spare = max(0, block - width)  # and refuses images narrower than its window
    padded = [cv2.copyMakeBorder(image, 0, 0, search, spare, cv2.BORDER_REPLICATE) for image in (left, right)]
    disparity = matcher.compute(padded[0], padded[1])[:, search : search + width]
    return np.maximum(disparity, 0).astype(np.float32) / 16


def _texture(image: ndarray) -> ndarray:
    """Trust in 0..1 from the horizontal contrast within a window (5 to 15 pixels) of a uint8 image."""
    window = min(15, max(5, image.shape[1] // 64 | 1))
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    gradient = cv2.Sobel(grey, cv2.CV_32F, 1, 0, ksize=1, scale=0.5)
    energy = cv2.boxFilter(gradient * gradient, -1, (window, window))
    # less than half a grey level of contrast is quantisation, not texture
    energy = np.maximum(energy - (0.5 / 255) ** 2, 0)
    return energy / (energy + TEXTURE_FLOOR**2)


def _likeness(left: ndarray, right: ndarray, columns: ndarray, rows: ndarray, window: int = 5) -> ndarray:
    """Trust in 0..1 from how little of the left image's local contrast the matched right image leaves over.

    A wrong match can satisfy both matchings; it leaves about twice the contrast.
    """
    grey = cv2.cvtColor(left, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    other = cv2.cvtColor(right, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    rest = grey - cv2.remap(other, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    share = _variance(rest, window) / (_variance(grey, window) + CAMERA_NOISE**2)
    return np.clip(1.5 - share, 0, 1)


def _variance(grey: ndarray, window: int) -> ndarray:
    mean = cv2.blur(grey, (window, window))
    return np.maximum(cv2.blur(grey * grey, (window, window)) - mean * mean, 0)


def _bytes(image: ndarray) -> ndarray:
    return (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)


def _numpy(image: Tensor, name: str) -> ndarray:
    array = image.detach().to("cpu", torch.float32).numpy()
    if not np.isfinite(array).all():
        bad = int((~np.isfinite(array)).sum())
        raise ValueError(f"View.{name} must be finite; got {bad} NaN or infinite values. Check the image it came from.")
    return array
