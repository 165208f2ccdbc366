"""The inverse-dynamics probe: right in rooms that it has not seen, told by motion alone, none for a frozen frame."""

import numpy as np
import pytest
import torch

from hybridwm.actions.walker import ACTIONS, action_vectors
from hybridwm.study.inverse_dynamics import fit_probe, index_of, motion, real_pairs, share_over_share
from hybridwm.study.trajectories import random_walk
from hybridwm.worlds.rooms.rig import RoomsRig

RIG = RoomsRig()
STAY = list(ACTIONS).index("stay")


@pytest.fixture(scope="module")
def pairs():
    return real_pairs(RIG, rooms=12)


@pytest.fixture(scope="module")
def probe(pairs):
    return fit_probe(*pairs)


@pytest.fixture(scope="module")
def walks():
    return [random_walk(9_000_100 + i, 33, RIG) for i in range(2)]


def told(walk):
    images = torch.stack([view.image for view in walk.views])
    actions = torch.cat([walk.start_actions, walk.actions])[: len(images) - 1]
    return images, index_of(actions)


def test_a_part_s_motion_is_told_in_its_direction():
    generator = torch.Generator().manual_seed(0)
    before = torch.rand(1, 64, 64, 3, generator=generator)
    after = before.roll(4, 2)  # two pixels of the small frame to the right: what was two to the left
    found = motion(before, after)[0].view(3, 8, 8)
    assert found[0, :, 1:].numpy() == pytest.approx(-2 / 8, abs=0.05)
    assert found[1, :, 1:].numpy() == pytest.approx(0, abs=0.05)
    assert float(found[2, :, 1:].max()) < 1e-3


def test_it_knows_actions_in_other_rooms_and_no_motion_for_none(probe, walks):
    right, still = [], []
    for walk in walks:
        images, actions = told(walk)
        right.append(probe.actions(motion(images[:-1], images[1:])) == actions)
        still.append(probe.actions(motion(images[:-1], images[:-1])))
    assert torch.cat(right).float().mean() > 0.8
    assert (torch.cat(still) == STAY).all()


def test_fitted_to_exchanged_actions_it_knows_nothing(pairs, walks):
    motions, actions = pairs
    wrong = fit_probe(motions, actions[torch.randperm(len(actions), generator=torch.Generator().manual_seed(1))])
    images, truth = told(walks[0])
    assert (wrong.actions(motion(images[:-1], images[1:])) == truth).float().mean() < 0.6


def test_fitting_is_a_function_of_the_pairs(pairs, probe):
    again = fit_probe(*pairs)
    assert torch.equal(again.actions(pairs[0]), probe.actions(pairs[0]))


def test_actions_by_index_and_shares():
    assert torch.equal(index_of(action_vectors()), torch.arange(9))
    counts = np.array([[1.0, 2, 1, 1], [3, 4, 2, 3]])
    assert share_over_share(counts) == pytest.approx((4 / 6) / (3 / 4))
