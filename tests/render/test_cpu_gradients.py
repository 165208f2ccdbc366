"""The CPU kernels against the oracle in float64: images and the gradient of every input, the camera included."""

from functools import partial

import pytest
import torch

from render import Camera, rasterize
from render.rasterize_cpu import rasterize_cpu
from render.rasterize_torch import rasterize_torch

SCENES = range(20)


def make(seed, random_gaussians, camera):
    """Scene, cameras [1] and options: all SH degrees, feature counts that take no, one and more passes, small and
    large splats, one tile and several; W != H and cx != cy throughout."""
    count, features = 300 + 7 * seed, (None, 1, 2, 9)[seed // 4 % 4]
    gaussians = random_gaussians(
        seed, count, sh_degree=seed % 4, features=features, log_size=(-3.5, -3.0, -2.0)[seed % 3]
    )
    if seed % 2:
        camera = camera.resized(134, 52)
    cameras = Camera(camera.K[None], camera.w2c[None], camera.width, camera.height)
    return gaussians, cameras, {"antialiased": seed % 5 == 2}


@pytest.mark.parametrize("seed", SCENES)
def test_images_and_gradients_equal_the_oracle(seed, random_gaussians, camera, monkeypatch, oracle):
    gaussians, cameras, options = make(seed, random_gaussians, camera)
    sure = oracle.sure_pixels(gaussians, cameras, monkeypatch, **options)
    assert sure.float().mean() > 0.9
    weights = oracle.random_weights(gaussians, cameras, sure, seed)
    exact, expected = oracle.differentiate(rasterize_torch, gaussians, cameras, weights, torch.float64, **options)
    fast, got = oracle.differentiate(rasterize_cpu, gaussians, cameras, weights, torch.float32, **options)
    assert exact.alpha.max() > 0.5
    for name in weights:
        error = (getattr(fast, name).double() - getattr(exact, name)).abs()[sure]
        if name == "depth":
            error = error / exact.depth[sure].clamp(min=0.01)
        assert error.max() < 5e-5, (name, seed)
    for name, gradient in expected.items():
        relative = (got[name].double() - gradient).norm() / gradient.norm()
        assert gradient.norm() > 0 and relative < 1e-4, (name, seed, relative)


def test_a_wrong_gradient_would_show(random_gaussians, camera, monkeypatch, oracle):
    """The control: the same comparison with one input moved by a thousandth."""
    gaussians, cameras, options = make(2, random_gaussians, camera)
    sure = oracle.sure_pixels(gaussians, cameras, monkeypatch, **options)
    weights = oracle.random_weights(gaussians, cameras, sure, 2)
    _, expected = oracle.differentiate(rasterize_torch, gaussians, cameras, weights, torch.float64, **options)
    gaussians.scales.mul_(1.001)
    _, got = oracle.differentiate(rasterize_cpu, gaussians, cameras, weights, torch.float32, **options)
    relative = {name: (got[name].double() - g).norm() / g.norm() for name, g in expected.items()}
    assert all(relative[name] > 1e-4 for name in ("means", "quats", "scales", "opacities", "w2c")), relative


@pytest.mark.parametrize("features", [None, 1])
def test_absolute_gradients_equal_one_pixel_at_a_time(features, random_gaussians, camera, oracle):
    gaussians = random_gaussians(3, 40, features=features, log_size=-2.0).to(torch.float64)
    camera = camera.resized(12, 9)
    cameras = Camera(camera.K[None], camera.w2c[None], 12, 9)
    shift = torch.zeros(len(gaussians), 2, dtype=torch.float64, requires_grad=True)
    weights = oracle.random_weights(gaussians, cameras, torch.ones(1, 9, 12, dtype=torch.bool), 0)

    # The oracle with centres that can be moved in the image, and each pixel's loss differentiated alone.
    from render import rasterize_torch as module

    project = module.project_gaussians

    def moved(splats, view, *args, **kwargs):
        projected = project(splats, view, *args, **kwargs)
        # Which Gaussians are left, nearest first: found again by their depth, the last channel.
        z = (splats.means @ view.w2c[:3, :3].T + view.w2c[:3, 3])[:, 2]
        order = torch.stack([(z - depth).abs().argmin() for depth in projected.channels[:, -1]])
        return type(projected)(**{**vars(projected), "pixels": projected.pixels + shift[order]})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "project_gaussians", moved)
        output = rasterize_torch(gaussians, cameras.to(torch.float64))
    loss = sum(
        (getattr(output, n) * w.double()).reshape(9 * 12, -1).sum(dim=1) for n, w in weights.items()
    )
    expected = sum(torch.autograd.grad(pixel, shift, retain_graph=True)[0].abs() for pixel in loss)

    got = torch.zeros(1, len(gaussians), 2)
    run = partial(rasterize_cpu, absolute_gradients=got)
    oracle.differentiate(run, gaussians, cameras, weights, torch.float32)
    assert expected.max() > 1
    assert torch.allclose(got[0].double(), expected, rtol=1e-3, atol=1e-4 * expected.max().item())
    once = got.clone()
    oracle.differentiate(run, gaussians, cameras, weights, torch.float32)
    assert torch.allclose(got, 2 * once)


