"""The CUDA backend. Without CUDA: the refusal, and what gsplat is given, by a stand-in that the oracle renders."""

import inspect
import subprocess
import sys
from dataclasses import fields, replace

import pytest
import torch

from render import Camera, Gaussians, rasterize
from render import rasterize_gsplat as module
from render.rasterize_gsplat import rasterize_gsplat
from render.rasterize_torch import rasterize_torch

NAMES = [field.name for field in fields(Gaussians)]


class LeaveAbsolute(torch.autograd.Function):
    """As gsplat's compositing: its backward pass sets an attribute of the projected centres."""

    @staticmethod
    def forward(ctx, image, alpha, centers):
        ctx.save_for_backward(centers)
        return image.clone(), alpha.clone()

    @staticmethod
    def backward(ctx, image_gradient, alpha_gradient):
        (centers,) = ctx.saved_tensors
        centers.absgrad = torch.arange(centers.numel(), dtype=torch.float32).reshape(centers.shape)
        return image_gradient, alpha_gradient, torch.zeros_like(centers)


@pytest.fixture
def calls(monkeypatch):
    """Arguments of every call of gsplat.rasterization, which the oracle now answers, on the CPU."""
    gsplat = pytest.importorskip("gsplat")
    signature, recorded = inspect.signature(gsplat.rasterization), []

    def rasterization(*arguments, **named):
        given = signature.bind(*arguments, **named)  # refuses what the installed gsplat does not take
        given.apply_defaults()
        values = given.arguments
        recorded.append(values)
        means, viewmats = values["means"], values["viewmats"]
        n, views = len(means), len(viewmats)
        shapes = {"quats": (n, 4), "scales": (n, 3), "opacities": (n,), "Ks": (views, 3, 3)}
        assert all(values[name].shape == shape for name, shape in shapes.items())
        assert values["colors"].shape[:2] == (views, n) and values["sh_degree"] is None
        assert all(value.is_contiguous() for value in values.values() if isinstance(value, torch.Tensor))
        outputs = []
        for i in range(views):
            part = Gaussians(
                means,
                values["quats"],
                values["scales"],
                values["opacities"],
                torch.zeros(n, 1, 3),
                values["colors"][i],
            )
            camera = Camera(values["Ks"][i : i + 1], viewmats[i : i + 1], values["width"], values["height"])
            outputs.append(rasterize_torch(part, camera, antialiased=values["rasterize_mode"] == "antialiased"))
        image = torch.cat([torch.cat([output.features, output.depth[..., None]], dim=-1) for output in outputs])
        alpha = torch.cat([output.alpha for output in outputs])[..., None]
        centers = means[None, :, :2].repeat(views, 1, 1)
        if values["absgrad"]:
            assert not values["packed"]
            image, alpha = LeaveAbsolute.apply(image, alpha, centers)
        return image, alpha, {"means2d": centers}

    monkeypatch.setattr(gsplat, "rasterization", rasterization)
    monkeypatch.setattr(module, "_refuse_without_cuda", lambda gaussians: None)
    return recorded


def leaves(gaussians, cameras):
    values = {
        name: None if getattr(gaussians, name) is None else getattr(gaussians, name).clone().requires_grad_()
        for name in NAMES
    }
    K, w2c = cameras.K.clone().requires_grad_(), cameras.w2c.clone().requires_grad_()
    return Gaussians(**values), replace(cameras, K=K, w2c=w2c)


def gradients(output, gaussians, cameras):
    weight = torch.linspace(0.5, 1.5, output.alpha.numel(), device=output.alpha.device).reshape(output.alpha.shape)
    loss = (output.rgb.sum(dim=-1) * weight).sum() + (output.alpha * weight.flip(-1)).sum()
    loss = loss + 0.1 * (output.depth * weight.flip(-2)).sum()
    if output.features is not None:
        loss = loss + (output.features.square().sum(dim=-1) * weight).sum()
    loss.backward()
    found = {name: getattr(gaussians, name) for name in NAMES} | {"K": cameras.K, "w2c": cameras.w2c}
    return {name: value.grad for name, value in found.items() if value is not None}


@pytest.mark.parametrize("antialiased", [False, True])
@pytest.mark.parametrize("features", [None, 2, 40])
def test_gsplat_is_given_what_the_oracle_is_given(features, antialiased, calls, random_gaussians, camera):
    scene = random_gaussians(1, 60, sh_degree=2, features=features)
    scene.quats[5] = 0
    pair = Camera.stack([camera, camera.moved_right(0.3)])
    theirs, ours = leaves(scene, pair), leaves(scene, pair)
    output = rasterize_gsplat(*theirs, antialiased=antialiased)
    expected = rasterize_torch(*ours, antialiased=antialiased)
    assert expected.alpha.max() > 0.5 and (output.features is None) == (features is None)
    for name in ("rgb", "alpha", "depth", "features"):
        if getattr(expected, name) is not None:
            assert torch.allclose(getattr(output, name), getattr(expected, name), atol=1e-6), name
    found, expected = gradients(output, *theirs), gradients(expected, *ours)
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        # The intrinsics' too, though gsplat, as here its stand-in, never sees that they want a gradient.
        assert expected[name].norm() > 0
        assert (gradient - expected[name]).norm() < 1e-4 * expected[name].norm(), name
    (values,) = calls
    assert not values["Ks"].requires_grad and torch.equal(values["viewmats"], pair.w2c)
    assert (values["near_plane"], values["eps2d"], values["radius_clip"]) == (0.01, 0.3, 0.0)
    assert values["quats"][5].tolist() == [1, 0, 0, 0]  # zeros would be NaN there
    assert values["render_mode"] == "RGB+ED" and values["camera_model"] == "pinhole"
    assert not values["absgrad"] and values["backgrounds"] is None


