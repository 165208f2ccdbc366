"""Known cameras settled onto what the images show: the small errors of a tracker, which bend every epipolar line.

Tracks of keypoints that agree with the given cameras within a few pixels, then bundle adjustment in which each given
camera is a measurement of its own with PRIOR deviations, so that scale and place stay. Source: Triggs et al., Bundle
Adjustment: a Modern Synthesis (2000). Cameras that already fit are returned untouched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from numpy import ndarray
from torch import Tensor

from render.camera import Camera

from .features import Features, find_features
from .sampson import rotation_of
from .tracks import join_tracks
from .view import View

PRIOR_TURN = 0.005  # radians of standard deviation that a given camera is trusted to
PRIOR_SHIFT = 0.01  # metres, and at most PRIOR_SHARE of the cameras' spread
PRIOR_SHARE = 0.02
NEIGHBOURS = 6  # following views that each view is matched with
MOST_KEYPOINTS = 2500
EPIPOLAR = 4.0  # pixels from the epipolar line of the given cameras, for a match
LIKENESS, RATIO = 0.8, 0.8  # of descriptors; distance of the best match over that of the second best
HUBER, OUTLIER = 1.0, 4.0  # pixels
POINT_STEPS, STEPS = 4, 12
FEWEST = 100  # observations, below which nothing is settled
WORTH = 0.8  # of the median error must be all that is left: fitting noise and wrong matches leaves more
LEAST_ERROR = 0.1  # pixels of median error, below which the given cameras are exact


@dataclass(frozen=True)
class Observed:
    """Which camera saw which point where: pixels (u, v), and the pixel's focal lengths and principal point."""

    camera: Int64[ndarray, "O"]
    point: Int64[ndarray, "O"]
    pixels: Float64[ndarray, "O 2"]
    focal: Float64[ndarray, "O 2"]
    middle: Float64[ndarray, "O 2"]


def settle_cameras(views: Sequence[View]) -> list[Camera]:
    """The cameras of the views (in the order of their path), moved by a little where the images clearly ask for it.

    Unchanged where there are too few tracks, or where the decrease of the error could be noise.
    """
    cameras = [view.camera for view in views]
    if len(views) < 2:
        return cameras
    features = [find_features(_finite(view.image), MOST_KEYPOINTS) for view in views]
    observed = _observed(features, cameras)
    w2c = np.stack([camera.w2c.detach().cpu().double().numpy() for camera in cameras])
    if len(observed.camera) < FEWEST:
        return cameras
    moved = _settled(w2c, observed)
    if moved is None:
        return cameras
    return [
        replace(camera, w2c=torch.from_numpy(one).to(camera.w2c)) for camera, one in zip(cameras, moved, strict=True)
    ]


def _finite(image: Float[Tensor, "H W 3"]) -> Float[Tensor, "H W 3"]:
    return image.nan_to_num(0.0, 0.0, 0.0)


def _observed(features: list[Features], cameras: list[Camera]) -> Observed:
    matches = {}
    for a in range(len(features)):
        for b in range(a + 1, min(len(features), a + NEIGHBOURS + 1)):
            pairs = _guided(features[a], features[b], _fundamental(cameras[a], cameras[b]))
            if len(pairs):
                matches[a, b] = pairs
    tracks = join_tracks(features, matches)
    K = torch.stack([camera.K.detach().cpu().double() for camera in cameras]).numpy()[tracks.image.numpy()]
    return Observed(
        tracks.image.numpy(), tracks.track.numpy(), tracks.pixels.double().numpy(), K[:, [0, 1], [0, 1]], K[:, :2, 2]
    )


def _fundamental(a: Camera, b: Camera) -> Float[Tensor, "3 3"]:
    """Takes a pixel of a to its line in b."""
    b_from_a = b.w2c.detach().cpu().double() @ a.c2w.detach().cpu().double()
    x, y, z = b_from_a[:3, 3].tolist()
    cross = torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]], dtype=torch.float64)
    inverse = [torch.linalg.inv(one.K.detach().cpu().double()) for one in (a, b)]
    return inverse[1].T @ cross @ b_from_a[:3, :3] @ inverse[0]


