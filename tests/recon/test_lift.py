from dataclasses import replace

import pytest
import torch

from recon.lift import PIXEL_SIGMA, lift
from render.geometry import project
from render.rasterize import rasterize
from render.transforms import matrix_from_quats

SLANTED = (((0.5, 0.2, 1.0), 2.4),)


@pytest.fixture
def view(plane_view):
    view = plane_view(SLANTED, shortest=0.6)
    return replace(view, confidence=torch.ones_like(view.depth))


def test_each_pixel_gives_a_disc_on_the_surface(view):
    gaussians, confidence, direction, pixel = lift(view)
    assert len(gaussians) == view.depth.numel() and (confidence == 1).all()
    pixels, depth = project(gaussians.means, view.camera)
    assert torch.allclose(pixels, torch.stack([pixel % 64, pixel // 64], 1) + 0.5, atol=1e-3)
    assert torch.allclose(depth, view.depth.flatten()[pixel], rtol=1e-5)
    seen_along = torch.nn.functional.normalize(gaussians.means - view.camera.center, dim=1)
    assert torch.allclose(direction, seen_along, atol=1e-5)


def test_discs_lie_in_the_surface(view):
    gaussians = lift(view).gaussians
    thin = matrix_from_quats(gaussians.quats)[:, :, 2]
    assert (gaussians.scales.argmin(1) == 2).all()
    normal = torch.nn.functional.normalize(torch.tensor([0.5, 0.2, 1.0]), dim=0)
    assert ((thin @ normal).abs() > 0.999).float().mean() > 0.99
    middle = gaussians.scales.median(1).values
    assert torch.allclose(middle, PIXEL_SIGMA * view.depth.flatten() / 40, rtol=1e-4)


def test_the_same_camera_sees_the_same_image(view, psnr):
    output = rasterize(lift(view).gaussians, view.camera)
    inside = torch.zeros_like(view.depth, dtype=torch.bool)
    inside[1:-1, 1:-1] = True
    assert (output.alpha[inside] > 0.5).float().mean() > 0.99
    assert psnr(output.rgb, view.image, inside) > 28
    assert ((output.depth - view.depth).abs() / view.depth)[inside].median() < 0.01


def test_a_nearby_camera_sees_what_is_there(view, plane_view, psnr):
    w2c = torch.eye(4)
    w2c[:3, 3] = torch.tensor([-0.1, 0.05, -0.1])
    true = plane_view(SLANTED, w2c, shortest=0.6)
    output = rasterize(lift(view).gaussians, true.camera)
    known = output.alpha > 0.5
    assert known.float().mean() > 0.85
    assert psnr(output.rgb, true.image, known) > 23


def test_invalid_pixels_give_nothing(view):
    depth, confidence = view.depth.clone(), view.confidence.clone()
    depth[:10] = 0
    confidence[20:30] = 0.1
    pixel = lift(replace(view, depth=depth, confidence=confidence)).pixel
    rows = pixel // 64
    assert not ((rows < 10) | ((rows >= 20) & (rows < 30))).any()
    assert len(pixel) == 64 * (48 - 20)


def test_pixels_between_two_surfaces_are_left_out(view):
    depth = torch.full_like(view.depth, 1.0)
    depth[:, 32:] = 3.0
    depth[:, 31] = 2.0
    pixel = lift(replace(view, depth=depth)).pixel
    assert not (pixel % 64 == 31).any()
    assert len(pixel) == 48 * 63


def test_nan_depth_is_refused(view):
    depth = view.depth.clone()
    depth[0, 0] = torch.nan
    with pytest.raises(ValueError, match="1 NaN of 3072 pixels"):
        lift(replace(view, depth=depth))
    with pytest.raises(ValueError, match="View.depth; got None"):
        lift(replace(view, depth=None))


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (1, 7)])
def test_tiny_views(plane_view, size):
    view = plane_view(width=size[0], height=size[1], focal=20.0)
    gaussians = lift(view).gaussians
    assert len(gaussians) == size[0] * size[1]
    assert all(torch.isfinite(value).all() for value in (gaussians.means, gaussians.quats, gaussians.scales))
