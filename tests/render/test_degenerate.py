"""Inputs at the edge of sense: each backend renders them right, with finite gradients, or says what is wrong."""

from dataclasses import replace

import pytest
import torch

from render import Camera, Gaussians, RenderOutput, rasterize, sh_from_rgb

BACKENDS = ["torch", "cpu"]
pytestmark = pytest.mark.parametrize("backend", BACKENDS)


def splats(*means, scale=0.1, opacity=0.8, quat=(1.0, 0.0, 0.0, 0.0)):
    n = len(means)
    return Gaussians(
        torch.tensor(means).reshape(n, 3),
        torch.tensor([quat]).expand(n, 4).clone(),
        torch.full((n, 3), scale),
        torch.full((n,), opacity),
        sh_from_rgb(torch.tensor([[0.9, 0.5, 0.2]]).expand(n, 3)).clone(),
    )


def looking_ahead(width=31, height=21):
    """fx = fy = 20, off-centre; the point (0, 0, 2) falls on the centre of pixel (12, 9)."""
    K = torch.tensor([[20.0, 0.0, 12.5], [0.0, 20.0, 9.5], [0.0, 0.0, 1.0]])
    return Camera(K, torch.eye(4), width, height)


def finite_gradients(gaussians, camera, backend):
    names = ("means", "quats", "scales", "opacities", "sh")
    leaves = [getattr(gaussians, name).clone().requires_grad_() for name in names]
    w2c = camera.w2c.clone().requires_grad_()
    output = rasterize(Gaussians(*leaves), replace(camera, w2c=w2c), backend=backend)
    (output.rgb.sum() + output.depth.sum() + output.alpha.sum()).backward()
    assert all(leaf.grad.isfinite().all() for leaf in [*leaves, w2c])
    images = RenderOutput(output.rgb.detach(), output.alpha.detach(), output.depth.detach())
    return images, {name: leaf.grad for name, leaf in zip(names, leaves, strict=True)}


def test_an_empty_scene_is_black(backend):
    output, gradients = finite_gradients(splats(), looking_ahead(), backend)
    assert output.rgb.shape == (21, 31, 3) and not output.rgb.any() and not output.alpha.any()
    assert gradients["means"].shape == (0, 3)


def test_one_splat_lies_where_it_should(backend):
    output, _ = finite_gradients(splats([0.0, 0.0, 2.0]), looking_ahead(), backend)
    assert output.alpha.argmax() == 9 * 31 + 12
    assert output.alpha[9, 12] == pytest.approx(0.8, abs=1e-6)
    assert output.depth[9, 12] == pytest.approx(2.0, abs=1e-5)
    assert torch.allclose(output.rgb[9, 12], 0.8 * torch.tensor([0.9, 0.5, 0.2]), atol=1e-5)


def test_splats_behind_the_camera_do_not_show(backend):
    output, gradients = finite_gradients(splats([0.0, 0.0, -2.0], [0.1, 0.0, 0.0]), looking_ahead(), backend)
    assert not output.alpha.any() and not gradients["means"].any()


def test_splats_astride_the_near_plane_go_by_their_centre(backend):
    """0.01 m: one ball with its centre before it and one behind it, both reaching across."""
    before, _ = finite_gradients(splats([0.0, 0.0, 0.0101], scale=0.05), looking_ahead(), backend)
    behind, gradients = finite_gradients(splats([0.0, 0.0, 0.0099], scale=0.05), looking_ahead(), backend)
    assert before.alpha.min() > 0.5 and not behind.alpha.any() and not gradients["scales"].any()


def test_a_point_is_drawn_as_the_dilation_alone(backend):
    output, _ = finite_gradients(splats([0.0, 0.0, 2.0], scale=0.0), looking_ahead(), backend)
    beside = 0.8 * torch.tensor(-0.5 / 0.3).exp()
    assert output.alpha[9, 12] == pytest.approx(0.8, abs=1e-6)
    for v, u in ((9, 11), (9, 13), (8, 12), (10, 12)):
        assert output.alpha[v, u] == pytest.approx(beside.item(), abs=1e-5)


def test_a_flat_splat_seen_edge_on_is_a_line(backend):
    gaussians = replace(splats([0.0, 0.0, 2.0]), scales=torch.tensor([[0.0, 0.3, 0.3]]))
    output, _ = finite_gradients(gaussians, looking_ahead(), backend)
    assert output.alpha[4, 12] > 0.2 and output.alpha[9, 15] == 0


