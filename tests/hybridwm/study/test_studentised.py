"""The interval excludes 0 just where its test says so, and as often as it should where nothing is there."""

import math

import numpy as np
import pytest

from hybridwm.bench import study_intervals
from hybridwm.study.statistics import paired_bootstrap
from hybridwm.study.studentised import studentised


@pytest.mark.parametrize("alpha", [0.05, 0.01, 0.002, 0.3])
def test_interval_and_p_are_dual(alpha):
    for seed in range(60):
        rng = np.random.default_rng(seed)
        test = studentised(rng.normal(0.5 * rng.random(), 1, rng.integers(3, 30)), resamples=999)
        assert (test.p < alpha) == test.interval(alpha).excludes_zero


def test_the_interval_is_symmetric_and_wider_where_it_must_be_surer():
    test = studentised(np.random.default_rng(0).gamma(2, size=16))
    plain, sure = test.interval(0.05), test.interval(0.001)
    assert plain.value - plain.low == pytest.approx(plain.high - plain.value)
    assert sure.low < plain.low < plain.value < plain.high < sure.high


def test_it_is_the_same_every_time_and_leaves_missing_scenes_out():
    values = np.random.default_rng(1).normal(1, 1, 12)
    first = studentised(values).interval()
    assert first == studentised(np.concatenate([values, [math.nan] * 3])).interval()
    assert first.n == 12


def test_few_or_equal_scenes_claim_nothing_they_cannot():
    assert studentised(np.array([])).p == 1 and studentised(np.array([2.0])).p == 1
    assert math.isnan(studentised(np.array([2.0])).interval().low)
    assert math.isinf(studentised(np.array([1.0, 1.1])).interval().high)  # half of all resamples have no spread
    assert studentised(np.zeros(16)).p == 1 and not studentised(np.zeros(16)).interval().excludes_zero
    same = studentised(np.full(16, 0.7))
    assert same.interval().low == same.interval().high == pytest.approx(0.7)
    assert not studentised(np.full(4, 0.7)).interval().excludes_zero  # p = .125: four signs may agree by chance


def test_a_scale_changes_nothing():
    values = np.random.default_rng(2).normal(0.4, 1, 20)
    assert studentised(values).p == studentised(1e-6 * values).p == studentised(1e6 * values).p


def test_it_needs_a_level():
    with pytest.raises(ValueError, match=r"0 < alpha < 1; got 95"):
        studentised(np.arange(5.0)).interval(95)


KINDS = ("normal", "heavy-tailed (t, 5 d.f.)", "skewed (gamma, shape 4)")


@pytest.mark.parametrize("n", [16, 64])
def test_honest_on_2000_studies_without_a_difference(n):
    """4 to 6.5 % of 95 % intervals exclude a true 0; the percentile bootstrap of 16 scenes is the control: too many."""
    found = study_intervals.measure(KINDS, (n,), studies=2_000, resamples=1_999)
    for name, (ours, percentile) in found.items():
        assert 0.04 <= ours <= 0.065, (name, ours)
        assert percentile > ours, (name, percentile)
        assert n > 16 or percentile > 0.07, (name, percentile)


def test_the_demo_s_percentile_interval_is_narrower():
    values = np.random.default_rng(3).normal(1, 1, 8)
    percentile, ours = paired_bootstrap(values, np.zeros(8)), studentised(values).interval()
    assert ours.high - ours.low > percentile.high - percentile.low
