"""Covariances, projection and harmonics against numbers that gsplat 1.5.3 computed (its own torch twin, float32).

2000 Gaussians of a garden, three cameras, 648 x 420. Tolerances are gsplat's own: 1e-4, relative and absolute.
"""

import numpy as np
import pytest
import torch

from render import Camera, Gaussians, evaluate_sh
from render.geometry import matrix_from_quats
from render.rasterize import DILATION, NEAR
from render.rasterize_torch import project_gaussians
from render.spherical_harmonics import basis

WIDTH, HEIGHT = 648, 420


@pytest.fixture
def recorded(shared_data):
    path = shared_data("splats/gsplat_torch_reference") / "gsplat153_garden_projection_reference.npz"
    with np.load(path) as file:
        values = {name: torch.from_numpy(file[name]) for name in file.files}
    assert (values["width"], values["height"]) == (WIDTH, HEIGHT)
    assert values["eps2d"] == DILATION and values["near"] == NEAR
    return values


def scene(values):
    opaque = torch.ones(len(values["means"]))  # so that a projected opacity is the compensation itself
    return Gaussians(values["means"], values["quats_wxyz"], values["scales"], opaque, values["sh"])


def nearest_first(gaussians, camera):
    """The order in which ours come."""
    return torch.argsort((gaussians.means @ camera.w2c[:3, :3].T + camera.w2c[:3, 3])[:, 2], stable=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_covariances(recorded, dtype):
    gaussians = scene(recorded).to(dtype)
    axes = matrix_from_quats(gaussians.quats) * gaussians.scales[:, None]
    error = (axes @ axes.mT - recorded["covars"].to(dtype)).abs()
    assert error.max() < 1e-6
    assert (error.amax(dim=(1, 2)) / recorded["covars"].abs().amax(dim=(1, 2))).max() < 1e-5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("i", range(3))
def test_projection(recorded, i, dtype):
    camera = Camera(recorded["Ks"][i], recorded["viewmats"][i], WIDTH, HEIGHT).to(dtype)
    seen = (recorded["radii"][i] > 0).all(dim=-1)
    assert seen.sum() > 900
    gaussians = scene(recorded).to(dtype)[seen]
    plain, faded = (project_gaussians(gaussians, camera, antialiased=wanted) for wanted in (False, True))
    order = nearest_first(gaussians, camera)

    def same(ours, name):
        theirs = recorded[name][i][seen].to(dtype)[order]
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4, msg=lambda text: f"{name}: {text}")

    same(plain.pixels, "means2d")
    same(plain.channels[:, -1], "depths")
    same(plain.conics, "conics")
    same(faded.opacities, "compensations")
    assert (plain.opacities == 1).all() and faded.opacities.min() < 0.9


@pytest.mark.parametrize("i", range(3))
def test_what_gsplat_sees_is_what_reaches_the_image(recorded, i):
    """Its radii are 3.33 standard deviations rounded up, ours end where alpha falls to 1/255: never a pixel more."""
    camera = Camera(recorded["Ks"][i], recorded["viewmats"][i], WIDTH, HEIGHT)
    seen = (recorded["radii"][i] > 0).all(dim=-1)
    for index in (~seen).nonzero().flatten()[::7].tolist():
        splats = project_gaussians(scene(recorded)[index], camera)
        if len(splats.pixels):
            size = torch.tensor([WIDTH, HEIGHT])
            outside = (splats.pixels + splats.reach <= 0.5) | (splats.pixels - splats.reach >= size - 0.5)
            assert outside.any()


@pytest.mark.parametrize("degree", range(4))
def test_harmonics(recorded, degree):
    coefficients = (degree + 1) ** 2
    for i in range(3):
        directions, sums = recorded["sh_dirs"][i], recorded["sh_rgb_deg0to3"][degree, i]
        sh = recorded["sh"][:, :coefficients]
        unit = torch.nn.functional.normalize(directions, dim=-1)
        ours = (basis(unit, degree)[..., None] * sh).sum(dim=1)
        torch.testing.assert_close(ours, sums, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(evaluate_sh(sh, directions), (sums + 0.5).clamp(min=0), rtol=1e-5, atol=1e-5)


def test_directions_run_from_the_camera_to_the_gaussian(recorded):
    for i in range(3):
        camera = Camera(recorded["Ks"][i], recorded["viewmats"][i], WIDTH, HEIGHT)
        ours = recorded["means"] - camera.center
        unit = torch.nn.functional.normalize(ours, dim=-1)
        theirs = torch.nn.functional.normalize(recorded["sh_dirs"][i], dim=-1)
        torch.testing.assert_close(unit, theirs, rtol=1e-4, atol=1e-4)
        seen = (recorded["radii"][i] > 0).all(dim=-1)
        splats = project_gaussians(scene(recorded)[seen], camera)
        expected = (recorded["sh_rgb_deg0to3"][3, i][seen] + 0.5).clamp(min=0)
        expected = expected[nearest_first(scene(recorded)[seen], camera)]
        torch.testing.assert_close(splats.channels[:, :3], expected, rtol=1e-4, atol=1e-4)
