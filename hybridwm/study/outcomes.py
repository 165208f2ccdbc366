"""Unknowns: which of the possible outcomes a sample shows, whether it is one at all, and how often each comes.

Rows 8 (two modes) and 19 (calibration, purity, staying) of what counts as working.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from torch import Tensor

DIFFERS = 16 / 255  # a pixel in which outcomes differ, in some channel
PURE = 0.5  # of the distance between two outcomes


@dataclass(frozen=True)
class Shown:
    """The nearest outcome, and how far away it is in units of its distance to the next outcome (0: it is that one)."""

    index: int
    impurity: float

    @property
    def pure(self) -> bool:
        """Nearer to one outcome than half the way to any other: an average of two is not."""
        return self.impurity < PURE - 1e-6


def shown_outcome(frame: Float[Tensor, "*T H W 3"], outcomes: Float[Tensor, "K *T H W 3"]) -> Shown:
    """Root mean square distances over the pixels in which the outcomes differ. Raises ValueError where none does."""
    spread = outcomes.amax(0) - outcomes.amin(0)
    told = spread.amax(-1) > DIFFERS
    if len(outcomes) < 2 or not bool(told.any()):
        raise ValueError("outcomes: expected at least two that differ in some pixels; got none; judge a later frame")
    seen, modes = frame[told].double(), outcomes[:, told].double()
    away = (modes - seen).square().mean((1, 2)).sqrt()
    index = int(away.argmin())
    between = (modes - modes[index]).square().mean((1, 2)).sqrt()
    between[index] = math.inf
    return Shown(index, float(away[index] / between.min()))


def frequencies(indices: Sequence[int], count: int) -> Float[np.ndarray, " K"]:
    """The share of each outcome among samples."""
    return np.bincount(np.asarray(indices, dtype=int), minlength=count) / max(len(indices), 1)


def miscalibration(indices: Sequence[int], odds: Sequence[float]) -> float:
    """max over outcomes |sampled share − odds|; at most .08 passes with n = 400."""
    return float(np.abs(frequencies(indices, len(odds)) - np.asarray(odds)).max())


def divergence(indices: Sequence[int], odds: Sequence[float]) -> float:
    """KL(sampled ‖ odds) in nats; 0 for perfect calibration."""
    share, right = frequencies(indices, len(odds)), np.asarray(odds, dtype=float)
    some = share > 0
    return float((share[some] * np.log(share[some] / right[some])).sum())


def stays(indices: Sequence[int]) -> float:
    """Share of the later frames that show what the first showed: once opened, a room does not change."""
    first, *later = indices
    return float(np.mean([i == first for i in later])) if later else math.nan
