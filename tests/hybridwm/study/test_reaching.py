"""Goal-image reaching: the plans are free and end apart, true pictures choose right, wrong ones do not."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from hybridwm.study.reaching import APART, DEGREES, METRES, distances, judge, rank_correlation, reach
from hybridwm.worlds.rooms.rig import RoomsRig

SEED = 9_000_002


@pytest.fixture(scope="module")
def test_and_truth():
    test = reach(SEED, 8, RoomsRig(size=32))
    return test, test.last


def test_true_pictures_reach_the_goal(test_and_truth):
    test, true = test_and_truth
    assert torch.allclose(true[0], test.goal, atol=1e-5)  # plans lead where their cameras say
    found = judge(test, true)
    assert found.reached == 1 and found.metres == 0 and found.rank_correlation == pytest.approx(1)


def test_pictures_of_other_plans_do_not(test_and_truth):
    test, true = test_and_truth
    found = judge(test, true.roll(1, 0))
    assert found.metres + found.degrees > 0.2 and found.rank_correlation < 0.9
    blind = judge(test, torch.full_like(true, 0.5))
    assert np.isnan(blind.rank_correlation)


def test_plans_end_apart(test_and_truth):
    test, _ = test_and_truth
    for i in range(1, 16):
        metres, degrees = distances(test.w2c[:i, -1], test.w2c[i, -1])
        assert float((metres / METRES + degrees / DEGREES).min()) >= APART - 0.01


def test_ranks_are_spearmans():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 5, 20).astype(float), rng.random(20)
    assert rank_correlation(a, b) == pytest.approx(spearmanr(a, b).statistic)
    assert np.isnan(rank_correlation(np.ones(4), np.arange(4.0)))
