"""PyTorch3D's conventions by hand; where it is installed, its own projection and its point renderer against ours."""

import sys
from dataclasses import fields, replace

import pytest
import torch

from render import Camera, Gaussians, rasterize, sh_from_rgb
from render.conventions import K_from_pytorch3d_ndc, pytorch3d_from_w2c, w2c_from_pytorch3d
from render.geometry import project
from render.rasterize_pytorch3d import (
    cameras_from_pytorch3d,
    cameras_to_pytorch3d,
    pytorch3d_problem,
    rasterize_pytorch3d,
)

installed = pytest.mark.skipif(pytorch3d_problem() is not None, reason="needs pytorch3d, which has no wheel")


@pytest.fixture
def pair(camera):
    return Camera.stack([camera, camera.moved_right(0.4)])


@pytest.fixture
def points():
    place = torch.rand(300, 3, generator=torch.Generator().manual_seed(0))
    return place * torch.tensor([3.0, 2.0, 3.0]) + torch.tensor([-1.5, -1.0, 1.5])


def ball(points, radius=0.05, opacity=0.95):
    """Round Gaussians with a colour for each."""
    n = len(points)
    colours = torch.rand(n, 3, generator=torch.Generator().manual_seed(1))
    unit = torch.tensor([[1.0, 0, 0, 0]]).repeat(n, 1)
    return Gaussians(
        points, unit, torch.full((n, 3), radius), torch.full((n,), opacity), sh_from_rgb(colours), colours[:, :2]
    )


def test_axes_and_row_vectors_by_hand(pair, points):
    R, T = pytorch3d_from_w2c(pair.w2c)
    ours = points @ pair.w2c[:, :3, :3].mT + pair.w2c[:, None, :3, 3]
    theirs = points @ R + T[:, None]
    assert torch.allclose(theirs, ours * torch.tensor([-1.0, -1.0, 1.0]), atol=1e-6)  # +x left, +y up
    assert torch.allclose(torch.linalg.det(R), torch.ones(2), atol=1e-6)
    assert torch.equal(w2c_from_pytorch3d(R, T), pair.w2c)


@pytest.mark.parametrize("size", [(70, 45), (45, 70)])
def test_normalised_units_by_hand(size, pair, points):
    width, height = size
    focal, principal = torch.tensor([[1.7, 1.9], [2.1, 1.5]]), torch.tensor([[0.2, -0.1], [-0.3, 0.4]])
    K = K_from_pytorch3d_ndc(focal, principal, width, height)
    R, T = pytorch3d_from_w2c(pair.w2c)
    x, y, z = (points @ R + T[:, None]).unbind(-1)
    left = focal[:, :1] * x / z + principal[:, :1]
    up = focal[:, 1:] * y / z + principal[:, 1:]
    expected = torch.stack([width / 2 - left * min(size) / 2, height / 2 - up * min(size) / 2], dim=-1)
    pixels, _ = project(points[None], Camera(K, pair.w2c, width, height))
    assert torch.allclose(pixels, expected, atol=1e-4)


def test_without_pytorch3d_the_error_names_its_install_page(pair, points, monkeypatch):
    monkeypatch.setitem(sys.modules, "pytorch3d", None)
    pytorch3d_problem.cache_clear()
    try:
        for use in (
            lambda: rasterize(ball(points), pair, backend="pytorch3d"),
            lambda: rasterize_pytorch3d(ball(points), pair),
            lambda: cameras_to_pytorch3d(pair),
        ):
            with pytest.raises(ImportError, match="no wheel: see https://github.com/facebookresearch/pytorch3d/"):
                use()
    finally:
        pytorch3d_problem.cache_clear()


@installed
def test_its_cameras_project_to_our_pixels_and_come_back(pair, points):
    theirs = cameras_to_pytorch3d(pair)
    pixels, depth = project(points[None], pair)
    assert (depth > 0.5).all()
    assert (theirs.transform_points_screen(points)[..., :2] - pixels).abs().max() < 1e-4
    back = cameras_from_pytorch3d(theirs)
    assert torch.equal(back.K, pair.K) and torch.equal(back.w2c, pair.w2c)
    assert (back.width, back.height) == (70, 45)


@installed
@pytest.mark.parametrize("size", [(70, 45), (45, 70)])
def test_its_normalised_cameras_become_ours(size, pair, points):
    from pytorch3d.renderer import FoVPerspectiveCameras, PerspectiveCameras

    width, height = size
    R, T = pytorch3d_from_w2c(pair.w2c)
    focal, principal = torch.tensor([[1.7, 1.9], [2.1, 1.5]]), torch.tensor([[0.2, -0.1], [-0.3, 0.4]])
    theirs = PerspectiveCameras(focal_length=focal, principal_point=principal, R=R, T=T)
    ours = cameras_from_pytorch3d(theirs, width, height)
    pixels, _ = project(points[None], ours)
    screen = theirs.transform_points_screen(points, image_size=[(height, width)] * 2)
    assert (screen[..., :2] - pixels).abs().max() < 1e-4
    with pytest.raises(ValueError, match="Pass width and height"):
        cameras_from_pytorch3d(theirs)
    with pytest.raises(ValueError, match="must be PyTorch3D's PerspectiveCameras; got FoVPerspectiveCameras"):
        cameras_from_pytorch3d(FoVPerspectiveCameras(R=R, T=T), width, height)