def _guided(a: Features, b: Features, fundamental: Float[Tensor, "3 3"]) -> Tensor:
    """Index pairs of mutual best matches among those that the cameras allow."""
    if len(a) < 2 or len(b) < 2:
        return torch.zeros(0, 2, dtype=torch.long)
    lines = torch.nn.functional.pad(a.pixels.double(), (0, 1), value=1.0) @ fundamental.T
    lines = lines / lines[:, :2].norm(dim=1, keepdim=True).clamp(min=1e-12)
    distance = (lines @ torch.nn.functional.pad(b.pixels.double(), (0, 1), value=1.0).T).abs()
    # without a baseline there is no line, and every pixel is allowed
    likeness = torch.where(distance < EPIPOLAR, a.descriptors @ b.descriptors.T, -1.0)
    best, column = likeness.topk(2, dim=1)
    index = torch.arange(len(a))
    mutual = likeness.argmax(0)[column[:, 0]] == index
    apart = (2 - 2 * best).clamp(min=0).sqrt()
    good = mutual & (best[:, 0] > LIKENESS) & (apart[:, 0] < RATIO * apart[:, 1])
    return torch.stack([index, column[:, 0]], dim=1)[good]


def _settled(given: Float64[ndarray, "V 4 4"], observed: Observed) -> Float64[ndarray, "V 4 4"] | None:
    """The adjusted cameras, or None where the given ones fit as well as can be told."""
    centers = -np.einsum("vji,vj->vi", given[:, :3, :3], given[:, :3, 3])
    spread = float(np.linalg.norm(centers - centers.mean(0), axis=1).max())
    deviations = np.repeat([PRIOR_TURN, max(min(PRIOR_SHIFT, PRIOR_SHARE * spread), 1e-6)], 3)
    points = _nearest_to_rays(given, centers, observed)
    w2c = given.copy()
    before, clean = 0.0, np.zeros(0, bool)
    for step in range(POINT_STEPS + STEPS):
        outlier = OUTLIER if step >= POINT_STEPS else 5 * OUTLIER
        residuals, weights, in_camera = _residuals(w2c, points, observed, outlier)
        if step == POINT_STEPS:
            clean = weights > 0
            if clean.sum() < FEWEST:
                return None
            before = _median(residuals[clean])
            if before < LEAST_ERROR:
                return None
        w2c, points = _step(w2c, points, given, observed, residuals, weights, in_camera, deviations, step < POINT_STEPS)
    residuals, _, _ = _residuals(w2c, points, observed, OUTLIER)
    return w2c if _median(residuals[clean]) < WORTH * before else None


def _median(residuals: Float64[ndarray, "O 2"]) -> float:
    """Pixels; of all observations, so that wrong matches do not decide."""
    return float(np.median(np.linalg.norm(residuals, axis=1)))


def _nearest_to_rays(
    w2c: Float64[ndarray, "V 4 4"], centers: Float64[ndarray, "V 3"], observed: Observed
) -> Float64[ndarray, "N 3"]:
    rays = np.concatenate([(observed.pixels - observed.middle) / observed.focal, np.ones((len(observed.camera), 1))], 1)
    rays = np.einsum("oji,oj->oi", w2c[observed.camera, :3, :3], rays)
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    across = np.eye(3) - rays[:, :, None] * rays[:, None]
    count = int(observed.point.max()) + 1
    matrix, right = np.zeros((count, 3, 3)), np.zeros((count, 3))
    np.add.at(matrix, observed.point, across)
    np.add.at(right, observed.point, np.einsum("oij,oj->oi", across, centers[observed.camera]))
    return np.linalg.solve(matrix + 1e-9 * np.eye(3), right[..., None])[..., 0]


def _residuals(
    w2c: Float64[ndarray, "V 4 4"], points: Float64[ndarray, "N 3"], observed: Observed, outlier: float
) -> tuple[Float64[ndarray, "O 2"], Float64[ndarray, "O"], Float64[ndarray, "O 3"]]:
    in_camera = np.einsum("oij,oj->oi", w2c[observed.camera, :3, :3], points[observed.point])
    in_camera += w2c[observed.camera, :3, 3]
    depth = np.maximum(in_camera[:, 2:], 1e-3)
    residuals = in_camera[:, :2] / depth * observed.focal + observed.middle - observed.pixels
    length = np.linalg.norm(residuals, axis=1)
    weights = np.minimum(1, HUBER / np.maximum(length, 1e-9)) * (in_camera[:, 2] > 0.02) * (length < outlier)
    return residuals, weights, in_camera


