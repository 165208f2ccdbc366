"""Outcomes by hand and on the scenarios that hide them; averages, argmax and forgetting must fail."""

import math

import numpy as np
import pytest
import torch

from hybridwm.study.outcomes import divergence, miscalibration, shown_outcome, stays
from hybridwm.worlds.rooms.scenario_episodes import scenario_episode


@pytest.fixture(scope="module", params=["doors", "fork"])
def outcomes(request):
    pair = [scenario_episode(request.param, 1300, 24, 32, outcome=k)[0].rgb[-4:].float() / 255 for k in (0, 1)]
    return torch.stack(pair)


def test_true_outcomes_are_told_apart_and_pure(outcomes):
    g = torch.Generator().manual_seed(0)
    for k in (0, 1):
        noisy = outcomes[k] + 0.05 * torch.randn(outcomes[k].shape, generator=g)
        assert shown_outcome(outcomes[k], outcomes).impurity == 0
        for frames in (outcomes[k], noisy):
            shown = shown_outcome(frames, outcomes)
            assert shown.index == k and shown.pure


def test_an_average_is_none_of_them(outcomes):
    assert not shown_outcome(outcomes.mean(0), outcomes).pure
    assert not shown_outcome(1 - outcomes[0], outcomes).pure  # nor is a picture of something else


def test_calibration_by_hand():
    drawn = np.random.default_rng(0).choice(2, size=400, p=[0.3, 0.7]).tolist()
    assert miscalibration(drawn, [0.3, 0.7]) < 0.08 and divergence(drawn, [0.3, 0.7]) < 0.01
    argmax = [1] * 400
    assert miscalibration(argmax, [0.3, 0.7]) == pytest.approx(0.3) and divergence(argmax, [0.3, 0.7]) > 0.3
    assert miscalibration([0, 1], [0.5, 0.5]) == 0


def test_an_opened_room_stays():
    drawn = np.random.default_rng(0).choice(2, size=100, p=[0.3, 0.7]).tolist()
    assert stays([1] * 20) == 1 and stays(drawn) < 0.95 and math.isnan(stays([0]))


def test_outcomes_that_are_the_same_are_refused():
    with pytest.raises(ValueError, match="outcomes: expected at least two"):
        shown_outcome(torch.zeros(4, 4, 3), torch.zeros(2, 4, 4, 3))
