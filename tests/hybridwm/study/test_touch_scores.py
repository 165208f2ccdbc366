"""Onsets within a frame, forces by R², on hand-made touches and on those of a scenario; shuffled ones must fail."""

import math

import numpy as np
import pytest

from hybridwm.study.touch_scores import force_r2, matches, onset_f1, onsets
from hybridwm.worlds.rooms.scenario_episodes import scenario_episode


def test_onsets_and_matches_by_hand():
    assert onsets(np.array([1, 1, 0, 0, 0.6, 0.7, 0, 1])).tolist() == [0, 4, 7]
    assert matches(np.array([3, 10]), np.array([4, 12])) == 1
    assert matches(np.array([4, 5]), np.array([4])) == 1  # no onset is matched twice
    truth = [np.array([0, 0, 1, 1, 0, 0, 1, 0.0])]
    late = [np.roll(truth[0], 1)]
    later = [np.roll(truth[0], 2)]
    assert onset_f1(truth, truth) == 1 and onset_f1(late, truth) == 1 and onset_f1(later, truth) < 1
    assert onset_f1([np.zeros(8)], truth) == 0 and math.isnan(onset_f1([np.zeros(8)], [np.zeros(8)]))


def test_forces_by_hand():
    truth = np.array([0.0, 1.0, 2.0, 0.0])
    assert force_r2(truth, truth) == 1 and force_r2(np.full(4, truth.mean()), truth) == 0
    assert force_r2(-truth, truth) < 0 and math.isnan(force_r2(truth, np.zeros(4)))


def test_touches_of_a_scenario_score_and_shuffled_ones_do_not():
    """Row 21's bounds, F1 >= .9 and R² >= .8, are out of reach of the true channel, shuffled over time."""
    touch = [scenario_episode("push", 1500 + k, 48, 8)[0].touch.numpy() for k in range(3)]
    felt = [np.maximum(t[:, 0], t[:, 2]) for t in touch]
    force = np.concatenate([t[:, 1] + t[:, 3] for t in touch])
    assert sum(len(onsets(f)) for f in felt) >= 5
    rng = np.random.default_rng(0)
    assert onset_f1(felt, felt) == 1 and force_r2(force, force) == 1
    assert onset_f1([rng.permutation(f) for f in felt], felt) < 0.6
    assert force_r2(rng.permutation(force), force) < 0.3


def test_lengths_that_differ_are_refused():
    with pytest.raises(ValueError, match="touch: expected a prediction"):
        onset_f1([np.zeros(3)], [np.zeros(4)])
    with pytest.raises(ValueError, match="touch: expected forces"):
        force_r2(np.zeros(3), np.zeros(4))
