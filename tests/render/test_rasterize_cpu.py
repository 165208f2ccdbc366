"""The kernels against the oracle."""

import pytest
import torch

from render import Camera, Gaussians, rasterize


def assert_same(fast, exact, note, usual=1e-4):
    """Equal to 1e-4 (usual) but for the few pixels where rounding tips an alpha over 1/255."""
    for name in ("rgb", "alpha", "features", "depth"):
        left, right = getattr(fast, name), getattr(exact, name)
        if right is None:
            assert left is None
            continue
        error = (left.double() - right).abs()
        if name == "depth":
            error = error[(exact.alpha - 0.5).abs() > 1e-3]  # depth is cut to 0 at alpha = 0.5
        assert error.numel() == 0 or error.quantile(0.999) < usual, (name, note)
        assert error.numel() == 0 or error.max() < 0.02, (name, note)


@pytest.mark.parametrize("seed", range(6))
def test_kernels_equal_the_oracle(seed, random_gaussians, camera):
    degree, features = seed % 4, (None, 1, 2, 5, 9, 0)[seed]
    count, log_size = 400 + seed, (-4.0, -2.0)[seed % 2]  # counts that are and are not multiples of eight
    gaussians = random_gaussians(seed, count, sh_degree=degree, features=features, log_size=log_size)
    camera = camera if seed < 3 else camera.resized(150, 66)  # one tile, and several with remainders
    fast = rasterize(gaussians, camera, backend="cpu")
    exact = rasterize(gaussians.to(torch.float64), camera.to(torch.float64), backend="torch")
    assert exact.alpha.max() > 0.5
    assert_same(fast, exact, f"seed {seed}")


def test_wide_views_cull_nothing_that_shows(random_gaussians):
    camera = Camera.from_fov(120, 40, 130.0)
    gaussians = random_gaussians(9, 500, log_size=-1.5)
    exact = rasterize(gaussians.to(torch.float64), camera.to(torch.float64), backend="torch")
    assert_same(rasterize(gaussians, camera, backend="cpu"), exact, "wide")


def test_needles_across_many_tiles_are_found(random_gaussians, camera):
    gaussians = random_gaussians(11, 60)
    needles = gaussians.scales.clone()
    needles[:, 0], needles[:, 1:] = 2.0, 1e-3
    gaussians = Gaussians(gaussians.means, gaussians.quats, needles, gaussians.opacities, gaussians.sh)
    wide = camera.resized(200, 130)
    exact = rasterize(gaussians.to(torch.float64), wide.to(torch.float64), backend="torch")
    # Float32 leaves three digits of an exponent far from a needle's centre; a missed tile would show.
    assert_same(rasterize(gaussians, wide, backend="cpu"), exact, "needles", usual=2e-3)


def test_batches_equal_single_cameras_and_calls_repeat_exactly(random_gaussians, camera):
    gaussians = random_gaussians(0, features=1)
    pair = Camera.stack([camera, camera.moved_right(0.3)])
    both = rasterize(gaussians, pair, backend="cpu")
    assert both.rgb.shape == (2, 45, 70, 3) and both.features.shape == (2, 45, 70, 1)
    for i in range(2):
        one = rasterize(gaussians, pair[i], backend="cpu")
        assert torch.equal(both.rgb[i], one.rgb) and torch.equal(both.depth[i], one.depth)


def test_equal_depths_are_drawn_in_index_order(camera):
    n = 40  # more than the insertion sort takes
    gaussians = Gaussians(
        means=torch.tensor([[0.1, -0.1, 2.0]]).repeat(n, 1),
        quats=torch.tensor([[1.0, 0, 0, 0]]).repeat(n, 1),
        scales=torch.full((n, 3), 0.2),
        opacities=torch.full((n,), 0.3),
        sh=torch.rand(n, 1, 3, generator=torch.Generator().manual_seed(0)),
    )
    fast, exact = (rasterize(gaussians, camera, backend=backend) for backend in ("cpu", "torch"))
    assert torch.allclose(fast.rgb, exact.rgb, atol=1e-4)


@pytest.mark.parametrize("n", [0, 1, 7])
def test_few_or_no_gaussians(n, random_gaussians, camera):
    output = rasterize(random_gaussians(0, n, features=1), camera, backend="cpu")
    assert output.rgb.shape == (45, 70, 3) and output.features.shape == (45, 70, 1)
    assert output.rgb.isfinite().all() and (n > 0 or not output.alpha.any())


def test_extreme_gaussians_do_no_harm(camera):
    values = torch.tensor([1e-30, 1e-3, 1.0, 1e6, 1e15])
    means = torch.cartesian_prod(
        torch.tensor([-1e9, 0.0, 1e9]), torch.tensor([0.0]), torch.tensor([-5.0, 0.011, 1e9])
    )
    grid = torch.cartesian_prod(torch.arange(len(means)), torch.arange(len(values)))
    n = len(grid)
    gaussians = Gaussians(
        means[grid[:, 0]],
        torch.zeros(n, 4),
        values[grid[:, 1], None].repeat(1, 3),
        torch.ones(n),
        torch.ones(n, 1, 3),
    )
    output = rasterize(gaussians, camera, backend="cpu")
    assert output.rgb.isfinite().all() and output.alpha.isfinite().all() and output.depth.isfinite().all()


@pytest.mark.parametrize("name", ["means", "quats", "scales", "opacities", "sh", "features"])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_named(name, bad, random_gaussians, camera):
    gaussians = random_gaussians(0, 20, features=1)
    getattr(gaussians, name)[3] = bad
    with pytest.raises(ValueError, match=f"Gaussians.{name} must be finite"):
        rasterize(gaussians, camera, backend="cpu")


def test_logits_given_as_opacities_are_refused(random_gaussians, camera):
    gaussians = random_gaussians(0, 20)
    gaussians.opacities[0] = 2.2
    with pytest.raises(ValueError, match="sigmoid"):
        rasterize(gaussians, camera, backend="cpu")


def test_no_cache_folder_is_no_error(tmp_path, monkeypatch):
    pytest.importorskip("numba")
    from render.cpu import kernel

    blocker = tmp_path / "file"
    blocker.write_text("not a folder")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(blocker))
    assert kernel._cache_folder() is None
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    assert kernel._cache_folder().parent.parent == tmp_path
