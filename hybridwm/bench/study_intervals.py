"""How often the study's 95 % intervals exclude a difference of 0 that is truly 0, on simulated studies.

`python -m hybridwm.bench.study_intervals` prints it; the percentile bootstrap is the control beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

from ..study.studentised import RESAMPLES, pivots

Draw = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]

# Differences of scenes whose mean is 0. A gamma of shape 4 has skewness 1, this lognormal 1.75, an exponential 2.
KINDS: dict[str, Draw] = {
    "normal": lambda rng, size: rng.normal(size=size),
    "heavy-tailed (t, 5 d.f.)": lambda rng, size: rng.standard_t(5, size=size),
    "skewed (gamma, shape 4)": lambda rng, size: rng.gamma(4, size=size) - 4,
    "more skewed (lognormal, σ = .5)": lambda rng, size: rng.lognormal(0, 0.5, size) - np.exp(0.125),
    "most skewed (exponential)": lambda rng, size: rng.exponential(size=size) - 1,
}
SCENES = (16, 64)
STUDIES = 2_000
BLOCK = 250  # studies at once


def measure(
    kinds: Sequence[str] = tuple(KINDS),
    scenes: Sequence[int] = SCENES,
    studies: int = STUDIES,
    resamples: int = RESAMPLES,
) -> dict[str, tuple[float, float]]:
    """{"kind, n": (share of studentised, share of percentile intervals that exclude 0)}, at 95 %."""
    found = {}
    for n in scenes:
        for kind in kinds:
            rng = np.random.default_rng(list(KINDS).index(kind))
            found[f"{kind}, n = {n}"] = exclusions(KINDS[kind](rng, (n, studies)), resamples)
    return found


def exclusions(samples: Float[np.ndarray, "S M"], resamples: int) -> tuple[float, float]:
    """Shares of the M studies of S scenes whose studentised and whose percentile interval excludes 0."""
    n, mean = len(samples), samples.mean(axis=0)
    ratio = np.abs(mean) / samples.std(axis=0) * np.sqrt(n - 1)
    shares = np.random.default_rng(1).multinomial(n, np.full(n, 1 / n), size=resamples) / n
    studentised = percentile = 0
    for first in range(0, samples.shape[1], BLOCK):
        part = samples[:, first : first + BLOCK]
        extreme = (pivots(part, resamples=resamples) >= ratio[first : first + BLOCK]).sum(axis=0)
        studentised += int(((1 + extreme) / (resamples + 1) < 0.05).sum())
        low, high = np.quantile(shares @ part, [0.025, 0.975], axis=0)
        percentile += int(((low > 0) | (high < 0)).sum())
    return studentised / samples.shape[1], percentile / samples.shape[1]


if __name__ == "__main__":
    print(f"{STUDIES:,} studies, {RESAMPLES:,} resamples: 95 % intervals that exclude a true 0")
    print(f"{'differences':42} studentised   percentile (control)")
    for name, (ours, control) in measure().items():
        print(f"{name:42} {100 * ours:9.2f} %   {100 * control:9.2f} %")
