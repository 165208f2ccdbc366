"""How large, how many, and whence: effect size, scenes needed, variance of scenes and seeds, and share of a gap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from jaxtyping import Float

from .statistics import Interval


@dataclass(frozen=True)
class HolmRank:
    """p: adjusted. alpha: that at which the comparison's own interval excludes 0 just where p is below the level."""

    p: float
    alpha: float


def holm_ranks(p_values: Sequence[float], level: float = 0.05) -> list[HolmRank]:
    """Holm's step-down adjusted p-values, with the alpha of each comparison's interval, in the order given.

    The smallest of m p-values stands against level / m, the next against level / (m - 1), …; from the first that fails
    on, all stand against what that one did, so intervals never say more than the adjusted p. Holm (1979).
    """
    if any(not 0 <= p <= 1 for p in p_values):
        raise ValueError(f"expected p-values within 0…1; got {list(p_values)}; do pass raw p-values")
    count, ranks = len(p_values), [HolmRank(1.0, level)] * len(p_values)
    running, stopped = 0.0, None
    for rank, i in enumerate(sorted(range(count), key=lambda i: p_values[i])):
        running = max(running, min(1.0, (count - rank) * p_values[i]))
        if stopped is None and p_values[i] >= level / (count - rank):
            stopped = rank
        ranks[i] = HolmRank(running, level / (count - (rank if stopped is None else stopped)))
    return ranks


def effect_size(differences: Float[np.ndarray, " S"]) -> float:
    """Cohen's d_z = mean / standard deviation of paired differences; nan below two scenes or where all are alike."""
    values = differences[~np.isnan(differences)]
    spread = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    return float(values.mean()) / spread if spread > 0 else math.nan


def scenes_needed(spread: float, difference: float, *, power: float = 0.8, level: float = 0.05) -> int:
    """Scenes for a paired two-sided test at `level` to see `difference` with `power`, at this standard deviation.

    n = ((z_(1 - level / 2) + z_power) spread / difference)², and z²_(1 - level / 2) / 2 more, since the standard
    deviation is itself estimated (Guenther 1981). At least 4, below which no interval is given.
    """
    if not (spread >= 0 and difference > 0):
        raise ValueError(f"expected spread >= 0 and difference > 0; got {spread} and {difference}")
    sided = NormalDist().inv_cdf(1 - level / 2)
    return max(4, math.ceil((_both(power, level) * spread / difference) ** 2 + sided**2 / 2 - 1e-9))


def smallest_seen(spread: float, n: int, *, power: float = 0.8, level: float = 0.05) -> float:
    """The difference that n scenes see with `power`: the inverse of `scenes_needed`; infinite below 4 scenes."""
    sided = NormalDist().inv_cdf(1 - level / 2)
    return _both(power, level) * spread / math.sqrt(n - sided**2 / 2) if n >= 4 else math.inf


@dataclass(frozen=True)
class Variance:
    """Of paired differences: between scenes, and between noise seeds of one scene; scenes with two seeds or more."""

    scenes: float
    seeds: float
    n: int

    @property
    def share_of_seeds(self) -> float:
        """How much of the variance of a single rollout's difference is its noise seed's."""
        total = self.scenes + self.seeds
        return self.seeds / total if total > 0 else math.nan


def variance_components(differences: Float[np.ndarray, "S K"]) -> Variance | None:
    """One-way random effects by analysis of variance, unbalanced: nan where a scene was not dreamt with a seed.

    E[MS within] = σ²_seeds; E[MS between] = σ²_seeds + k0 σ²_scenes, k0 = (N - Σ k² / N) / (S - 1). A negative estimate
    of σ²_scenes is 0. None below two scenes of two seeds. Searle, Casella & McCulloch, *Variance Components* (1992).
    """
    counts = (~np.isnan(differences)).sum(axis=1)
    rows, counts = differences[counts >= 2], counts[counts >= 2]
    scenes, total = len(rows), int(counts.sum())
    if scenes < 2:
        return None
    means = np.nanmean(rows, axis=1)
    within = float(np.nansum((rows - means[:, None]) ** 2)) / (total - scenes)
    grand = float((counts * means).sum()) / total
    between = float((counts * (means - grand) ** 2).sum()) / (scenes - 1)
    each = (total - float((counts**2).sum()) / total) / (scenes - 1)
    return Variance(max(0.0, (between - within) / each), within, scenes)


def share_of_gap(part: Float[np.ndarray, " S"], whole: Float[np.ndarray, " S"]) -> Interval | None:
    """mean(part) / mean(whole) over the scenes that have both, with Fieller's 95 % interval.

    None where the whole is not above 0 beyond doubt: a share of nothing is nothing. Fieller (1954).
    """
    both = ~(np.isnan(part) | np.isnan(whole))
    a, b, n = part[both], whole[both], int(both.sum())
    if n < 4:
        return None
    covariance = np.cov(a, b) / n
    mean_a, mean_b, bound = float(a.mean()), float(b.mean()), student_quantile(n - 1) ** 2
    # the roots of (mean_a - r mean_b)² = bound var(mean_a - r mean_b)
    square = mean_b**2 - bound * covariance[1, 1]
    if mean_b <= 0 or square <= 1e-9 * mean_b**2:
        return None
    middle = (mean_a * mean_b - bound * covariance[0, 1]) / square
    inside = middle**2 - (mean_a**2 - bound * covariance[0, 0]) / square
    half = math.sqrt(max(0.0, inside))
    return Interval(mean_a / mean_b, float(middle - half), float(middle + half), n)


def student_quantile(freedom: int, level: float = 0.05) -> float:
    """The two-sided quantile of Student's t by its Cornish-Fisher series, to 0.01 from 4 degrees of freedom on.

    Abramowitz & Stegun 26.7.5.
    """
    z = NormalDist().inv_cdf(1 - level / 2)
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return sum(term / freedom**order for order, term in enumerate(terms))


def _both(power: float, level: float) -> float:
    return NormalDist().inv_cdf(1 - level / 2) + NormalDist().inv_cdf(power)
