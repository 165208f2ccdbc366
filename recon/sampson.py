"""Distances of matched rays from the epipolar geometry of a motion, and the motion of the least such distance.

A motion is a rotation [3, 3] and a unit baseline [3]: `x_b = rotation @ x_a + baseline`. Rays [N, 3] have unit z;
distances and thresholds are in units of the image plane at z = 1, which is pixels over the focal length.
Source: Sampson (1982); Hartley and Zisserman, Multiple View Geometry, 11.4.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
STEP = 1e-6  # of the numerical derivative, radians
MOST_STEPS = 30


def sampson_distances(rotation: Array, baseline: Array, a: Array, b: Array) -> Array:
    """How far each match is from the nearest one that the motion allows, to first order."""
    return np.abs(_residuals(rotation, baseline, a, b))


def refine_motion(
    rotation: Array, baseline: Array, a: Array, b: Array, threshold: float, most_steps: int = MOST_STEPS
) -> tuple[Array, Array]:
    """The motion of the least Cauchy-weighted Sampson error, by Levenberg-Marquardt from a nearby one."""
    damping, scale = 1e-4, threshold / 2
    residuals = _residuals(rotation, baseline, a, b)
    cost = _cost(residuals, scale)
    for _ in range(most_steps):
        jacobian = _jacobian(rotation, baseline, a, b)
        weights = 1 / (1 + (residuals / scale) ** 2)
        hessian = jacobian.T @ (weights[:, None] * jacobian)
        gradient = jacobian.T @ (weights * residuals)
        step = -np.linalg.solve(hessian + damping * np.diag(np.diag(hessian) + 1e-12), gradient)
        candidate = _moved(rotation, baseline, step)
        moved = _residuals(*candidate, a, b)
        new_cost = _cost(moved, scale)
        if new_cost >= cost:
            damping *= 10
            if damping > 1e6:
                break
            continue
        converged = cost - new_cost < 1e-9 * cost
        (rotation, baseline), residuals, cost, damping = candidate, moved, new_cost, max(damping / 10, 1e-12)
        if converged:
            break
    return rotation, baseline


def direction_deviation(rotation: Array, baseline: Array, a: Array, b: Array) -> float:
    """Standard deviation of the baseline's direction (radians), from the distances that are left."""
    jacobian = _jacobian(rotation, baseline, a, b)
    residuals = _residuals(rotation, baseline, a, b)
    variance = residuals @ residuals / max(len(a) - 5, 1)
    covariance = variance * np.linalg.pinv(jacobian.T @ jacobian)
    return float(np.sqrt(max(np.linalg.eigvalsh(covariance[3:, 3:])[-1], 0.0)))


def parallax(rotation: Array, a: Array, b: Array) -> Array:
    """The angle (radians) between the two rays of each match, the rotation taken away."""
    turned = a @ rotation.T
    sine = np.linalg.norm(np.cross(turned, b), axis=1)
    return np.arctan2(sine, np.einsum("ni,ni->n", turned, b))


def in_front(rotation: Array, baseline: Array, a: Array, b: Array, blur: float) -> NDArray[np.bool_]:
    """Whether the rays of each match meet in front of both cameras; true below `blur` of parallax (radians), where
    noise decides it."""
    turned = a @ rotation.T
    aa, bb, ab = (np.einsum("ni,ni->n", x, y) for x, y in ((turned, turned), (b, b), (turned, b)))
    at, bt = turned @ baseline, b @ baseline
    # depth_b * b - depth_a * turned = baseline, in the least squares; the common denominator is positive.
    depth_a, depth_b = ab * bt - bb * at, aa * bt - ab * at
    return ((depth_a > 0) & (depth_b > 0)) | (parallax(rotation, a, b) < blur)


def rotation_of(vector: Array) -> Array:
    """The rotation [3, 3] about a vector by its length in radians (Rodrigues)."""
    angle = float(np.linalg.norm(vector))
    cross = _cross(vector)
    if angle < 1e-8:
        return np.eye(3) + cross
    return np.eye(3) + np.sin(angle) / angle * cross + (1 - np.cos(angle)) / angle**2 * cross @ cross


def _residuals(rotation: Array, baseline: Array, a: Array, b: Array) -> Array:
    essential = _cross(baseline) @ rotation
    lines_b, lines_a = a @ essential.T, b @ essential
    gradient = np.sqrt((lines_b[:, :2] ** 2).sum(1) + (lines_a[:, :2] ** 2).sum(1))
    return np.einsum("ni,ni->n", lines_b, b) / np.maximum(gradient, 1e-15)


def _jacobian(rotation: Array, baseline: Array, a: Array, b: Array) -> Array:
    """By the rotation vector and the baseline's two turns, numerically: [N, 5]."""
    columns = [
        _residuals(*_moved(rotation, baseline, step), a, b) - _residuals(*_moved(rotation, baseline, -step), a, b)
        for step in STEP * np.eye(5)
    ]
    return np.stack(columns, axis=1) / (2 * STEP)


def _moved(rotation: Array, baseline: Array, step: Array) -> tuple[Array, Array]:
    # Two axes across the baseline: a unit vector has two degrees of freedom.
    least = np.eye(3)[np.abs(baseline).argmin()]
    one = _cross(baseline) @ least
    one /= np.linalg.norm(one)
    moved = baseline + step[3] * one + step[4] * (_cross(baseline) @ one)
    return rotation_of(step[:3]) @ rotation, moved / np.linalg.norm(moved)


def _cost(residuals: Array, scale: float) -> float:
    return float(np.log1p((residuals / scale) ** 2).sum())


def _cross(vector: Array) -> Array:
    """The matrix of the cross product with a vector."""
    x, y, z = vector.tolist()
    return np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