def test_absolute_gradients_are_added_to_what_is_there(calls, random_gaussians, camera):
    scene, pair = random_gaussians(1, 30), Camera.stack([camera, camera.moved_right(0.3)])
    totals = torch.ones(2, 30, 2)
    with torch.no_grad():
        rasterize_gsplat(*leaves(scene, pair), absolute_gradients=totals)
    assert (totals == 1).all()
    gaussians, cameras = leaves(scene, pair)
    output = rasterize_gsplat(gaussians, cameras, absolute_gradients=totals)
    assert (totals == 1).all() and calls[-1]["absgrad"]
    output.rgb.sum().backward(retain_graph=True)
    assert torch.equal(totals, 1 + torch.arange(120.0).reshape(2, 30, 2))
    output.rgb.sum().backward()
    assert torch.equal(totals, 1 + 2 * torch.arange(120.0).reshape(2, 30, 2))


def test_absolute_gradients_of_another_kind_are_refused(calls, random_gaussians, camera):
    scene, cameras = random_gaussians(1, 30), Camera.stack([camera])
    for wrong in (torch.zeros(30, 2), torch.zeros(1, 29, 2), torch.zeros(1, 30, 2, dtype=torch.float64)):
        with pytest.raises((ValueError, TypeError), match="absolute_gradients"):
            rasterize_gsplat(scene, cameras, absolute_gradients=wrong)
    with pytest.raises(ValueError, match="must not require gradients"):
        rasterize_gsplat(scene, cameras, absolute_gradients=torch.zeros(1, 30, 2, requires_grad=True))
    with pytest.raises(ValueError, match="at most 28 features; got 29"):
        many = random_gaussians(1, 30, features=29)
        rasterize_gsplat(many, cameras, absolute_gradients=torch.zeros(1, 30, 2))


def test_nothing_and_what_cannot_be_rendered(calls, random_gaussians, camera):
    cameras = Camera.stack([camera, camera])
    output = rasterize_gsplat(Gaussians.empty(1, 2), cameras)
    assert output.rgb.shape == (2, 45, 70, 3) and output.features.shape == (2, 45, 70, 2)
    assert not output.alpha.any() and not calls
    scene = random_gaussians(1, 30)
    scene.means[7] = float("nan")
    with pytest.raises(ValueError, match="Gaussians.means must be finite .*Gaussian 7"):
        rasterize_gsplat(scene, cameras)
    cameras.K[1, 0, 0] = 0
    with pytest.raises(ValueError, match="positive focal lengths.*camera 1"):
        rasterize_gsplat(random_gaussians(1, 30), cameras)


@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA is here")
def test_without_cuda_the_refusal_says_so(random_gaussians, camera):
    with pytest.raises(ImportError, match='needs a CUDA GPU.*Use backend "cpu" or "torch"'):
        rasterize(random_gaussians(0, 8), camera, backend="gsplat")
    with pytest.raises(ImportError, match="needs a CUDA GPU"):
        rasterize_gsplat(random_gaussians(0, 8), Camera.stack([camera]))


def test_importing_the_backend_does_not_import_gsplat():
    code = "import sys, render.rasterize_gsplat as it; it.gsplat_problem(); print('gsplat' in sys.modules)"
    asked = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert asked.stdout.strip() == str(torch.cuda.is_available())


@pytest.mark.gpu
@pytest.mark.parametrize("antialiased", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_gsplat_equals_the_oracle(seed, antialiased, random_gaussians, camera):
    """Image to 1e-3 but for the few pixels where float32 tips an alpha over 1/255; gradients to 1 % of their norm."""
    scene = random_gaussians(seed, sh_degree=seed, features=(None, 2, 5)[seed]).to("cuda")
    scene.quats[5] = 0
    pair = Camera.stack([camera, camera.moved_right(0.3)]).to("cuda")
    theirs, ours = leaves(scene, pair), leaves(scene.to(torch.float64), pair.to(torch.float64))
    output = rasterize_gsplat(*theirs, antialiased=antialiased)
    exact = rasterize_torch(*ours, antialiased=antialiased)
    for name in ("rgb", "alpha", "features"):
        if getattr(exact, name) is not None:
            error = (getattr(output, name).double() - getattr(exact, name)).abs()
            assert error.quantile(0.999) < 1e-3 and error.max() < 0.02, name
    clear = (exact.alpha - 0.5).abs() > 1e-3
    assert ((output.depth - exact.depth).abs() / exact.depth.clamp(min=1))[clear].quantile(0.999) < 1e-3
    found, expected = gradients(output, *theirs), gradients(exact, *ours)
    for name, gradient in found.items():
        assert gradient.isfinite().all()
        assert (gradient.double() - expected[name]).norm() < 0.01 * expected[name].norm(), name


@pytest.mark.gpu
def test_absolute_gradients_equal_the_kernels(random_gaussians, camera):
    from render.rasterize_cpu import rasterize_cpu

    scene, pair = random_gaussians(1, 200), Camera.stack([camera, camera.moved_right(0.3)])
    totals = torch.zeros(2, 200, 2), torch.zeros(2, 200, 2, device="cuda")
    ours, theirs = leaves(scene, pair), leaves(scene.to("cuda"), pair.to("cuda"))
    gradients(rasterize_cpu(*ours, absolute_gradients=totals[0]), *ours)
    gradients(rasterize_gsplat(*theirs, absolute_gradients=totals[1]), *theirs)
    assert totals[0].norm() > 0
    assert (totals[1].cpu() - totals[0]).norm() < 0.01 * totals[0].norm()
