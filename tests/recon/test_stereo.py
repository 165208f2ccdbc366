from dataclasses import replace

import pytest
import torch

from recon.stereo import default_max_disparity, match, stereo_depth

SLANTS = [((0.0, 0.0, 1.0), 2.0), ((0.4, 0.1, 1.0), 2.4), ((-0.3, 0.5, 1.0), 3.0), ((0.1, -0.6, 1.0), 1.6)]


@pytest.mark.parametrize("plane", SLANTS)
def test_small_pairs_are_measured_to_a_third_of_a_pixel(plane_view, plane):
    view = plane_view([plane])
    depth, confidence = stereo_depth([view])
    true = 40 * 0.3 / view.depth
    columns = torch.arange(view.width) + 0.5
    visible = columns - true > 0
    measured = (depth > 0) & visible
    error = (40 * 0.3 / depth - true).abs()[measured]
    assert measured.sum() > 0.85 * visible.sum()
    assert error.median() <= 0.1
    assert error.quantile(0.9) <= 0.3
    assert confidence[measured].median() > 0.7
    assert ((depth == 0) == (confidence == 0)).all()


def test_medium_pairs(plane_view):
    view = plane_view([((0.2, 0.3, 1.0), 2.2)], width=200, height=120, focal=130.0)
    depth, confidence = stereo_depth([view])
    trusted = confidence > 0.3
    assert trusted.float().mean() > 0.75
    assert ((depth - view.depth).abs() / view.depth)[trusted].median() < 0.02


def test_columns_outside_the_right_image_are_not_trusted(plane_view):
    view = plane_view([((0.0, 0.0, 1.0), 1.0)])
    _, confidence = stereo_depth([view])
    assert (confidence[:, :11] == 0).all()
    assert (confidence[:, 14:] > 0.3).float().mean() > 0.95


def test_disparity_offset_is_added(plane_view):
    view = plane_view()
    plain, confidence = stereo_depth([view])
    shifted, _ = stereo_depth([replace(view, disparity_offset=5.0)])
    both = (plain > 0) & (shifted > 0)
    assert torch.allclose(12 / shifted[both], 12 / plain[both] + 5, atol=1e-3)


def test_true_depth_is_never_read(plane_view):
    view = plane_view()
    blinded = replace(view, depth=torch.full_like(view.depth, torch.nan))
    for a, b in zip(stereo_depth([view]), stereo_depth([blinded]), strict=True):
        assert torch.equal(a, b)


def test_swapped_eyes_are_not_believed(plane_view):
    view = plane_view()
    _, confidence = stereo_depth([replace(view, image=view.right, right=view.image)])
    assert (confidence > 0.3).float().mean() < 0.15


@pytest.mark.parametrize("case", ["no texture", "identical", "zero baseline", "noise"])
def test_degenerate_pairs_measure_nothing(plane_view, case):
    view = plane_view()
    generator = torch.Generator().manual_seed(1)
    if case == "no texture":
        view = replace(view, image=torch.full_like(view.image, 0.5), right=torch.full_like(view.image, 0.5))
    elif case == "identical":
        view = replace(view, right=view.image)
    elif case == "zero baseline":
        view = replace(view, right=view.image, baseline=0.0)
    else:
        view = replace(
            view,
            image=torch.rand(view.image.shape, generator=generator),
            right=torch.rand(view.image.shape, generator=generator),
        )
    depth, confidence = stereo_depth([view])
    assert torch.isfinite(depth).all()
    assert (confidence > 0.3).float().mean() < (0.1 if case == "noise" else 1e-6)


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (9, 16), (64, 2)])
def test_tiny_images_do_not_fail(plane_view, size):
    view = plane_view(width=size[0], height=size[1], focal=20.0)
    depth, confidence = stereo_depth([view])
    assert depth.shape == confidence.shape == (size[1], size[0])
    assert torch.isfinite(depth).all()


def test_what_stereo_needs_is_said(plane_view):
    view = plane_view()
    with pytest.raises(ValueError, match="needs View.right"):
        stereo_depth([replace(view, right=None)])
    with pytest.raises(ValueError, match="swapped"):
        stereo_depth([replace(view, baseline=-0.3)])
    image = view.image.clone()
    image[0, 0, 0] = torch.nan
    with pytest.raises(ValueError, match="View.image must be finite; got 1"):
        stereo_depth([replace(view, image=image)])
    with pytest.raises(ValueError, match="equal sizes; got left 64x48"):
        match(view.image.numpy(), view.image.numpy()[:, :60])


def test_search_range_grows_with_the_image():
    assert [default_max_disparity(width) for width in (64, 128, 741, 1242)] == [32, 64, 124, 207]
