"""Pairs that cannot be measured are told apart, and nothing is reconstructed from them."""

from dataclasses import replace

import pytest
import torch

from recon import View
from recon.stereo import stereo_depth
from recon.stereo_checks import check_pair
from render.camera import Camera
from render.images import read_image


@pytest.fixture(scope="module")
def good(plane_view):
    """Two slanted surfaces of fine texture, 2 to 6 pixels of disparity."""
    planes = [((0.3, 0.15, 1.0), 2.4), ((-0.5, 0.1, 1.0), 3.0)]
    return plane_view(planes, width=200, height=150, focal=120.0, baseline=0.2, shortest=0.06)


def spoilt(view, how):
    if how == "no texture":
        return replace(view, image=torch.full_like(view.image, 0.5), right=torch.full_like(view.image, 0.5))
    if how == "identical":
        return replace(view, right=view.image)
    if how == "zero baseline":
        return replace(view, baseline=0.0)
    if how == "swapped":
        return replace(view, image=view.right, right=view.image)
    if how == "not rectified":
        return replace(view, right=view.right.roll(4, 0))
    generator = torch.Generator().manual_seed(1)
    return replace(view, right=torch.rand(view.image.shape, generator=generator))


CASES = ["no texture", "identical", "zero baseline", "swapped", "not rectified", "unrelated"]


def test_a_good_pair_is_good(good):
    status = check_pair(good)
    assert status.ok and status.reason == ""
    assert status.numbers["matched"] > 0.5
    assert status.numbers["on_wrong_side"] < 0.1
    assert status.numbers["off_row"] < 0.2
    depth, _ = stereo_depth([good])
    assert (depth > 0).float().mean() > 0.8


@pytest.mark.parametrize("how", CASES)
def test_what_is_wrong_is_said_and_nothing_is_measured(good, how):
    view = spoilt(good, how)
    status = check_pair(view)
    assert not status.ok
    assert how in status.reason
    depth, confidence = stereo_depth([view])
    assert (depth > 0).sum() == 0
    assert (confidence > 0).sum() == 0


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite(good, value):
    right = good.right.clone()
    right[3, 4, 1] = value
    status = check_pair(replace(good, right=right))
    assert not status.ok and "View.right has 1 NaN" in status.reason


def test_other_views_that_are_no_pair(good):
    assert "no right eye" in check_pair(replace(good, right=None, baseline=None)).reason
    assert "swapped" in check_pair(replace(good, baseline=-0.2)).reason


def real_view(folder, left, right):
    images = [read_image(folder / name) for name in (left, right)]
    height, width = images[0].shape[:2]
    K = torch.tensor([[1000.0, 0, width / 2], [0, 1000.0, height / 2], [0, 0, 1]])
    return View(images[0], Camera(K, torch.eye(4), width, height), right=images[1], baseline=0.2)


@pytest.mark.parametrize(
    ("name", "left", "right"),
    [("motorcycle_q", "im0.png", "im1.png"), ("tsukuba", "imL.png", "imR.png"), ("cones", "imL.png", "imR.png")],
)
def test_real_pairs_and_their_controls(shared_data, name, left, right):
    view = real_view(shared_data(f"stereo_gt/{name}"), left, right)
    assert check_pair(view).ok
    for how in ("identical", "swapped", "not rectified"):
        status = check_pair(spoilt(view, how))
        assert not status.ok and how in status.reason, status
    depth, _ = stereo_depth([spoilt(view, "swapped")])
    assert (depth > 0).sum() == 0


def test_a_real_pair_as_the_cameras_saw_it(shared_data):
    view = real_view(shared_data("stereo_gt/utbm_bb2_unrectified_noGT"), "left/frame_1.jpg", "right/frame_1.jpg")
    status = check_pair(view)
    assert not status.ok and "not rectified" in status.reason
