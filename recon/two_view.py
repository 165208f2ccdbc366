"""The motion between two images with known K: essential matrix, cheirality, refinement, and whether to believe it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor

from .features import find_features, match_features
from .sampson import direction_deviation, in_front, parallax, refine_motion, sampson_distances

THRESHOLD = 1.0  # pixels from the epipolar line
FEWEST = 30  # inliers; below, 5 points find an agreeing motion in noise
LEAST_SHARE = 0.4  # of the matches: mutual nearest neighbours that pass the ratio test are mostly right
LEAST_PARALLAX = 0.5  # degrees, the median over the inliers
MOST_DEVIATION = 10.0  # degrees of the baseline's direction, one standard deviation
RIVAL_ANGLE = 5.0  # degrees between two answers, from which on they are different answers
ROUNDS = 3  # of refinement and choice of the inliers
RIVAL_SHARE = 0.95  # of the inliers: an answer that explains as many is as good

Array = NDArray[np.floating]


@dataclass(frozen=True)
class TwoView:
    """The camera b relative to a: `x_b = b_from_a @ x_a`, with a baseline of unit length: images cannot tell it.

    inliers: of the matches; sure: whether the motion is determined by them, with the reason where it is not. Where
    nothing was found, b_from_a is the identity and no match is an inlier. numbers: matches, inliers, inlier_share,
    parallax_degrees (median), rotation_share and homography_share (of the inliers that these explain as well),
    direction_deviation_degrees (standard deviation of the baseline's direction), sampson_pixels (median),
    rival_degrees (how far off another answer is that fits as well, 0 without one).
    """

    b_from_a: Float[Tensor, "4 4"]
    inliers: Bool[Tensor, "M"]
    sure: bool
    reason: str
    numbers: dict[str, float]


def relative_camera(
    image_a: Float[Tensor, "H W 3"], image_b: Float[Tensor, "H2 W2 3"], K: Float[Tensor, "3 3"]
) -> TwoView:
    """The motion between two images of one camera."""
    a, b = find_features(image_a), find_features(image_b)
    pairs = match_features(a, b)
    return relative_camera_from_matches(a.pixels[pairs[:, 0]], b.pixels[pairs[:, 1]], K)


def relative_camera_from_matches(
    pixels_a: Float[Tensor, "M 2"],
    pixels_b: Float[Tensor, "M 2"],
    K: Float[Tensor, "3 3"],
    threshold: float = THRESHOLD,
) -> TwoView:
    """The motion that explains matched pixels, wrong matches among them; threshold in pixels.

    Five points and MAGSAC (Nistér, 2004; Barath et al., 2020; OpenCV's) find it, the least Sampson error refines it.
    Raises ValueError for pixels or K that are not finite, or a focal length that is not positive.
    """
    if not (pixels_a.isfinite().all() and pixels_b.isfinite().all() and K.isfinite().all()):
        raise ValueError("relative_camera needs finite pixels and K; got NaN or Inf.")
    if not (K[0, 0] > 0 and K[1, 1] > 0):
        raise ValueError(
            f"relative_camera needs positive focal lengths in K; got {float(K[0, 0])}, {float(K[1, 1])}. A negative fy "
            "means +y up: flip the image, or use render.conventions."
        )
    a, b, intrinsics = (value.detach().double().cpu().numpy() for value in (pixels_a, pixels_b, K))
    focal = float(np.sqrt(intrinsics[0, 0] * intrinsics[1, 1]))
    count = len(a)
    numbers = {"matches": float(count)}
    if count < FEWEST:
        return _nothing(count, numbers, f"only {count} matches between the images; it takes {FEWEST}")
    rays_a, rays_b = _rays(a, intrinsics), _rays(b, intrinsics)
    found = _search(a, b, intrinsics, threshold)
    if found is None:
        return _nothing(count, numbers, f"no motion agrees with the {count} matches")
    essential, inliers = found
    blur = 2 * threshold / focal  # radians; on which side rays of less parallax meet is chance
    rotation, direction = max(
        _motions(essential), key=lambda motion: in_front(*motion, rays_a[inliers], rays_b[inliers], blur).sum()
    )
    for _ in range(ROUNDS):
        rotation, direction = refine_motion(rotation, direction, rays_a[inliers], rays_b[inliers], threshold / focal)
        distances = focal * sampson_distances(rotation, direction, rays_a, rays_b)
        inliers = (distances < threshold) & in_front(rotation, direction, rays_a, rays_b, blur)
        if inliers.sum() < FEWEST:
            return _nothing(count, numbers, f"only {int(inliers.sum())} of {count} matches agree on a motion")

    share = float(inliers.mean())
    rays_a, rays_b = rays_a[inliers], rays_b[inliers]
    near = threshold * 2  # a point is out along two axes here, and from a line along one
    plane, rivals = _plane(a[inliers], b[inliers], intrinsics, near)
    deviation = direction_deviation(rotation, direction, rays_a, rays_b)
    numbers |= {
        "inliers": float(inliers.sum()),
        "inlier_share": share,
        "parallax_degrees": float(np.degrees(np.median(parallax(rotation, rays_a, rays_b)))),
        "rotation_share": _rotation_share(rays_a, rays_b, near / focal),
        "homography_share": plane,
        "direction_deviation_degrees": float(np.degrees(deviation)),
        "sampson_pixels": float(np.median(distances[inliers])),
        "rival_degrees": _rival(rivals, rotation, direction, rays_a, rays_b, threshold / focal),
    }
    reason = _doubt(numbers)
    b_from_a = torch.eye(4, dtype=torch.float64)
    b_from_a[:3, :3], b_from_a[:3, 3] = torch.from_numpy(rotation), torch.from_numpy(direction)
    return TwoView(b_from_a, torch.from_numpy(inliers), not reason, reason, numbers)


def epipolar_inliers(
    pixels_a: Float[Tensor, "M 2"],
    pixels_b: Float[Tensor, "M 2"],
    K: Float[Tensor, "3 3"],
    threshold: float = THRESHOLD,
) -> Bool[Tensor, "M"]:
    """Which matches agree with the best essential matrix: the search alone, without a verdict."""
    a, b, intrinsics = (value.detach().double().cpu().numpy() for value in (pixels_a, pixels_b, K))
    found = _search(a, b, intrinsics, threshold)
    return torch.zeros(len(pixels_a), dtype=torch.bool) if found is None else torch.from_numpy(found[1])


def _doubt(numbers: dict[str, float]) -> str:
    """Why the motion is not determined; empty where it is."""
    if numbers["inlier_share"] < LEAST_SHARE:
        return f"only {numbers['inlier_share']:.0%} of the matches agree on a motion; expected {LEAST_SHARE:.0%}"
    if numbers["rotation_share"] > RIVAL_SHARE:
        return (
            f"a rotation without a baseline explains {numbers['rotation_share']:.0%} of the matches: "
            "the images are from one place, or of something far away"
        )
    if numbers["parallax_degrees"] < LEAST_PARALLAX:
        return f"the median parallax is {numbers['parallax_degrees']:.2f} degrees; it takes {LEAST_PARALLAX}"
    if numbers["rival_degrees"] > 0:
        return (
            f"a plane explains {numbers['homography_share']:.0%} of the matches, and a motion "
            f"{numbers['rival_degrees']:.0f} degrees off fits as well"
        )
    if numbers["direction_deviation_degrees"] > MOST_DEVIATION:
        return f"the baseline's direction is uncertain by {numbers['direction_deviation_degrees']:.0f} degrees"
    return ""


def _nothing(count: int, numbers: dict[str, float], reason: str) -> TwoView:
    return TwoView(torch.eye(4, dtype=torch.float64), torch.zeros(count, dtype=torch.bool), False, reason, numbers)


def _rays(pixels: Array, K: Array) -> Array:
    """Directions [N, 3] with unit z."""
    return np.concatenate([(pixels - K[:2, 2]) / K[[0, 1], [0, 1]], np.ones((len(pixels), 1))], axis=1)


def _search(a: Array, b: Array, K: Array, threshold: float) -> tuple[Array, NDArray[np.bool_]] | None:
    """An essential matrix and its inliers, the same for the same input."""
    import cv2

    found, mask = cv2.findEssentialMat(a, b, K, K, np.zeros(4), np.zeros(4), _usac(threshold))
    if found is None or found.shape != (3, 3) or not np.isfinite(found).all() or mask.sum() < FEWEST:
        return None
    return np.asarray(found, dtype=np.float64), np.asarray(mask[:, 0] > 0)


def _usac(threshold: float) -> Any:
    import cv2

    settings = cv2.UsacParams()
    settings.threshold = threshold
    settings.confidence = 0.9999
    settings.maxIterations = 5000
    settings.score = cv2.SCORE_METHOD_MAGSAC
    settings.loMethod = cv2.LOCAL_OPTIM_SIGMA
    settings.randomGeneratorState = 0  # a state of its own: the global generator is left alone
    settings.isParallel = False
    return settings


def _motions(essential: Array) -> list[tuple[Array, Array]]:
    """The four rotations and unit baselines of an essential matrix."""
    import cv2

    one, other, baseline = cv2.decomposeEssentialMat(essential)
    rotations = (np.asarray(rotation, dtype=np.float64) for rotation in (one, other))
    return [(rotation, np.asarray(sign * baseline[:, 0])) for rotation in rotations for sign in (1.0, -1.0)]


def _plane(a: Array, b: Array, K: Array, threshold: float) -> tuple[float, list[tuple[Array, Array]]]:
    """Which share of the matches one plane explains, and the motions that such a plane allows."""
    import cv2

    homography, mask = cv2.findHomography(a, b, cv2.RANSAC, threshold)
    if homography is None or not np.isfinite(homography).all():
        return 0.0, []
    # The decomposition knows no principal point in which half a pixel would matter: K and pixels share their origin.
    _, rotations, baselines, _ = cv2.decomposeHomographyMat(homography, K)
    lengths = [float(np.linalg.norm(baseline)) for baseline in baselines]
    motions: list[tuple[Array, Array]] = [
        (np.asarray(rotation, dtype=np.float64), np.asarray(sign * baseline[:, 0] / length, dtype=np.float64))
        for rotation, baseline, length in zip(rotations, baselines, lengths, strict=True)
        for sign in (1.0, -1.0)
        if length > 1e-9
    ]
    return float(mask.mean()), motions


def _rival(
    motions: list[tuple[Array, Array]], rotation: Array, direction: Array, a: Array, b: Array, threshold: float
) -> float:
    """Degrees to the farthest other motion that fits the rays nearly as well; 0 without one."""
    worst = 0.0
    for start in motions:
        if in_front(*start, a, b, 2 * threshold).mean() < 0.5:
            continue
        other, baseline = refine_motion(*start, a, b, threshold, most_steps=10)
        fits = (sampson_distances(other, baseline, a, b) < threshold) & in_front(other, baseline, a, b, 2 * threshold)
        if fits.mean() > RIVAL_SHARE:
            turn = np.arccos(np.clip((np.trace(rotation.T @ other) - 1) / 2, -1, 1))
            angle = np.degrees(max(turn, np.arccos(np.clip(direction @ baseline, -1, 1))))
            worst = max(worst, float(angle))
    return worst if worst > RIVAL_ANGLE else 0.0


def _rotation_share(a: Array, b: Array, threshold: float) -> float:
    """Which share of the rays one rotation brings within the threshold (radians), the best of a few trimmed fits."""
    a, b = (rays / np.linalg.norm(rays, axis=1, keepdims=True) for rays in (a, b))
    keep, best = np.ones(len(a), dtype=bool), 0.0
    for _ in range(5):
        left, _, right = np.linalg.svd(b[keep].T @ a[keep])
        rotation = left @ np.diag([1, 1, np.linalg.det(left @ right)]) @ right
        angles = np.linalg.norm(b - a @ rotation.T, axis=1)
        best = max(best, float((angles < threshold).mean()))
        keep = angles <= np.median(angles)
    return best
