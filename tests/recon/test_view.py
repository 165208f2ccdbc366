from dataclasses import replace

import pytest
import torch

from recon.depth_sources import DEPTH_SOURCES, depth_source
from recon.truth import truth_depth
from recon.view import View, resize_view
from render.camera import Camera


def test_wrong_shapes_are_refused_by_name(plane_view, unchecked):
    view = plane_view()
    for name, value in (
        ("image", torch.zeros(64, 48, 3)),
        ("depth", torch.zeros(48, 63)),
        ("confidence", torch.zeros(1, 48, 64)),
        ("right", torch.zeros(48, 32, 3)),
    ):
        with pytest.raises(ValueError, match=f"View.{name} must be .* 64 wide and 48 high"):
            replace(view, **{name: value})


def test_bytes_and_arrays_are_refused(plane_view, unchecked):
    view = plane_view()
    with pytest.raises(TypeError, match="floating point"):
        replace(view, image=(view.image * 255).byte())
    with pytest.raises(TypeError, match="torch.Tensor"):
        replace(view, depth=view.depth.numpy())


def test_batched_camera_is_refused(plane_view, unchecked):
    view = plane_view()
    with pytest.raises(ValueError, match="one camera"):
        replace(view, camera=Camera.stack([view.camera, view.camera]))


def test_right_eye_needs_a_baseline(plane_view):
    with pytest.raises(ValueError, match="baseline"):
        replace(plane_view(), baseline=None)


def test_right_camera_lies_on_the_right(plane_view):
    view = replace(plane_view(), disparity_offset=2.0)
    right = view.right_camera()
    assert torch.allclose(right.center - view.camera.center, torch.tensor([0.3, 0, 0]))
    assert right.K[0, 2] - view.camera.K[0, 2] == 2


def test_unknown_depth_source_lists_the_names():
    with pytest.raises(ValueError, match=f"{', '.join(DEPTH_SOURCES)}, noisy.*; got 'lidar'"):
        depth_source("lidar")


@pytest.mark.parametrize("name", DEPTH_SOURCES)
def test_no_views_is_an_error(name):
    with pytest.raises(ValueError, match="at least one view"):
        depth_source(name)([], None)


def test_truth_gives_the_depth_and_trusts_what_was_measured(plane_view):
    view = plane_view()
    depth = view.depth.clone()
    depth[3:9] = 0
    measured, confidence = truth_depth([replace(view, depth=depth)])
    assert torch.equal(measured, depth)
    assert torch.equal(confidence, (depth > 0).float())


@pytest.mark.parametrize(
    ("value", "found"), [(float("nan"), "2 NaN"), (-1.0, "2 negative"), (float("inf"), "2 infinite")]
)
def test_truth_counts_what_is_wrong(plane_view, value, found):
    view = plane_view()
    depth = view.depth.clone()
    depth[0, :2] = value
    with pytest.raises(ValueError, match=f"{found} of 3072 pixels.*to 0"):
        truth_depth([replace(view, depth=depth)])


def test_truth_without_depth_says_what_to_do(plane_view):
    with pytest.raises(ValueError, match="View.depth; got None"):
        truth_depth([replace(plane_view(), depth=None)])


def test_an_integer_baseline_is_a_number(plane_view):
    view = plane_view()
    assert View(view.image, view.camera, right=view.right, baseline=1).baseline == 1


def test_a_resized_view_sees_the_same(plane_view):
    """Depth at the same directions, and the shift between the eyes in proportion to the width."""
    view = replace(plane_view(width=64, height=48), disparity_offset=2.0)
    half = resize_view(view, 32, 24)
    assert half.image.shape == half.right.shape == (24, 32, 3) and half.depth.shape == (24, 32)
    assert half.disparity_offset == 1.0 and half.baseline == view.baseline
    near = plane_view(width=64, height=48)
    _, rays = half.camera.rays()
    # The plane (0.3, 0.15, 1) . x = 2.4, met at the new pixels' own directions; a pixel's width of tilt remains.
    expected = 2.4 / (rays @ torch.tensor([0.3, 0.15, 1.0]))
    assert ((half.depth - expected).abs() / expected).max() < 0.02
    assert torch.allclose(half.image.mean(dim=(0, 1)), near.image.mean(dim=(0, 1)), atol=0.01)
    with pytest.raises(ValueError, match="at least 1"):
        resize_view(view, 0, 5)