def test_absolute_gradients_of_the_wrong_kind_are_refused(random_gaussians, camera):
    cameras = Camera(camera.K[None], camera.w2c[None], camera.width, camera.height)
    with pytest.raises(ValueError, match=r"\[1, 8, 2\].*torch.float64"):
        rasterize_cpu(random_gaussians(0, 8), cameras, absolute_gradients=torch.zeros(1, 8, 2, dtype=torch.float64))
    with pytest.raises(ValueError, match="one feature at most"):
        rasterize_cpu(random_gaussians(0, 8, features=2), cameras, absolute_gradients=torch.zeros(1, 8, 2))


def test_batched_cameras_add_their_gradients(random_gaussians, camera, oracle):
    gaussians = random_gaussians(4, 200, sh_degree=1)
    pair = Camera.stack([camera, camera.moved_right(0.4)])
    sure = torch.ones(2, camera.height, camera.width, dtype=torch.bool)
    weights = oracle.random_weights(gaussians, pair, sure, 1)
    _, both = oracle.differentiate(rasterize_cpu, gaussians, pair, weights, torch.float32)
    singles = [
        oracle.differentiate(
            rasterize_cpu, gaussians, pair[i : i + 1], {n: w[i : i + 1] for n, w in weights.items()}, torch.float32
        )[1]
        for i in range(2)
    ]
    for name in ("means", "quats", "scales", "opacities", "sh"):
        assert torch.allclose(both[name], singles[0][name] + singles[1][name], rtol=1e-5, atol=1e-5)
    assert torch.equal(both["w2c"], torch.cat([single["w2c"] for single in singles]))


def test_a_graph_that_is_kept_can_be_walked_twice(random_gaussians, camera):
    gaussians = random_gaussians(5, 150, features=3)
    gaussians.means.requires_grad_()
    output = rasterize(gaussians, camera)
    loss = output.rgb.square().sum() + output.features.square().sum()
    (first,) = torch.autograd.grad(loss, gaussians.means, retain_graph=True)
    rasterize(random_gaussians(6, 300), camera)  # another render takes the memory in between
    (second,) = torch.autograd.grad(loss, gaussians.means)
    assert torch.equal(first, second)


def test_interleaved_graphs_do_not_share_memory(random_gaussians, camera):
    scenes = [random_gaussians(seed, 200) for seed in range(4)]
    for scene in scenes:
        scene.means.requires_grad_()
    alone = [torch.autograd.grad(rasterize(scene, camera).rgb.square().sum(), scene.means)[0] for scene in scenes]
    losses = [rasterize(scene, camera).rgb.square().sum() for scene in scenes]
    together = [torch.autograd.grad(loss, scene.means)[0] for loss, scene in zip(losses, scenes, strict=True)]
    assert all(torch.equal(left, right) for left, right in zip(alone, together, strict=True))


def test_second_derivatives_are_refused(random_gaussians, camera):
    gaussians = random_gaussians(0, 20)
    gaussians.means.requires_grad_()
    loss = rasterize(gaussians, camera).rgb.square().sum()
    (gradient,) = torch.autograd.grad(loss, gaussians.means, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()
