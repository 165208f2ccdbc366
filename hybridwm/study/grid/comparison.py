"""Two arms on one measure: the mean of their paired differences over scenes, how sure it is, and what it would take."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from ..effects import HolmRank, Variance, effect_size, scenes_needed, smallest_seen, variance_components
from ..statistics import Interval
from ..studentised import Studentised, studentised
from .per_scene import PerScene, mean_of_seeds

DIFFERENCE = 0.5  # dB: what the power note asks after


@dataclass(frozen=True)
class Comparison:
    """`arm` over `against`: above 0 where `arm` is better. rank: its place in its Holm family, if any."""

    trajectory: str
    measure: str
    arm: str
    against: str
    differences: Float[np.ndarray, " S"]
    test: Studentised
    variance: Variance | None
    rank: HolmRank | None = None

    @property
    def name(self) -> str:
        return f"{self.trajectory} · {self.measure} · {self.arm} · {self.against}"

    @functools.cached_property
    def interval(self) -> Interval:
        """At 95 %, of this comparison alone."""
        return self.test.interval()

    @functools.cached_property
    def corrected(self) -> Interval:
        """At its Holm rank's level; the plain one for a comparison that is in no family."""
        return self.interval if self.rank is None else self.test.interval(self.rank.alpha)

    def ranked(self, rank: HolmRank) -> Comparison:
        return replace(self, rank=rank)

    def as_mapping(self) -> dict[str, Any]:
        """Plain values, for summary.json."""
        plain, corrected = self.interval, self.corrected
        spread = self.test.error * math.sqrt(self.test.n) if self.test.n else math.nan
        decibels = self.measure.startswith("psnr") or self.measure == "revisit"
        return {
            "name": self.name,
            "trajectory": self.trajectory,
            "measure": self.measure,
            "arm": self.arm,
            "against": self.against,
            "value": plain.value,
            "low": plain.low,
            "high": plain.high,
            "n": plain.n,
            "p": self.test.p,
            "corrected": self.rank is not None,
            "low_holm": corrected.low,
            "high_holm": corrected.high,
            "p_holm": None if self.rank is None else self.rank.p,
            "level_holm": 0.95 if self.rank is None else 1 - self.rank.alpha,
            "d_z": effect_size(self.differences),
            "scenes_needed": scenes_needed(spread, DIFFERENCE) if decibels and plain.n > 1 else None,
            "smallest_seen": smallest_seen(spread, plain.n) if plain.n > 1 else None,
            "seed_share": None if self.variance is None else self.variance.share_of_seeds,
        }


def compare(values: PerScene, trajectory: str, measure: str, arm: str, against: str) -> Comparison:
    """Over the scenes that both arms have, from the noise seeds that both were dreamt with."""
    rollouts = values.differences(trajectory, measure, arm, against)
    scenes = mean_of_seeds(rollouts)
    return Comparison(trajectory, measure, arm, against, scenes, studentised(scenes), variance_components(rollouts))
