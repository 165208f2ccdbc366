"""The camera that sees known points at known pixels (PnP), wrong pairs among them, by RANSAC and refinement."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

FEWEST = 12  # inliers; three points and a check agree on a camera in noise
LEAST_SHARE = 0.25  # of the pairs


@dataclass(frozen=True)
class Resection:
    """w2c in the points' world, and which pairs agree with it; where `found` is False, why, and the identity."""

    w2c: Float[Tensor, "4 4"]
    inliers: Bool[Tensor, "M"]
    found: bool
    reason: str


def resect(
    points: Float[Tensor, "M 3"], pixels: Float[Tensor, "M 2"], K: Float[Tensor, "3 3"], threshold: float = 2.0
) -> Resection:
    """P3P in RANSAC (OpenCV's), refined over its inliers; threshold in pixels. Depth may be 0 nowhere: leave such
    points out. The same answer for the same input."""
    import cv2

    count = len(points)
    nothing = torch.eye(4, dtype=torch.float64), torch.zeros(count, dtype=torch.bool), False
    if count < FEWEST:
        return Resection(*nothing, f"only {count} points are seen again; it takes {FEWEST}")
    known, seen, intrinsics = (value.detach().double().cpu().numpy() for value in (points, pixels, K))
    settings = cv2.UsacParams()
    settings.threshold = threshold
    settings.confidence = 0.9999
    settings.maxIterations = 2000
    settings.score = cv2.SCORE_METHOD_MSAC
    settings.randomGeneratorState = 0
    try:
        found, _, turn, shift, chosen = cv2.solvePnPRansac(known, seen, intrinsics, np.zeros(4), params=settings)
    except cv2.error as error:  # OpenCV's solvers refuse some point sets, such as coinciding ones
        return Resection(*nothing, f"no camera sees these points: {error.err}")
    if not found or chosen is None or not (np.isfinite(turn).all() and np.isfinite(shift).all()):
        return Resection(*nothing, f"no camera agrees with the {count} points")
    inliers = np.zeros(count, dtype=bool)
    inliers[np.asarray(chosen[:, 0], dtype=np.int64)] = True
    for _ in range(2):
        if inliers.sum() < FEWEST or inliers.mean() < LEAST_SHARE:
            return Resection(*nothing, f"only {int(inliers.sum())} of {count} points agree on a camera")
        turn, shift = cv2.solvePnPRefineLM(known[inliers], seen[inliers], intrinsics, np.zeros(4), turn, shift)
        rotation = cv2.Rodrigues(turn)[0]
        in_camera = known @ rotation.T + shift[:, 0]
        projected = (
            in_camera[:, :2] / np.maximum(in_camera[:, 2:], 1e-9) * intrinsics[[0, 1], [0, 1]] + intrinsics[:2, 2]
        )
        inliers = (np.linalg.norm(projected - seen, axis=1) < threshold) & (in_camera[:, 2] > 0)
    if inliers.sum() < FEWEST or inliers.mean() < LEAST_SHARE:
        return Resection(*nothing, f"only {int(inliers.sum())} of {count} points agree on a camera")
    w2c = torch.eye(4, dtype=torch.float64)
    w2c[:3, :3], w2c[:3, 3] = torch.from_numpy(rotation), torch.from_numpy(shift[:, 0])
    return Resection(w2c, torch.from_numpy(inliers), True, "")
