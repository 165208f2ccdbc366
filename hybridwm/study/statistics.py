"""Paired bootstrap, Wilson interval, Holm correction: pure functions of numbers and a seed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence bounds; `p` where a test against 0 was made."""

    value: float
    low: float
    high: float
    n: int
    p: float | None = None

    @property
    def excludes_zero(self) -> bool:
        return self.low > 0 or self.high < 0


def bootstrap(
    samples: Float[np.ndarray, "S ..."],
    statistic: Callable[[np.ndarray], np.ndarray | np.floating],
    *,
    resamples: int = 10_000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Percentile bootstrap over the first axis (scenes), each scene kept whole, so that arms stay paired.

    `statistic` maps [*batch, S, …] to [*batch], e.g. `mean_statistic`. Scenes whose samples hold a nan are
    left out. With few scenes the percentile interval is too narrow: at 4 it covers far less than `level`.
    """
    samples = np.asarray(samples, dtype=float)
    if samples.ndim < 1:
        raise ValueError("expected samples [S, …], a row for each scene; got a number; do keep scenes apart")
    samples = samples[~np.isnan(samples.reshape(len(samples), -1)).any(axis=1)]
    n = len(samples)
    if n == 0:
        return Interval(math.nan, math.nan, math.nan, 0)
    value = float(statistic(samples))
    if n == 1:
        return Interval(value, math.nan, math.nan, 1)
    draws = np.random.default_rng(seed).integers(0, n, size=(resamples, n))
    values = statistic(samples[draws])
    tail = (1 - level) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return Interval(value, float(low), float(high), n)


def swap_test(
    samples: Float[np.ndarray, "S 4"],
    statistic: Callable[[np.ndarray], np.ndarray | np.floating],
    *,
    draws: int = 10_000,
    seed: int = 0,
) -> float:
    """Two-sided p of a paired comparison: how often swapping the arms within scenes gives as large a difference.

    samples[…, (two numbers of arm a, two of arm b)]. All swaps are tried up to 12 scenes, so that few scenes cannot
    give a small p (4 scenes: at least .125); above that, `draws` random ones.
    """
    n = len(samples)
    if n == 0:
        return 1.0
    if n <= 12:
        swaps = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
    else:
        swaps = np.random.default_rng(seed).integers(0, 2, size=(draws, n))
    swapped = samples[:, [2, 3, 0, 1]]
    values = np.abs(statistic(np.where(swaps[..., None] == 1, swapped, samples)))
    extreme = int((values >= abs(float(statistic(samples))) - 1e-12).sum())
    return extreme / 2**n if n <= 12 else (extreme + 1) / (draws + 1)


def mean_statistic(samples: Float[np.ndarray, "*R S"]) -> np.ndarray | np.floating:
    """The mean over scenes."""
    return samples.mean(axis=-1)


def paired_bootstrap(
    a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray, **options: float | int
) -> Interval:
    """Mean of a − b over scenes, with its interval; a[i] and b[i] come from the same scene."""
    first, second = np.asarray(a, float), np.asarray(b, float)
    if first.shape != second.shape:
        raise ValueError(f"expected pairs; got {first.shape}, {second.shape}; do give arms the same scenes")
    return bootstrap(first - second, mean_statistic, **options)  # pyright: ignore[reportArgumentType]


def psnr_statistic(samples: Float[np.ndarray, "*R S 2"]) -> np.ndarray | np.floating:
    """PSNR in dB of pooled errors; samples[…, (sum of squared 8-bit errors, count)]."""
    return _decibels(samples[..., 0], samples[..., 1])


def psnr_gain_statistic(samples: Float[np.ndarray, "*R S 4"]) -> np.ndarray | np.floating:
    """PSNR of arm a minus PSNR of arm b, in dB; samples[…, (total a, count a, total b, count b)]."""
    return _decibels(samples[..., 0], samples[..., 1]) - _decibels(samples[..., 2], samples[..., 3])


def _decibels(total: np.ndarray, count: np.ndarray) -> np.ndarray | np.floating:
    # the tiny floor stands for "no error at all", at the 100 dB ceiling of metrics.PSNR_CEILING
    mse = np.maximum(total.sum(axis=-1) / np.maximum(count.sum(axis=-1), 1), 255**2 * 1e-10)
    return 10 * np.log10(255**2 / mse)


def wilson(successes: float | int, n: int, level: float = 0.95) -> Interval:
    """Wilson score interval of a share; right near 0 and 1 and for small n, where the normal one is not."""
    if n < 0 or not 0 <= successes <= n:
        raise ValueError(f"expected 0 <= successes <= n; got {successes} of {n}; do count trials, not shares")
    if n == 0:
        return Interval(math.nan, math.nan, math.nan, 0)
    z = NormalDist().inv_cdf(0.5 + level / 2)
    share = successes / n
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return Interval(share, max(0.0, centre - half) if successes else 0.0, min(1.0, centre + half), n)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p-values, in the order given: reject those <= the wanted level."""
    if any(not 0 <= p <= 1 for p in p_values):
        raise ValueError(f"expected p-values within 0…1; got {list(p_values)}; do pass raw p-values")
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted, running = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = running
    return adjusted
