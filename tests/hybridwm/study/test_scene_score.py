"""A scene made of true depth is true; one that is a tenth too far, half missing or empty is not."""

import math
import time

import pytest
import torch

from hybridwm.study.scene_score import near, score_scene
from hybridwm.study.trajectories import random_walk
from recon import reconstruct


@pytest.fixture(scope="module")
def walk():
    return random_walk(9_000_202, 10)


@pytest.fixture(scope="module")
def truth(walk):
    return [view.camera for view in walk.views], torch.stack([view.depth for view in walk.views])


@pytest.fixture(scope="module")
def scene(walk):
    return reconstruct(walk.views, depth="truth")


def test_true_depth_makes_a_true_scene(scene, truth):
    score = score_scene(scene, *truth)
    assert score.depth_error < 0.01 and score.coverage > 0.97 and score.f_score > 0.9
    assert score == score_scene(scene, *truth)


def test_too_far_is_seen_in_depth_and_f_score(walk, truth):
    far = score_scene(reconstruct(walk.views[:1], depth="scaled(1.1)"), truth[0][:1], truth[1][:1])
    assert far.depth_error == pytest.approx(0.1, abs=0.02) and far.f_score < 0.3


def test_what_is_missing_is_seen_in_coverage_and_recall(scene, truth):
    half = scene[scene.gaussians.means[:, 0] > scene.gaussians.means[:, 0].median()]
    score, whole = score_scene(half, *truth), score_scene(scene, *truth)
    assert score.coverage < 0.9 * whole.coverage and score.f_score < whole.f_score - 0.05
    empty = score_scene(scene[:0], *truth)
    assert math.isnan(empty.depth_error) and empty.coverage == empty.f_score == 0


def test_a_scene_takes_less_than_three_tenths_of_a_second(scene, truth):
    score_scene(scene, *truth)
    start = time.process_time()
    score_scene(scene, *truth)
    assert time.process_time() - start < 0.6  # .15 s alone on a core


def test_neighbours_are_those_of_all_pairs():
    generator = torch.Generator().manual_seed(0)
    a, b = torch.rand(400, 3, generator=generator), torch.rand(900, 3, generator=generator)
    assert torch.equal(near(a, b), torch.cdist(a, b).amin(1) <= 0.05)
    assert 0.1 < float(near(a, b).float().mean()) < 0.9
    assert len(near(a, b, most=50)) == 50 and not near(a, b[:0]).any()


def test_it_says_what_does_not_fit(scene, truth):
    with pytest.raises(ValueError, match="a camera for each depth"):
        score_scene(scene, truth[0][:2], truth[1])