@installed
def test_its_own_converter_agrees(pair):
    from pytorch3d.utils import cameras_from_opencv_projection

    size = torch.tensor([[45, 70]] * 2)
    theirs = cameras_from_opencv_projection(pair.w2c[:, :3, :3], pair.w2c[:, :3, 3], pair.K, size)
    back = cameras_from_pytorch3d(theirs)
    assert torch.allclose(back.K, pair.K, atol=1e-4) and torch.equal(back.w2c, pair.w2c)


@installed
def test_a_round_splat_ahead_is_the_same_splat(camera):
    ahead = replace(camera, w2c=torch.eye(4))
    gaussians = ball(torch.tensor([[0.0, 0.0, 2.0]]), radius=0.1)
    square = replace(ahead, K=torch.tensor([[60.0, 0, 33.3], [0, 60.0, 21.1], [0, 0, 1]]))
    theirs, ours = (rasterize(gaussians, square, backend=backend) for backend in ("pytorch3d", "torch"))
    for name in ("rgb", "alpha", "depth", "features"):
        assert torch.allclose(getattr(theirs, name), getattr(ours, name), atol=1e-4), name


@installed
def test_a_point_cloud_has_our_depth_and_silhouette(pair, points):
    gaussians = ball(points)
    theirs, ours = (rasterize(gaussians, pair, backend=backend) for backend in ("pytorch3d", "torch"))
    ours_solid, theirs_solid = ours.alpha > 0.5, theirs.alpha > 0.5
    assert 0.1 < ours_solid.float().mean() < 0.9
    assert (ours_solid & theirs_solid).sum() / (ours_solid | theirs_solid).sum() > 0.93
    both = ours_solid & theirs_solid
    assert ((theirs.depth - ours.depth) / ours.depth)[both].abs().quantile(0.95) < 0.02
    assert (theirs.rgb - ours.rgb).abs().mean() < 0.02
    flipped = rasterize(gaussians, pair, backend="torch").alpha.flip(-1) > 0.5
    assert (flipped & theirs_solid).sum() / (flipped | theirs_solid).sum() < 0.8  # the bound can fail


@installed
def test_its_gradients_are_finite_and_its_colours_gradients_ours(pair, points):
    found = {}
    for backend in ("pytorch3d", "torch"):
        gaussians = ball(points)
        leaves = {field.name: getattr(gaussians, field.name).clone().requires_grad_() for field in fields(gaussians)}
        K, w2c = pair.K.clone().requires_grad_(), pair.w2c.clone().requires_grad_()
        output = rasterize(Gaussians(**leaves), Camera(K, w2c, 70, 45), backend=backend)
        (output.rgb.square().sum() + output.depth.sum()).backward()
        found[backend] = {**{name: leaf.grad for name, leaf in leaves.items()}, "K": K.grad, "w2c": w2c.grad}
    theirs, ours = found["pytorch3d"], found["torch"]
    for name in ("means", "scales", "opacities", "sh", "K", "w2c"):
        assert theirs[name].isfinite().all() and theirs[name].any(), name
    for name in ("sh", "means", "opacities"):
        alike = torch.nn.functional.cosine_similarity(theirs[name].flatten(), ours[name].flatten(), dim=0)
        assert alike > 0.9, name


@installed
def test_what_is_not_before_the_camera_is_not_drawn(pair, points):
    behind = rasterize(ball(points - torch.tensor([0, 0, 9.0])), pair, backend="pytorch3d")
    assert not behind.alpha.any() and behind.features.shape == (2, 45, 70, 2)
    nothing = rasterize(Gaussians.empty(2), pair, backend="pytorch3d")
    assert nothing.rgb.shape == (2, 45, 70, 3) and not nothing.rgb.any() and nothing.features is None
    point = rasterize(ball(points[:1], radius=0.0), pair, backend="pytorch3d")
    assert point.alpha.amax(dim=(1, 2)).min() > 0.1


@installed
def test_what_it_cannot_take_is_refused(pair, points):
    with pytest.raises(ValueError, match="needs float32"):
        rasterize(ball(points).to(torch.float64), pair.to(torch.float64), backend="pytorch3d")
    gaussians = ball(points)
    gaussians.means[3] = float("inf")
    with pytest.raises(ValueError, match="Gaussians.means must be finite .*Gaussian 3"):
        rasterize(gaussians, pair, backend="pytorch3d")
    with pytest.raises(ValueError, match="one batch axis"):
        cameras_to_pytorch3d(pair[0])
