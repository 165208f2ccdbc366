"""Is a touch foretold when it comes, and as hard as it comes? Onsets within a frame, and forces (row 21)."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float, Int

TOLERANCE = 1  # frames


def onsets(contact: Float[np.ndarray, " T"], threshold: float = 0.5) -> Int[np.ndarray, " N"]:
    """The frames in which contact begins: above the threshold, and not in the frame before."""
    on = np.asarray(contact, dtype=float) > threshold
    before = np.concatenate([[False], on[:-1]])
    return np.flatnonzero(on & ~before)


def matches(found: Int[np.ndarray, " N"], true: Int[np.ndarray, " M"], tolerance: int = TOLERANCE) -> int:
    """The most pairs (found, true) within `tolerance` frames, each used once."""
    i = j = pairs = 0
    while i < len(found) and j < len(true):
        if abs(found[i] - true[j]) <= tolerance:
            i, j, pairs = i + 1, j + 1, pairs + 1
        elif found[i] < true[j]:
            i += 1
        else:
            j += 1
    return pairs


def onset_f1(
    predicted: list[Float[np.ndarray, " _"]], truth: list[Float[np.ndarray, " _"]], tolerance: int = TOLERANCE
) -> float:
    """F1 = 2 · matched / (found + true) over all episodes, an onset matched within ±`tolerance` frames."""
    if len(predicted) != len(truth) or any(len(p) != len(t) for p, t in zip(predicted, truth, strict=False)):
        raise ValueError("touch: expected a prediction for each frame of each episode; got others; do pair them")
    matched = total = 0
    for mine, true in zip(predicted, truth, strict=True):
        found, real = onsets(mine), onsets(true)
        matched, total = matched + matches(found, real, tolerance), total + len(found) + len(real)
    return 2 * matched / total if total else math.nan


def force_r2(predicted: Float[np.ndarray, " N"], truth: Float[np.ndarray, " M"]) -> float:
    """R² = 1 − Σ (truth − predicted)² / Σ (truth − mean)² ; 0 for the mean, below 0 for worse; nan without forces."""
    predicted, truth = np.asarray(predicted, float), np.asarray(truth, float)
    if predicted.shape != truth.shape:
        raise ValueError(f"touch: expected forces {truth.shape}; got {predicted.shape}; do predict every frame")
    spread = float(((truth - truth.mean()) ** 2).sum())
    return 1 - float(((truth - predicted) ** 2).sum()) / spread if spread > 0 else math.nan
