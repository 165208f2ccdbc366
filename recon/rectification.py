"""Two eyes of any lens and pose made a rectified pair: equal rows see equal planes, and disparity is along them.

Where the pose of one eye from the other is not known it is estimated from the images, up to its length: the baseline
has to be said. Source: OpenCV's stereoRectify (Bouguet's method), whose maps undo the lenses too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from render.camera import Camera
from render.conventions import K_from_integer_centers, K_to_integer_centers

from .features import find_features, match_features
from .readers.intrinsics import Intrinsics
from .readers.lens import undistort_points
from .two_view import relative_camera_from_matches
from .view import View

MOST_ASIDE = 0.5  # of the baseline, across the rows or ahead: eyes beside each other, not one behind the other
FEWEST_MATCHES = 50


@dataclass(frozen=True)
class Rectified:
    """views: of each pair, the world being the rectified left eye; right_from_left: metres, as given or as found;
    sure: whether it is to be trusted, and if not, why."""

    views: tuple[View, ...]
    right_from_left: Float[Tensor, "4 4"]
    sure: bool = True
    reason: str = ""


def rectify(
    pairs: Sequence[tuple[Float[Tensor, "H W 3"], Float[Tensor, "H W 3"]]],
    left: Intrinsics,
    right: Intrinsics,
    *,
    right_from_left: Float[Tensor, "4 4"] | None = None,
    baseline: float | None = None,
) -> Rectified:
    """Rectified views of pairs (left, right) that one rig took; left and right: its lenses.

    right_from_left: x_right = right_from_left @ x_left, metres; without it all pairs together tell it, and baseline is
    the distance of the eyes in metres. Raises ValueError for images of another size than their lens, lenses of
    different sizes, fisheyes, eyes that are exchanged or not beside each other, and too few matches.
    """
    if not pairs:
        raise ValueError("rectify needs at least one pair; got none.")
    if left.fisheye or right.fisheye:
        raise ValueError("rectify needs lenses of OpenCV's rational model; got a fisheye. Undistort the images first.")
    size = (left.width, left.height)
    if (right.width, right.height) != size:
        raise ValueError(f"rectify needs lenses of one size; got {size} and {(right.width, right.height)} pixels.")
    for pair in pairs:
        for image, eye in zip(pair, ("left", "right"), strict=True):
            if (image.shape[1], image.shape[0]) != size:
                raise ValueError(
                    f"the {eye} eye's lens is of {size[0]}x{size[1]} pixels; got an image of "
                    f"{image.shape[1]}x{image.shape[0]}. Use the calibration of these images."
                )
    sure, reason = True, ""
    if right_from_left is None:
        if baseline is None or not (np.isfinite(baseline) and baseline > 0):
            raise ValueError(f"rectify needs right_from_left, or baseline in metres above 0; got {baseline}.")
        right_from_left, sure, reason = _estimated(pairs, left, right, baseline)
    shift = right_from_left[:3, 3].double()
    length = float(shift.norm())
    if not shift.isfinite().all() or length == 0:
        raise ValueError("right_from_left must move the eye by a finite distance above 0; got none.")
    if float(shift[0]) > 0:
        raise ValueError("swapped eyes: the right one lies to the left of the left one. Exchange left and right.")
    if float(shift[1:].abs().max()) > MOST_ASIDE * length:
        raise ValueError(
            f"the eyes must be beside each other; got an offset of {shift.tolist()} m. Turn the images, or use "
            "multiview depth."
        )
    return Rectified(tuple(_views(pairs, left, right, right_from_left)), right_from_left, sure, reason)


def _estimated(
    pairs: Sequence[tuple[Tensor, Tensor]], left: Intrinsics, right: Intrinsics, baseline: float
) -> tuple[Float[Tensor, "4 4"], bool, str]:
    """right_from_left from what all pairs match."""
    pixels: list[list[ndarray]] = [[], []]
    K = left.K
    for pair in pairs:
        found = [find_features(image) for image in pair]
        matched = match_features(found[0], found[1])
        for side, lens in enumerate((left, right)):
            rays = undistort_points(lens, found[side].pixels[matched[:, side]].numpy())
            pixels[side].append(rays @ np.diag(K.numpy()[[0, 1], [0, 1]]) + K.numpy()[:2, 2])
    both = [np.concatenate(one) for one in pixels]
    known = np.isfinite(both[0]).all(1) & np.isfinite(both[1]).all(1)
    if known.sum() < FEWEST_MATCHES:
        raise ValueError(
            f"the eyes share {int(known.sum())} points; expected at least {FEWEST_MATCHES} to tell how they stand to "
            "each other. Give right_from_left, or pairs with more texture."
        )
    a, b = (torch.from_numpy(one[known]) for one in both)
    # both eyes' rays are in pixels of the left one's K
    found = relative_camera_from_matches(a, b, K)
    moved = found.b_from_a.clone()
    moved[:3, 3] *= baseline / moved[:3, 3].norm()
    return moved, found.sure, found.reason


def _views(pairs: Sequence[tuple[Tensor, Tensor]], left: Intrinsics, right: Intrinsics, right_from_left: Tensor):
    import cv2

    size = (left.width, left.height)
    K = [K_to_integer_centers(lens.K).numpy() for lens in (left, right)]
    bent = [np.array(lens.distortion or (0.0,) * 4) for lens in (left, right)]
    motion = right_from_left.double().cpu().numpy()
    turned_left, turned_right, P_left, P_right, *_ = cv2.stereoRectify(
        K[0], bent[0], K[1], bent[1], size, motion[:3, :3], motion[:3, 3:], flags=cv2.CALIB_ZERO_DISPARITY, alpha=0
    )
    maps = [
        cv2.initUndistortRectifyMap(K[eye], bent[eye], turned, P[:, :3], size, cv2.CV_32FC1)
        for eye, turned, P in ((0, turned_left, P_left), (1, turned_right, P_right))
    ]
    camera = Camera(K_from_integer_centers(torch.from_numpy(P_left[:, :3])).float(), torch.eye(4), *size)
    baseline = float(-P_right[0, 3] / P_right[0, 0])
    for pair in pairs:
        seen = [
            torch.from_numpy(cv2.remap(np.ascontiguousarray(image.float().cpu().numpy()), *map_, cv2.INTER_LINEAR))
            for image, map_ in zip(pair, maps, strict=True)
        ]
        yield View(seen[0].clamp(0, 1), camera, right=seen[1].clamp(0, 1), baseline=baseline)
