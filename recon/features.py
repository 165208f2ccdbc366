"""Keypoints that are found again in another image: SIFT (Lowe, 2004) as RootSIFT (Arandjelović, Zisserman, 2012)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

MOST_KEYPOINTS = 4000  # of the strongest contrast
# OpenCV's first centre is (0, 0); and its SIFT doubles the image without undoing the quarter pixel that this shifts it.
FIRST_CENTER = 0.5 - 0.25
LEAST_CONTRAST = 0.01  # a quarter of Lowe's: indoor walls have little, and the ratio test sorts out the rest


@dataclass(frozen=True)
class Features:
    """Keypoints of one image: pixels (u, v), the first pixel's centre being (0.5, 0.5), and unit descriptors."""

    pixels: Float[Tensor, "N 2"]
    descriptors: Float[Tensor, "N 128"]

    def __len__(self) -> int:
        return self.pixels.shape[0]


def find_features(image: Float[Tensor, "H W 3"], most: int = MOST_KEYPOINTS) -> Features:
    """The keypoints of an image in 0..1; none in one without texture. Raises ValueError where it is not finite."""
    import cv2

    if not bool(image.isfinite().all()):
        raise ValueError("find_features needs a finite image in 0..1; got NaN or Inf. Mask or repair it first.")
    colours = (image.detach().cpu().clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    grey = cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY)
    found, sift = cv2.SIFT.create(nfeatures=most, contrastThreshold=LEAST_CONTRAST).detectAndCompute(grey, None)
    if not found:
        return Features(torch.zeros(0, 2, dtype=torch.float64), torch.zeros(0, 128))
    pixels = np.array([keypoint.pt for keypoint in found]) + FIRST_CENTER
    descriptors = torch.nn.functional.normalize(torch.from_numpy(sift), p=1, dim=1).sqrt()
    return Features(torch.from_numpy(pixels), descriptors)


def match_features(a: Features, b: Features, ratio: float = 0.8) -> Int[Tensor, "M 2"]:
    """Index pairs (in a, in b): nearest to each other, and nearer than `ratio` times the second nearest both ways.

    No place appears twice, though SIFT gives one place a keypoint for each of its orientations.
    """
    if len(a) < 2 or len(b) < 2:
        return torch.zeros(0, 2, dtype=torch.long)
    likeness = a.descriptors @ b.descriptors.T
    forward, backward = _nearest(likeness), _nearest(likeness.T)
    index = torch.arange(len(a))
    mutual = backward[0][forward[0]] == index
    distinct = (forward[1] < ratio) & (backward[1][forward[0]] < ratio)
    pairs = torch.stack([index, forward[0]], dim=1)[mutual & distinct]
    worth = torch.maximum(forward[1], backward[1][forward[0]])[mutual & distinct]
    pairs = pairs[worth.argsort(stable=True)]
    for side, features in enumerate((a, b)):
        pairs = pairs[_first_of_each(features.pixels[pairs[:, side]])]
    return pairs


def _nearest(likeness: Tensor) -> tuple[Tensor, Tensor]:
    """For each row the best column, and its distance over that of the second best."""
    best, column = likeness.topk(2, dim=1)
    distance = (2 - 2 * best).clamp(min=1e-12).sqrt()
    return column[:, 0], distance[:, 0] / distance[:, 1]


def _first_of_each(places: Tensor) -> Tensor:
    """Indices, in ascending order, of the first row at each place."""
    _, group = places.unique(dim=0, return_inverse=True)
    first = torch.full((len(places),), len(places)).scatter_reduce(
        0, group, torch.arange(len(places)), "amin", include_self=True
    )
    return first[first < len(places)].sort().values
