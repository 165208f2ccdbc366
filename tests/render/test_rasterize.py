"""The entry: dispatch, refusals, backgrounds."""

import subprocess
import sys

import pytest
import torch

import render
from render import Camera, rasterize
from render.rasterize import backend_problem, choose_backend


def test_auto_takes_the_kernel_unless_precision_is_asked_for(random_gaussians, camera):
    gaussians = random_gaussians(0, 8)
    assert choose_backend(gaussians) == "cpu"
    assert choose_backend(gaussians.to(torch.float64)) == "torch"
    gaussians.means.requires_grad_()
    assert choose_backend(gaussians) == "cpu"
    with torch.no_grad():
        assert not rasterize(gaussians, camera).rgb.requires_grad
    assert rasterize(gaussians, camera).rgb.requires_grad


def test_a_named_backend_is_used_or_refused(random_gaussians, camera, monkeypatch):
    gaussians = random_gaussians(0, 8)
    with pytest.raises(ValueError, match="float32 tensors on the CPU"):
        rasterize(gaussians.to(torch.float64), camera.to(torch.float64), backend="cpu")
    if not torch.cuda.is_available():
        assert "CUDA" in (backend_problem("gsplat") or "")
        with pytest.raises(ImportError, match="CUDA GPU"):
            rasterize(gaussians, camera, backend="gsplat")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match="pip install numba"):
        rasterize(gaussians, camera, backend="cpu")
    assert choose_backend(gaussians) == "torch"


def test_mixed_dtypes_are_refused(random_gaussians, camera):
    with pytest.raises(ValueError, match="one device in one dtype"):
        rasterize(random_gaussians(0, 8), camera.to(torch.float64))


@pytest.mark.parametrize("backend", ["torch", "cpu"])
def test_the_background_shows_where_alpha_is_missing(backend, random_gaussians, camera):
    gaussians = random_gaussians(0)
    black = rasterize(gaussians, camera, backend=backend)
    red = rasterize(gaussians, camera, backend=backend, background=torch.tensor([1.0, 0.0, 0.0]))
    assert torch.allclose(red.rgb[..., 0], black.rgb[..., 0] + 1 - black.alpha, atol=1e-6)
    assert torch.equal(red.rgb[..., 1:], black.rgb[..., 1:])
    pair = Camera.stack([camera, camera])
    two = rasterize(gaussians, pair, backend=backend, background=torch.eye(3)[:2])
    assert torch.equal(two.rgb[0], red.rgb)
    assert torch.allclose(two.rgb[1, ..., 1], black.rgb[..., 1] + 1 - black.alpha, atol=1e-6)


def test_batch_axes_come_back(random_gaussians, camera):
    grid = Camera(camera.K.expand(2, 3, 3, 3), camera.w2c.expand(2, 3, 4, 4), 70, 45)
    output = rasterize(random_gaussians(0, 8), grid)
    assert output.rgb.shape == (2, 3, 45, 70, 3) and output.depth.shape == (2, 3, 45, 70)


@pytest.mark.gpu
def test_gsplat_equals_the_oracle(random_gaussians, camera):
    gaussians = random_gaussians(0, sh_degree=2, features=2)
    pair = Camera.stack([camera, camera.moved_right(0.3)])
    fast = rasterize(gaussians.to("cuda"), pair.to("cuda"), backend="gsplat")
    exact = rasterize(gaussians.to(torch.float64), pair.to(torch.float64), backend="torch")
    for name in ("rgb", "alpha", "features"):
        error = (getattr(fast, name).cpu().double() - getattr(exact, name)).abs()
        assert error.quantile(0.999) < 1e-3


def test_the_package_gives_functions_not_modules_and_waits_for_torch():
    assert callable(render.rasterize) and render.rasterize is rasterize
    code = (
        "import sys, render; assert 'torch' not in sys.modules; import render.rasterize; "
        "from render.rasterize import RenderOutput; assert callable(render.rasterize), render.rasterize"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="no attribute 'rasterise'"):
        render.rasterise  # noqa: B018
    assert set(render.__all__) <= set(dir(render))
