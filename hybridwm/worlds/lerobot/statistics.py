"""Minimum, maximum, mean, standard deviation and count of a feature, for an episode and folded over many."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Shaped

Stats = dict[str, dict[str, Any]]  # feature → statistic → nested lists
NAMES = ("min", "max", "mean", "std", "count")


def of_vectors(values: Shaped[np.ndarray, "T *D"]) -> dict[str, Any]:
    """Over the frames."""
    wide = values.astype(np.float64).reshape(len(values), -1)
    return _listed(wide.min(0), wide.max(0), wide.mean(0), wide.std(0), len(values))


def of_images(values: Shaped[np.ndarray, "T H W C"], scale: float) -> dict[str, Any]:
    """Of each channel over frames and pixels, shaped [C, 1, 1], in units of `scale` (255 for colours)."""
    channels = values.shape[-1]
    total, squares = np.zeros(channels), np.zeros(channels)
    for image in values:  # one at a time: in 64 bits an episode is eight times as large
        wide = image.reshape(-1, channels).astype(np.float64)
        total, squares = total + wide.sum(0), squares + (wide**2).sum(0)
    n = values.size // channels
    mean = total / n
    found = (values.min((0, 1, 2)), values.max((0, 1, 2)), mean, np.sqrt(np.maximum(squares / n - mean**2, 0)))
    low, high, mean, std = ((part.astype(np.float64) / scale).reshape(channels, 1, 1) for part in found)
    return _listed(low, high, mean, std, len(values))


def folded(sofar: Stats | None, more: Stats) -> Stats:
    """Statistics of what `sofar` and `more` are statistics of. Folded in order, they are the same bits every time."""
    if sofar is None:
        return more
    both: Stats = {}
    for key in more:
        a, b = ({name: np.array(stats[key][name]) for name in NAMES} for stats in (sofar, more))
        n, m = float(a["count"][0]), float(b["count"][0])
        mean = (a["mean"] * n + b["mean"] * m) / (n + m)
        spread = (a["std"] ** 2 + (a["mean"] - mean) ** 2) * n + (b["std"] ** 2 + (b["mean"] - mean) ** 2) * m
        low, high = np.minimum(a["min"], b["min"]), np.maximum(a["max"], b["max"])
        both[key] = _listed(low, high, mean, np.sqrt(spread / (n + m)), int(n + m))
    return both


def _listed(low: Any, high: Any, mean: Any, std: Any, count: int) -> dict[str, Any]:
    return {"min": low.tolist(), "max": high.tolist(), "mean": mean.tolist(), "std": std.tolist(), "count": [count]}
