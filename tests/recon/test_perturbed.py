"""Depth made worse on purpose: by how much, and the same every time."""

from dataclasses import replace

import pytest
import torch

from recon import View, depth_source
from recon.depth_sources import reads_truth
from recon.view import DepthContext
from render import Camera


@pytest.fixture
def view():
    camera = Camera.from_fov(160, 120, 70.0)
    generator = torch.Generator().manual_seed(0)
    depth = 1 + 3 * torch.rand(120, 160, generator=generator)
    depth[:10] = 0
    return View(torch.rand(120, 160, 3, generator=generator), camera, depth=depth)


@pytest.mark.parametrize("sigma", [0.01, 0.05, 0.2])
def test_noise_has_the_size_that_was_asked_for(view, sigma):
    depth, confidence = depth_source(f"noisy({sigma})")([view])
    measured = view.depth > 0
    error = depth[measured] / view.depth[measured] - 1
    assert error.std() == pytest.approx(sigma, rel=0.03) and abs(error.mean()) < sigma / 20
    assert not depth[~measured].any() and not confidence[~measured].any()
    assert torch.allclose(confidence[measured], torch.tensor(1 / (1 + sigma)))


def test_noise_is_the_same_for_the_same_view_and_another_for_another(view):
    source = depth_source("noisy(0.05)")
    once = source([view])[0]
    assert torch.equal(once, source([view, view])[0])
    moved = replace(view, camera=view.camera.moved_right(0.01))
    error, other = once / view.depth - 1, source([moved])[0] / view.depth - 1
    seen = view.depth > 0
    assert abs(torch.corrcoef(torch.stack([error[seen], other[seen]]))[0, 1]) < 0.05


def test_scaled_depth_is_wrong_by_its_factor(view):
    depth, confidence = depth_source("scaled(0.8)")([view])
    assert torch.allclose(depth, 0.8 * view.depth)
    assert torch.equal(confidence, (view.depth > 0).float())


def test_a_constant_plane_looks_at_nothing(view):
    blind = replace(view, depth=torch.full_like(view.depth, torch.nan))
    depth, confidence = depth_source("constant(2)")([blind])
    assert (depth == 2).all() and (confidence == 1).all() and not reads_truth("constant(2)")


@pytest.mark.parametrize("share", [0.1, 0.3, 0.8])
def test_holes_are_blocks_of_the_share_that_was_asked_for(view, share):
    depth, confidence = depth_source(f"holes({share})")([view])
    whole = view.depth > 0
    blind = whole & (depth == 0)
    assert float(blind[10:].float().mean()) == pytest.approx(share, abs=0.04)
    assert torch.equal(depth[~blind], view.depth[~blind]) and not confidence[blind].any()
    inside = blind[15:, 20:].reshape(7, 15, 7, 20).float().mean((1, 3))
    assert bool(((inside == 0) | (inside == 1)).all())  # no speckles
    assert torch.equal(depth, depth_source(f"holes({share})")([view])[0])


def test_late_depth_is_that_of_an_earlier_view(view):
    views = [replace(view, depth=torch.full_like(view.depth, float(i + 1))) for i in range(4)]
    assert (depth_source("late(2)")(views)[0] == 2).all() and (depth_source("late(1)")(views)[0] == 3).all()
    assert (depth_source("late(3)")(views[:2])[0] == 1).all()  # no more is known yet
    assert (depth_source("late(2)")(views[3:], DepthContext(tuple(views[:3])))[0] == 2).all()


def test_in_a_rollout_late_depth_keeps_its_distance(view):
    from hybridwm.measure import Measure

    measure, earlier = Measure("late(2)"), ()
    cameras = [view.camera.moved_right(0.1 * i) for i in range(6)]
    for i, camera in enumerate(cameras):
        seen, earlier = measure(
            replace(view, camera=camera), earlier, lambda at: torch.full((120, 160), 1 + float(at.center[0]))
        )
        assert seen.depth.mean() == pytest.approx(1 + 0.1 * max(0, i - 2), abs=1e-4)


def test_which_sources_may_look_at_the_truth():
    assert all(reads_truth(name) for name in ("truth", "noisy(0.1)", "holes(0.3)", "late(2)", "shuffled"))
    assert not any(reads_truth(name) for name in ("stereo", "multiview", "constant(1)"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("noisy(0)", "relative error above 0"),
        ("noisy(1.5)", "got 1.5"),
        ("scaled(-1)", "factor above 0"),
        ("constant(0)", "metres above 0"),
        ("holes(1)", "share of the image"),
        ("late(0)", "whole number of views"),
        ("late(1.5)", "got 1.5"),
        ("noisy", "noisy\\(NUMBER\\)"),
        ("noisy(nan)", "NUMBER"),
        ("noisy(1e)", "NUMBER"),
        ("stereo(2)", "NUMBER"),
    ],
)
def test_names_that_mean_nothing_are_refused(name, message):
    with pytest.raises(ValueError, match=message):
        depth_source(name)


def test_without_depth_there_is_nothing_to_make_worse(view):
    for name in ("noisy(0.1)", "scaled(2)", "holes(0.5)", "late(1)", "shuffled"):
        with pytest.raises(ValueError, match="View.depth"):
            depth_source(name)([replace(view, depth=None)])
