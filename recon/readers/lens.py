"""Lens distortion taken out: the pinhole that fits inside a distorted image, and the image seen by it.

Source: OpenCV's documentation of its camera model (Brown-Conrady with tangential terms and a rational radial
part) and of its fisheye model (Kannala and Brandt, PAMI 2006).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from render.conventions import K_to_integer_centers

from .intrinsics import Intrinsics

WIDEST = 2.75  # |x / z| at the rim of a pinhole: 70 degrees
_SAMPLES = 129  # along each side
_SHRINK = 0.99
_ATTEMPTS = 120


def distort(camera: Intrinsics, xy: Float[ndarray, "N 2"]) -> Float[ndarray, "N 2"]:
    """Pixels (first centre 0.5, 0.5) where points at xy * z, z > 0, appear."""
    focal, principal = np.array([camera.fx, camera.fy]), np.array([camera.cx, camera.cy])
    return _bend(camera, xy) * focal + principal


def undistort_points(camera: Intrinsics, pixels: Float[ndarray, "N 2"]) -> Float[ndarray, "N 2"]:
    """x / z and y / z of what is seen at these pixels; NaN where no ray within 70 degrees is."""
    wanted = (pixels - np.array([camera.cx, camera.cy])) / np.array([camera.fx, camera.fy])
    xy = np.clip(wanted, -WIDEST, WIDEST)
    step = 1e-6
    for _ in range(30):
        here = _bend(camera, xy)
        along_x = (_bend(camera, xy + [step, 0]) - here) / step
        along_y = (_bend(camera, xy + [0, step]) - here) / step
        determinant = along_x[:, 0] * along_y[:, 1] - along_y[:, 0] * along_x[:, 1]
        with np.errstate(all="ignore"):
            miss = wanted - here
            dx = (miss[:, 0] * along_y[:, 1] - along_y[:, 0] * miss[:, 1]) / determinant
            dy = (along_x[:, 0] * miss[:, 1] - miss[:, 0] * along_x[:, 1]) / determinant
            xy = np.clip(np.nan_to_num(xy + np.stack([dx, dy], axis=1)), -2 * WIDEST, 2 * WIDEST)
    found = np.abs(_bend(camera, xy) - wanted).max(axis=1) < 1e-6
    found &= np.abs(xy).max(axis=1) <= WIDEST
    return np.where(found[:, None], xy, np.nan)


@lru_cache(maxsize=256)
def pinhole_within(camera: Intrinsics) -> Intrinsics:
    """The widest upright pinhole of the same image size whose pixels all lie within the distorted image.

    Raises ValueError when the lens cannot be undone within it.
    """
    if camera.is_pinhole:
        return camera
    wide, high = camera.width - 1, camera.height - 1
    t = np.linspace(0, 1, _SAMPLES)
    # Nothing of a side may be unseen, so the innermost point of each side bounds the rectangle.
    sides = [
        undistort_points(camera, np.stack(np.broadcast_arrays(x, y), axis=1) + 0.5)
        for x, y in ((0 * t, t * high), (0 * t + wide, t * high), (t * wide, 0 * t), (t * wide, 0 * t + high))
    ]
    left, right = _innermost(sides[0][:, 0], np.max, -WIDEST), _innermost(sides[1][:, 0], np.min, WIDEST)
    top, bottom = _innermost(sides[2][:, 1], np.max, -WIDEST), _innermost(sides[3][:, 1], np.min, WIDEST)
    middle = np.array([left + right, top + bottom]) / 2
    half = np.array([right - left, bottom - top]) / 2
    for _ in range(_ATTEMPTS if half.min() > 0 else 0):
        if _lies_within(camera, middle, half):
            fx, fy = wide / (2 * half[0]), high / (2 * half[1])
            cx, cy = 0.5 - (middle[0] - half[0]) * fx, 0.5 - (middle[1] - half[1]) * fy
            return Intrinsics(camera.width, camera.height, float(fx), float(fy), float(cx), float(cy))
        half = half * _SHRINK
    raise ValueError(f"no pinhole fits inside the lens {camera.distortion}")


def seen_by(
    image: Float[ndarray, "H W *C"], camera: Intrinsics, pinhole: Intrinsics, *, nearest: bool = False
) -> Float[ndarray, "h w *C"]:
    """An image of `camera` as `pinhole` sees it; nearest keeps values as they are, which depth needs."""
    if camera == pinhole:
        return image
    import cv2

    x, y = _maps(camera, pinhole)
    how = cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR
    edge = cv2.BORDER_CONSTANT if nearest else cv2.BORDER_REPLICATE
    return cv2.remap(np.ascontiguousarray(image), x, y, how, borderMode=edge, borderValue=0)


@lru_cache(maxsize=2)
def _maps(camera: Intrinsics, pinhole: Intrinsics) -> tuple[Float[ndarray, "H W"], Float[ndarray, "H W"]]:
    import cv2

    K, new = (K_to_integer_centers(of.K).numpy() for of in (camera, pinhole))
    distortion = np.array(camera.distortion or (0.0,) * 4)
    rectify = cv2.fisheye.initUndistortRectifyMap if camera.fisheye else cv2.initUndistortRectifyMap
    return rectify(K, distortion, np.eye(3), new, (pinhole.width, pinhole.height), cv2.CV_32FC1)


def _bend(camera: Intrinsics, xy: Float[ndarray, "N 2"]) -> Float[ndarray, "N 2"]:
    """x / z and y / z as the lens bends them."""
    x, y = xy[:, 0], xy[:, 1]
    square = x * x + y * y
    if camera.fisheye:
        r = np.sqrt(square)
        angle = np.arctan(r)
        powers = angle[:, None] ** np.array([2, 4, 6, 8])
        k = np.zeros(4)
        k[: len(camera.distortion)] = camera.distortion
        factor = np.where(r > 1e-9, angle / np.maximum(r, 1e-9), 1.0) * (1 + powers @ k)
        return xy * factor[:, None]
    if not camera.distortion:
        return xy
    k1, k2, p1, p2, k3, k4, k5, k6 = (*camera.distortion, *(0.0,) * (8 - len(camera.distortion)))
    above = 1 + square * (k1 + square * (k2 + square * k3))
    below = 1 + square * (k4 + square * (k5 + square * k6))
    with np.errstate(all="ignore"):
        radial = above / below
    across = np.stack([2 * p1 * x * y + p2 * (square + 2 * x * x), p1 * (square + 2 * y * y) + 2 * p2 * x * y], axis=1)
    return np.nan_to_num(xy * radial[:, None] + across, nan=1e9, posinf=1e9, neginf=-1e9)


def _innermost(values: Float[ndarray, " N"], choose: object, otherwise: float) -> float:
    found = values[np.isfinite(values)]
    return float(choose(found)) if len(found) else otherwise  # type: ignore[operator]


def _lies_within(camera: Intrinsics, middle: ndarray, half: ndarray) -> bool:
    """Whether a rectangle of rays is seen within the image, and nowhere folded over."""
    side = np.linspace(-1, 1, _SAMPLES)
    x, y = np.meshgrid(middle[0] + half[0] * side, middle[1] + half[1] * side)
    pixels = distort(camera, np.stack([x.ravel(), y.ravel()], axis=1)).reshape(_SAMPLES, _SAMPLES, 2)
    slack = 1e-3
    inside = (pixels >= 0.5 - slack) & (pixels <= np.array([camera.width, camera.height]) - 0.5 + slack)
    upright = (np.diff(pixels[..., 0], axis=1) > 0).all() and (np.diff(pixels[..., 1], axis=0) > 0).all()
    return bool(inside.all() and upright)
