"""The figures of scenes of rooms: points against surfaces, and a walk that repeats nothing."""

import pytest
import torch

from hybridwm.bench.recon_rooms import SOURCES, distinct, f_score, room, thinned


def test_points_near_the_surface_count_and_those_beside_it_do_not():
    sheet = torch.cartesian_prod(torch.arange(0, 1, 0.02), torch.arange(0, 1, 0.02), torch.zeros(1))
    assert f_score(sheet + torch.tensor([0.0, 0.0, 0.04]), sheet) == (1.0, 1.0, 1.0)
    assert f_score(sheet + torch.tensor([0.0, 0.0, 0.06]), sheet)[0] == 0.0
    half, precision, recall = f_score(sheet[sheet[:, 0] < 0.45], sheet)
    assert precision == 1.0 and recall == pytest.approx(0.5, abs=0.03) and half < 0.7
    assert f_score(sheet[:0], sheet) == (0.0, 0.0, 0.0)


def test_thinned_keeps_one_point_in_a_cube():
    assert len(thinned(torch.rand(5000, 3, generator=torch.Generator().manual_seed(0)), 0.5)) == 8


def test_a_walk_there_and_back_shows_each_place_once():
    path = torch.eye(4).repeat(7, 1, 1)
    path[:, 2, 3] = torch.tensor([0.0, 0.25, 0.5, 0.5, 0.25, 0.0, 0.75])
    assert torch.equal(distinct(path)[:, 2, 3], torch.tensor([0.0, 0.25, 0.5, 0.75]))


@pytest.fixture(scope="module")
def figures():
    return room(9_000_000, size=32, frames=20, refine_steps=10)


@pytest.mark.parametrize("source", SOURCES[1:])
def test_a_room_is_judged_by_every_source(figures, source):
    assert figures["truth precision"] > 0.95 and figures["truth scale error"] == 0.0
    assert 0 <= figures[f"{source} F-score ratio"] < 1


def test_refining_shows_views_kept_out_better(figures):
    assert figures["stereo refined held-out PSNR"] > figures["stereo held-out PSNR"] + 0.5