@pytest.mark.parametrize("length", [1e-3, 0.5, 7.0, 1e4])
def test_quaternions_of_any_length_turn_alike(backend, length):
    unit = torch.nn.functional.normalize(torch.tensor([0.9, 0.2, -0.3, 0.4]), dim=0)
    scales = torch.tensor([[0.3, 0.05, 0.1]])
    gaussians = replace(splats([0.0, 0.0, 2.0]), scales=scales, quats=unit[None])
    exact = rasterize(gaussians, looking_ahead(), backend=backend)
    output, gradients = finite_gradients(replace(gaussians, quats=length * unit[None]), looking_ahead(), backend)
    assert torch.allclose(output.rgb, exact.rgb, atol=1e-5)
    # A longer quaternion turns the same way, so nothing pulls along it, and the pull across it is as much weaker.
    assert abs(gradients["quats"][0] @ unit) < 1e-3 * gradients["quats"].norm()


def test_a_zero_quaternion_is_no_rotation(backend):
    gaussians = replace(splats([0.0, 0.0, 2.0]), scales=torch.tensor([[0.3, 0.05, 0.1]]))
    same = rasterize(gaussians, looking_ahead(), backend=backend)
    zero, _ = finite_gradients(replace(gaussians, quats=torch.zeros(1, 4)), looking_ahead(), backend)
    assert torch.allclose(zero.rgb, same.rgb, atol=1e-6)


def test_opacities_0_and_1(backend):
    clear, gradients = finite_gradients(splats([0.0, 0.0, 2.0], opacity=0.0), looking_ahead(), backend)
    assert not clear.alpha.any() and not gradients["opacities"].any()
    solid, _ = finite_gradients(splats([0.0, 0.0, 2.0], [0.0, 0.0, 3.0], opacity=1.0), looking_ahead(), backend)
    assert solid.alpha[9, 12] == pytest.approx(0.999, abs=1e-6)  # capped, and the second would end the pixel
    assert solid.depth[9, 12] == pytest.approx(2.0, abs=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (65, 1), (64, 16), (63, 17)])
def test_images_of_any_size(backend, size):
    K = torch.tensor([[40.0, 0.0, size[0] / 3], [0.0, 40.0, size[1] / 2], [0.0, 0.0, 1.0]])
    camera = Camera(K, torch.eye(4), *size)
    output, _ = finite_gradients(splats([0.0, 0.0, 2.0], scale=4.0), camera, backend)
    assert output.rgb.shape == (size[1], size[0], 3) and output.alpha.min() > 0.5


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", ["means", "quats", "scales", "opacities", "sh", "features"])
def test_the_gaussian_that_is_not_finite_is_named(backend, name, bad):
    gaussians = replace(splats(*[[0.0, 0.0, 2.0]] * 11), features=torch.ones(11, 2))
    getattr(gaussians, name)[9] = bad
    with pytest.raises(ValueError, match=rf"Gaussians.{name} .*Gaussian 9"):
        rasterize(gaussians, looking_ahead(), backend=backend)


RAW = [("opacities", 2.2, "sigmoid"), ("opacities", -0.1, "sigmoid"), ("scales", -3.0, "exp")]


@pytest.mark.parametrize(("name", "value", "advice"), RAW)
def test_raw_parameters_are_recognised(backend, name, value, advice):
    gaussians = splats(*[[0.0, 0.0, 2.0]] * 3)
    getattr(gaussians, name)[2] = value
    with pytest.raises(ValueError, match=f"Gaussians.{name} .*Gaussian 2.*{advice}"):
        rasterize(gaussians, looking_ahead(), backend=backend)


@pytest.mark.parametrize("entry", [(0, 0, 0.0), (1, 1, -20.0), (0, 0, float("nan")), (0, 1, 3.0), (2, 2, 0.0)])
def test_intrinsics_that_are_no_pinhole_camera_are_refused(backend, entry):
    camera = looking_ahead()
    camera.K[entry[0], entry[1]] = entry[2]
    with pytest.raises(ValueError, match="Camera.K must"):
        rasterize(splats([0.0, 0.0, 2.0]), camera, backend=backend)


@pytest.mark.parametrize("entry", [(3, 3, 0.0), (3, 0, 1.0), (0, 3, float("inf"))])
def test_transforms_that_are_none_are_refused(backend, entry):
    camera = looking_ahead()
    camera.w2c[entry[0], entry[1]] = entry[2]
    with pytest.raises(ValueError, match="Camera.w2c must"):
        rasterize(splats([0.0, 0.0, 2.0]), camera, backend=backend)
