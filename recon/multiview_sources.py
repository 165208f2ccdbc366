"""Which other views are compared with a view, and how its pixels are found in them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Float32
from numpy import ndarray
from torch import Tensor

from render.camera import Camera

from .sweep import Sources, whole_greys

BEST_ANGLE = 8.0  # degrees under which a baseline is best seen from the scene: more occludes, less is imprecise
ANGLE_SPREAD = 0.8  # standard deviation of the logarithm of good angles
LEAST_PARALLAX = 0.75  # pixels at the typical depth: less gives no depth
LARGEST_TURN = 60.0  # degrees between optical axes
LEAST_OVERLAP = 0.1  # share of the view that another one must see to be of use
PROBES = 12  # points a side, and depths from half to twice the typical one, at which the overlap is probed


def choose_sources(camera: Camera, others: Sequence[Camera], typical: float, most: int) -> list[int]:
    """Indices of at most `most` of the other cameras, the best first; typical: the scene's depth in metres.

    Best is what sees most of the view from a baseline of about BEST_ANGLE. Cameras that turned only, that look
    elsewhere or whose numbers are not finite are left out.
    """
    ranked = []
    for index, other in enumerate(others):
        parallax = parallax_at(camera, other, typical)
        axes = float(torch.dot(camera.w2c[2, :3], other.w2c[2, :3].to(camera.w2c)))
        if not parallax >= LEAST_PARALLAX or not axes >= math.cos(math.radians(LARGEST_TURN)):
            continue
        seen = _overlap(camera, other, typical)
        if seen < LEAST_OVERLAP:
            continue
        baseline = float((camera.center - other.center.to(camera.center)).norm())
        angle = math.degrees(math.atan2(baseline, typical))
        ranked.append((seen * math.exp(-0.5 * (math.log(angle / BEST_ANGLE) / ANGLE_SPREAD) ** 2), index))
    return [index for _, index in sorted(ranked, key=lambda entry: (-entry[0], entry[1]))[:most]]


def parallax_at(camera: Camera, other: Camera, depth: float) -> float:
    """Pixels of the camera by which a point at this depth moves, at most, because of the distance between the two."""
    baseline = float((camera.center - other.center.to(camera.center)).norm())
    return float(camera.K[0, 0].abs()) * baseline / depth


def homography(
    camera: Camera, other: Camera, scale: tuple[float, float], other_scale: tuple[float, float]
) -> tuple[ndarray, ndarray]:
    """turn [3, 3] and shift [3]: a pixel of the camera at inverse depth q is at turn @ (u, v, 1) + q * shift in the
    other, both images being resized by their scales (across, down)."""
    K, other_K = (
        np.diag([*sizes, 1.0]) @ one.K.detach().cpu().double().numpy()
        for one, sizes in ((camera, scale), (other, other_scale))
    )
    w2c, other_w2c = (one.w2c.detach().cpu().double().numpy() for one in (camera, other))
    rotation = other_w2c[:3, :3] @ w2c[:3, :3].T
    shift = other_w2c[:3, 3] - rotation @ w2c[:3, 3]
    return other_K @ rotation @ np.linalg.inv(K), other_K @ shift


def small_grey(image: Float[Tensor, "H W _"], size: tuple[int, int]) -> Float32[ndarray, "h w"]:
    """Grey of (height, width) at most that of the image, by area; what is not finite is 0."""
    grey = image.detach().float().mean(-1).cpu()
    grey = torch.where(grey.isfinite(), grey, 0.0).clamp(0, 1)
    if tuple(grey.shape) != size:
        grey = torch.nn.functional.interpolate(grey[None, None], size, mode="area")[0, 0]
    return np.ascontiguousarray(grey.numpy())


def working_size(height: int, width: int, most: int) -> tuple[int, int]:
    """Height and width of about the same shape with at most `most` pixels."""
    shrink = min(1.0, math.sqrt(most / (height * width)))
    return max(2, round(height * shrink)), max(2, round(width * shrink))


def gathered(
    camera: Camera,
    size: tuple[int, int],
    others: Sequence[Camera],
    greys: Sequence[Float32[ndarray, "_ _"]],
) -> Sources:
    """The sources of a sweep over a view of this camera at this (height, width); greys are theirs, at any size."""
    scale = (size[1] / camera.width, size[0] / camera.height)
    turns, shifts = [], []
    for other, grey in zip(others, greys, strict=True):
        turn, shift = homography(camera, other, scale, (grey.shape[1] / other.width, grey.shape[0] / other.height))
        turns.append(turn)
        shifts.append(shift)
    return Sources(
        np.concatenate([whole_greys(grey).ravel() for grey in greys]),
        np.array([grey.shape for grey in greys], np.int32),
        np.stack(turns),
        np.stack(shifts),
    )


def _overlap(camera: Camera, other: Camera, typical: float) -> float:
    """Share of the camera's image, at depths about the typical one, that the other sees."""
    turn, shift = homography(camera, other, (1, 1), (1, 1))
    u, v = np.meshgrid(
        (np.arange(PROBES) + 0.5) * camera.width / PROBES, (np.arange(PROBES) + 0.5) * camera.height / PROBES
    )
    turned = np.stack([u, v, np.ones_like(u)], axis=-1) @ turn.T
    inside = 0.0
    for depth in (typical / 2, typical, 2 * typical):
        x, y, z = np.moveaxis(turned + shift / depth, -1, 0)
        inside += ((z > 0) & (x >= 0) & (x <= other.width * z) & (y >= 0) & (y <= other.height * z)).mean()
    return inside / 3
