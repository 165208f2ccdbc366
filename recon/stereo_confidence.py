"""How far a disparity is to be trusted: the share of pixels like it that are right within a pixel.

A logistic model of four things that the matching knows, with one set of weights for all images. Fitted to the pooled
pixels of Middlebury pairs, a rendered pair and 48 pairs of rooms; on each of them left out it is off by 1 to 5 points.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy import ndarray

from .semi_global import Winners
from .stereo_refinement import fill_disparity

SECOND_BEST, SEEN_AROUND, STEP, MOVED, CONSTANT = -3.5, 3.5, -0.9, -0.45, 1.7  # the model's weights
AROUND = 9  # pixels, side of the window in which neighbours are counted
LARGEST_STEP = 4.0  # pixels of disparity within the window of 5; larger ones tell no more
LARGEST_MOVE = 2.0  # pixels between the matching and its refinement
TEXTURE_FLOOR = 0.001  # horizontal contrast (grey levels in 0..1) at which texture is trusted by half
CAMERA_NOISE = 0.02  # differences between the eyes (of 0..1) that are not held against a match
GAP, GUESS_MOVED, GUESS = -1.6, -0.6, 2.2  # weights of the model for holes
LARGEST_GAP = 8.0  # pixels between both sides of a hole
UNMEASURED = 0.04  # a filled pixel has this share of its confidence: below every measured one's, and ranked


def confidence_of(winners: Winners, disparity: ndarray, seen: ndarray, left: ndarray, right: ndarray) -> ndarray:
    """Confidence [H, W] float32 in 0..1 of the refined disparity; at most UNMEASURED where not `seen` by both eyes.

    left, right: grey uint8 [H, W]. Where there is no texture, or the matched images differ, it falls to 0.
    """
    ratio = winners.cost / np.maximum(winners.second, np.float32(1))
    around = cv2.blur(seen.astype(np.float32), (AROUND, AROUND))
    step = cv2.morphologyEx(disparity, cv2.MORPH_GRADIENT, np.ones((5, 5), np.uint8))
    moved = np.abs(disparity - winners.disparity)
    trust = SECOND_BEST * np.minimum(ratio, 1) + SEEN_AROUND * around + CONSTANT
    trust += STEP / LARGEST_STEP * np.minimum(step, LARGEST_STEP) + MOVED * np.minimum(moved, LARGEST_MOVE)
    confidence = _texture(left) * _likeness(left, right, disparity) / (1 + np.exp(-trust))
    # how much it matters which side a hole is filled from
    gap = -fill_disparity(-disparity, seen) - fill_disparity(disparity, seen)
    guess = GUESS + GAP / LARGEST_GAP * np.minimum(gap, LARGEST_GAP) + GUESS_MOVED * np.minimum(moved, LARGEST_MOVE)
    return np.where(seen, confidence, UNMEASURED / (1 + np.exp(-guess))).astype(np.float32)


def _texture(image: ndarray) -> ndarray:
    """Trust in 0..1 from the horizontal contrast about each pixel of a grey uint8 image, as far as the matching carries
    a disparity: smooth surfaces are right up to that far from their texture."""
    window = max(15, image.shape[1] // 16 | 1)
    grey = image.astype(np.float32) / 255
    gradient = cv2.Sobel(grey, cv2.CV_32F, 1, 0, ksize=1, scale=0.5)
    energy = cv2.boxFilter(gradient * gradient, -1, (window, window))
    # less than half a grey level of contrast is quantisation, not texture
    energy = np.maximum(energy - (0.5 / 255) ** 2, 0)
    return energy / (energy + TEXTURE_FLOOR**2)


def _likeness(left: ndarray, right: ndarray, disparity: ndarray, window: int = 5) -> ndarray:
    """Trust in 0..1 from how little of the left image's local contrast the matched right image leaves over.

    A wrong match can satisfy both eyes; it leaves about twice the contrast.
    """
    height, width = left.shape
    grey, other = (image.astype(np.float32) / 255 for image in (left, right))
    columns = np.arange(width, dtype=np.float32) - disparity
    rows = np.repeat(np.arange(height, dtype=np.float32)[:, None], width, 1)
    rest = grey - cv2.remap(other, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    share = _variance(rest, window) / (_variance(grey, window) + CAMERA_NOISE**2)
    return np.clip(2 * (1.5 - share), 0, 1)


def _variance(grey: ndarray, window: int) -> ndarray:
    mean = cv2.blur(grey, (window, window))
    return np.maximum(cv2.blur(grey * grey, (window, window)) - mean * mean, 0)
