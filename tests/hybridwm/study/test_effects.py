"""Holm's levels mirror his p-values; sizes, powers, variances and shares come back as they were put in."""

import math

import numpy as np
import pytest

from hybridwm.study.effects import (
    effect_size,
    holm_ranks,
    scenes_needed,
    share_of_gap,
    smallest_seen,
    student_quantile,
    variance_components,
)
from hybridwm.study.statistics import holm
from hybridwm.study.studentised import studentised


def test_adjusted_p_is_below_the_level_just_where_p_is_below_its_alpha():
    rng = np.random.default_rng(0)
    for _ in range(300):
        p_values = list(rng.choice([1e-4, 0.004, 0.01, 0.02, 0.04, 0.3, 1.0], size=rng.integers(1, 9)))
        ranks = holm_ranks(p_values)
        assert [rank.p for rank in ranks] == pytest.approx(holm(p_values))
        assert [rank.p < 0.05 for rank in ranks] == [p < rank.alpha for p, rank in zip(p_values, ranks, strict=True)]


def test_holm_intervals_mirror_holm_p():
    """The interval at its rank's level excludes 0 just where the adjusted p is below .05, and never sooner."""
    rng = np.random.default_rng(1)
    for _ in range(20):
        tests = [studentised(rng.normal(rng.choice([0, 0.5, 0.8]), 1, 16), resamples=1999) for _ in range(6)]
        ranks = holm_ranks([test.p for test in tests])
        for test, rank in zip(tests, ranks, strict=True):
            assert (rank.p < 0.05) == test.interval(rank.alpha).excludes_zero
            assert test.interval(rank.alpha).low <= test.interval(0.05).low


def test_after_the_first_failure_no_interval_says_more():
    ranks = holm_ranks([0.001, 0.02, 0.021, 0.022])
    assert [rank.alpha for rank in ranks] == pytest.approx([0.05 / 4, 0.05 / 3, 0.05 / 3, 0.05 / 3])


def test_scenes_needed_gives_the_power_that_it_promises():
    rng, spread, difference = np.random.default_rng(2), 1.2, 0.5
    n = scenes_needed(spread, difference)
    samples = rng.normal(difference, spread, (n, 4000))
    ratio = np.abs(samples.mean(axis=0)) / samples.std(axis=0, ddof=1) * math.sqrt(n)
    assert (ratio > student_quantile(n - 1)).mean() == pytest.approx(0.8, abs=0.03)
    assert smallest_seen(spread, n) == pytest.approx(difference, rel=0.03)
    assert scenes_needed(spread, 5.0) >= 4 and math.isinf(smallest_seen(1.0, 3))


def test_student_quantile():
    """2.776, 2.131, 1.998 of any table."""
    assert [student_quantile(f) for f in (4, 15, 63)] == pytest.approx([2.7764, 2.1314, 1.9983], abs=0.002)


def test_effect_size():
    assert effect_size(np.array([1.0, 3.0, math.nan])) == pytest.approx(math.sqrt(2))
    assert math.isnan(effect_size(np.array([1.0])))


def test_variance_of_scenes_and_seeds_comes_back_also_unbalanced():
    rng = np.random.default_rng(3)
    values = rng.normal(0, 1.0, (4000, 1)) + rng.normal(0, 0.5, (4000, 3))
    values[::3, 2] = math.nan
    values[1::3, 1:] = math.nan  # scenes of a single seed say nothing of seeds
    found = variance_components(values)
    assert found.scenes == pytest.approx(1.0, rel=0.08) and found.seeds == pytest.approx(0.25, rel=0.08)
    assert found.share_of_seeds == pytest.approx(0.2, abs=0.02)
    assert variance_components(values[:, :1]) is None
    alone = variance_components(rng.normal(0, 0.5, (500, 3)))
    assert alone.share_of_seeds > 0.85  # no scene effect: all of it is the seeds'


def test_share_of_gap_covers_the_truth():
    rng, covered = np.random.default_rng(4), 0
    for _ in range(800):
        whole = rng.normal(2.0, 1.0, 16)
        part = 0.6 * whole + rng.normal(0, 0.5, 16)
        share = share_of_gap(part, whole)
        covered += share.low <= 0.6 <= share.high
    assert 0.92 <= covered / 800 <= 0.975


def test_a_share_of_nothing_is_nothing():
    rng = np.random.default_rng(5)
    assert share_of_gap(rng.normal(0, 1, 16), rng.normal(0, 1, 16)) is None
    assert share_of_gap(np.ones(16), -2 + rng.normal(0, 0.1, 16)) is None
    assert share_of_gap(np.ones(3), np.ones(3)) is None