def _step(w2c, points, given, observed, residuals, weights, in_camera, deviations, points_only):
    """One Gauss-Newton step of points and cameras, the points eliminated; cameras move by (turn, shift) on the left."""
    count, number = len(w2c), len(points)
    depth = np.maximum(in_camera[:, 2], 1e-3)
    project = np.zeros((len(depth), 2, 3))
    for axis in range(2):
        project[:, axis, axis] = observed.focal[:, axis] / depth
        project[:, axis, 2] = -observed.focal[:, axis] * in_camera[:, axis] / depth**2
    turned = np.cross(in_camera[:, None, :], project)
    by_camera = np.concatenate([turned, project], axis=2)
    by_point = project @ w2c[observed.camera, :3, :3]
    weighted = weights[:, None, None] * by_point
    normal, right = np.zeros((number, 3, 3)), np.zeros((number, 3))
    np.add.at(normal, observed.point, weighted.transpose(0, 2, 1) @ by_point)
    np.add.at(right, observed.point, np.einsum("oki,ok->oi", weighted, residuals))
    # points hardly seen from two sides stay about where they are
    normal += (1e-3 * np.trace(normal, axis1=1, axis2=2)[:, None, None] + 1e-6) * np.eye(3)
    inverse = np.linalg.inv(normal)
    if points_only:
        return w2c, points - np.einsum("nij,nj->ni", inverse, right)
    blocks, gradient = _prior(w2c, given, deviations)
    weighted = weights[:, None, None] * by_camera
    np.add.at(blocks, observed.camera, weighted.transpose(0, 2, 1) @ by_camera)
    np.add.at(gradient, observed.camera, np.einsum("oki,ok->oi", weighted, residuals))
    coupling = weighted.transpose(0, 2, 1) @ by_point
    eliminated = coupling @ inverse[observed.point]
    np.add.at(gradient, observed.camera, -np.einsum("oij,oj->oi", eliminated, right[observed.point]))
    matrix = np.zeros((count, count, 6, 6))
    matrix[np.arange(count), np.arange(count)] = blocks
    for a, b in _same_point(observed.point):
        np.add.at(matrix, (observed.camera[a], observed.camera[b]), -eliminated[a] @ coupling[b].transpose(0, 2, 1))
    flat = matrix.transpose(0, 2, 1, 3).reshape(6 * count, 6 * count)
    steps = -np.linalg.solve(flat, gradient.ravel()).reshape(count, 6)
    np.add.at(right, observed.point, np.einsum("oji,oj->oi", coupling, steps[observed.camera]))
    moved = w2c.copy()
    for camera, step in enumerate(steps):
        turn = rotation_of(step[:3]) if np.linalg.norm(step[:3]) > 1e-12 else np.eye(3)
        moved[camera, :3] = turn @ w2c[camera, :3]
        moved[camera, :3, 3] += step[3:]
    return moved, points - np.einsum("nij,nj->ni", inverse, right)


def _prior(w2c, given, deviations):
    """What pulls each camera back to the given one: blocks [V, 6, 6] and gradients [V, 6]."""
    turned = np.einsum("vij,vkj->vik", w2c[:, :3, :3], given[:, :3, :3])
    turn = 0.5 * np.stack([turned[:, k, j] - turned[:, j, k] for j, k in ((1, 2), (2, 0), (0, 1))], axis=1)
    shift = w2c[:, :3, 3] - np.einsum("vij,vj->vi", turned, given[:, :3, 3])
    pulls = np.concatenate([turn, shift], axis=1) / deviations**2
    return np.repeat(np.diag(1 / deviations**2)[None], len(w2c), axis=0), pulls


def _same_point(point: Int64[ndarray, "O"]):
    """Index arrays (a, b) that together name every ordered pair of observations of one point; points are sorted."""
    starts = np.searchsorted(point, np.arange(point.max() + 2))
    lengths = np.diff(starts)
    for length in range(1, int(lengths.max()) + 1):
        first = starts[:-1][lengths == length]
        for i in range(length):
            for j in range(length):
                yield first + i, first + j
