"""The sweep's kernels against plain formulas."""

import numpy as np
import pytest

from recon.sweep import GREYS, LEAST_VARIANCE, UNSEEN, WORST, Sources, sweep, whole_greys
from recon.sweep_aggregation import aggregate, winner
from recon.upsampling import upsample

IDENTITY = np.eye(3)


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def correlation_cost(a, b, y, x, radius):
    window = np.s_[max(y - radius, 0) : y + radius + 1, max(x - radius, 0) : x + radius + 1]
    a, b = a[window].astype(float) / GREYS, b[window].astype(float) / GREYS
    covariance = (a * b).mean() - a.mean() * b.mean()
    zncc = covariance / np.sqrt((a.var() + LEAST_VARIANCE) * (b.var() + LEAST_VARIANCE))
    return WORST * min(max(1 - zncc, 0), 1)


def sources(*images, shift=(0.0, 0.0, 0.0)):
    count = len(images)
    return Sources(
        np.concatenate([image.ravel() for image in images]),
        np.array([image.shape for image in images], np.int32),
        np.repeat(IDENTITY[None], count, 0),
        np.repeat(np.array(shift)[None], count, 0),
    )


@pytest.mark.parametrize(("radius", "contrast"), [(1, 1.0), (2, 1.0), (4, 0.01)])
def test_costs_are_those_of_correlated_windows(rng, radius, contrast):
    a, b = (whole_greys((0.9 + contrast * (rng.random((13, 17)) - 0.5) * 0.2).astype(np.float32)) for _ in range(2))
    costs = sweep(a, sources(b), np.array([0.0, 0.5]), radius, 1.0)
    assert costs.shape == (13, 17, 2)
    for y in range(13):
        for x in range(17):
            assert costs[y, x, 0] == pytest.approx(correlation_cost(a, b, y, x, radius), abs=1.5)


def test_a_shifted_image_matches_on_its_plane_and_is_unseen_beyond_the_border(rng):
    wide = whole_greys(rng.random((20, 40)).astype(np.float32))
    a, b = wide[:, 5:35].copy(), wide[:, 2:32].copy()  # b(x + 3) = a(x)
    costs = sweep(a, sources(b, shift=(6.0, 0, 0)), np.array([0.0, 0.25, 0.5, 0.75]), 2, 1.0)
    assert (costs[:, 4:24].argmin(-1) == 2).all()
    assert (costs[:, 4:24, 2] <= 1).all()
    assert (costs[:, -3:, 2] == UNSEEN).all() and (costs[:, :-3, 2] != UNSEEN).all()


def test_only_the_better_share_of_the_sources_counts(rng):
    a, other, third = (whole_greys(rng.random((12, 12)).astype(np.float32)) for _ in range(3))
    plane = np.array([0.0])
    assert sweep(a, sources(a, other, third), plane, 2, 0.3).max() == 0
    each = [sweep(a, sources(one), plane, 2, 1.0).astype(int) for one in (other, third)]
    both = sweep(a, sources(other, third), plane, 2, 1.0)
    assert np.abs(both - (each[0] + each[1]) / 2).max() <= 1
    assert np.array_equal(sweep(a, sources(other, third), plane, 2, 0.5), np.minimum(*each))


def test_aggregation_carries_depth_over_what_says_nothing_and_stops_at_edges(rng):
    volume = np.full((20, 30, 12), 100, np.uint8)
    volume[:, :6, 4] = 0
    volume[:, 24:, 9] = 0
    grey = np.full((20, 30), 0.2, np.float32)
    grey[:, 15:] = 0.9
    plane, cost, margin = winner(aggregate(volume, grey), volume)
    assert (np.abs(plane[:, :15] - 4) < 0.5).all() and (np.abs(plane[:, 15:] - 9) < 0.5).all()
    assert (cost[:, :6] == 0).all() and (cost[:, 10:20] == 0.5).all()
    assert (margin > 0).all()


def test_between_planes_the_vertex_of_a_parabola_wins():
    truth = 5.3
    volume = np.rint(np.minimum(3 * (np.arange(12) - truth) ** 2 + 10, 200)).astype(np.uint8)
    volume = np.tile(volume, (9, 9, 1))
    plane, _, _ = winner(aggregate(volume, np.full((9, 9), 0.5, np.float32)), volume)
    assert np.abs(plane - truth).max() < 0.15


def test_a_reward_decides_where_costs_do_not():
    volume = np.full((8, 8, 10), 80, np.uint8)
    reward = np.zeros((8, 8, 10), np.float32)
    reward[..., 7] = 50
    plane, _, _ = winner(aggregate(volume, np.full((8, 8), 0.5, np.float32), reward), volume)
    assert np.allclose(plane, 7, atol=0.5)


def test_upsampling_follows_the_colours_and_invents_no_depth_between_two_surfaces():
    import torch

    depth = np.full((10, 12), 1.0, np.float32)
    depth[:, 6:] = 3.0
    depth[:2] = 0
    image = torch.zeros(40, 48, 3)
    image[:, 22:] = 1.0  # the edge lies half a small pixel before that of the depth
    full, sure = upsample(depth, np.full_like(depth, 0.8), image)
    assert full.shape == (40, 48)
    known = full[12:]
    assert ((np.abs(known - 1) < 1e-3) | (np.abs(known - 3) < 1e-3)).all()
    assert (known[:, :20] == 1).all() and (known[:, 26:] == 3).all()
    assert not full[:4].any() and not sure[:4].any()
    assert sure[12:] == pytest.approx(0.8, abs=1e-3)
