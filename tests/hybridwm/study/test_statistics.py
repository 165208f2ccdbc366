"""Intervals against published numbers, and against how often they cover what they should."""

import numpy as np
import pytest

from hybridwm.study import statistics as st


def test_wilson_numbers():
    interval = st.wilson(90, 128)  # row 9's size: 0.703 has its low end above .6
    assert (interval.value, interval.low, interval.high) == pytest.approx((0.7031, 0.6189, 0.7755), abs=1e-4)
    none = st.wilson(0, 10)
    assert none.low == 0 and none.high == pytest.approx(0.27753, abs=1e-4)
    assert st.wilson(10, 10).high == 1
    assert np.isnan(st.wilson(0, 0).value)
    with pytest.raises(ValueError, match="successes"):
        st.wilson(3, 2)


def test_holm_numbers():
    assert st.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert st.holm([0.6, 0.7]) == [1.0, 1.0]
    assert st.holm([]) == []
    with pytest.raises(ValueError, match="within 0…1"):
        st.holm([1.2])


def test_bootstrap_covers_the_mean():
    generator = np.random.default_rng(0)
    hits = sum(
        interval.low <= 0.3 <= interval.high
        for interval in (
            st.bootstrap(generator.normal(0.3, 1, size=30), st.mean_statistic, resamples=400, seed=i)
            for i in range(400)
        )
    )
    assert 0.90 <= hits / 400 <= 0.98


def test_pairs_matter():
    generator = np.random.default_rng(0)
    scene = generator.normal(0, 10, size=24)
    a, b = scene + 1 + generator.normal(0, 0.5, 24), scene
    assert st.paired_bootstrap(a, b).excludes_zero
    assert not st.paired_bootstrap(a, generator.permutation(b)).excludes_zero
    with pytest.raises(ValueError, match="same scenes"):
        st.paired_bootstrap(a, b[:-1])


def test_bootstrap_is_seeded_and_leaves_out_nan():
    values = np.array([1.0, 2.0, np.nan, 4.0])
    first, again = (st.bootstrap(values, st.mean_statistic, seed=3) for _ in range(2))
    assert first == again and first.n == 3 and first.value == pytest.approx(7 / 3)
    assert st.bootstrap(np.array([np.nan]), st.mean_statistic).n == 0
    alone = st.bootstrap(np.array([2.0]), st.mean_statistic)
    assert alone.value == 2 and np.isnan(alone.low)


def test_psnr_pools_before_decibels():
    errors = np.array([[100.0, 100.0], [10_000.0, 100.0]])
    assert st.psnr_statistic(errors) == pytest.approx(10 * np.log10(255**2 / 50.5))
    gain = np.concatenate([errors, errors * [4, 1]], axis=1)
    assert st.psnr_gain_statistic(gain) == pytest.approx(10 * np.log10(4))
    assert st.psnr_statistic(np.array([[0.0, 10.0]])) == pytest.approx(100)


def test_swapping_arms_tells_real_gains_from_noise():
    generator = np.random.default_rng(1)
    noise = generator.uniform(50, 150, size=(24, 2))
    counts = np.ones((24, 1))
    same = np.concatenate([noise[:, :1], counts, noise[:, 1:], counts], axis=1)
    better = same * [0.3, 1, 1, 1]
    assert st.swap_test(better, st.psnr_gain_statistic) < 0.001
    assert st.swap_test(same, st.psnr_gain_statistic) > 0.05
    assert st.swap_test(better[:4], st.psnr_gain_statistic) == pytest.approx(2 / 16)  # few: no small p
