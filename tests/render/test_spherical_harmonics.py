import pytest
import torch

from render import evaluate_sh, rgb_from_sh, sh_from_rgb
from render.spherical_harmonics import basis, rotate_sh


def test_colours_return_through_the_constant_band():
    rgb = torch.rand(7, 3)
    assert torch.allclose(rgb_from_sh(sh_from_rgb(rgb)), rgb, atol=1e-6)
    assert torch.allclose(evaluate_sh(sh_from_rgb(rgb), torch.randn(7, 3)), rgb, atol=1e-6)


def test_the_basis_is_orthonormal():
    generator = torch.Generator().manual_seed(0)
    directions = torch.nn.functional.normalize(
        torch.randn(400_000, 3, dtype=torch.float64, generator=generator), dim=-1
    )
    values = basis(directions, 3)
    gram = values.T @ values / len(values) * 4 * torch.pi
    assert (gram - torch.eye(16)).abs().max() < 0.02


def test_signs_in_numbers():
    sh = torch.zeros(1, 4, 3)
    sh[0, 3] = 1.0  # the third function of degree 1 is -0.4886 x
    assert evaluate_sh(sh, torch.tensor([[-2.0, 0, 0]]))[0, 0].item() == pytest.approx(0.5 + 0.4886025)
    assert evaluate_sh(sh, torch.tensor([[2.0, 0, 0]]))[0, 0].item() == pytest.approx(
        0.5 - 0.4886025, abs=1e-6
    )


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_rotating_coefficients_equals_rotating_directions(degree, similarity):
    rotation = similarity()[:3, :3]
    sh = torch.randn(9, (degree + 1) ** 2, 3, dtype=torch.float64)
    directions = torch.randn(9, 3, dtype=torch.float64)
    turned = evaluate_sh(rotate_sh(sh, rotation), directions @ rotation.T)
    assert torch.allclose(turned, evaluate_sh(sh, directions), atol=1e-12)


def test_the_basis_equals_gsplats_at_recorded_directions(shared_data):
    import numpy as np

    folder = shared_data("splats/gsplat_torch_reference")
    with np.load(folder / "gsplat153_garden_projection_reference.npz") as file:
        sh, directions, sums = (torch.from_numpy(file[name]) for name in ("sh", "sh_dirs", "sh_rgb_deg0to3"))
    unit = torch.nn.functional.normalize(directions, dim=-1)
    for degree in range(4):
        used = (degree + 1) ** 2
        values = (basis(unit, degree)[..., None] * sh[:, :used]).sum(dim=-2)
        assert torch.allclose(values, sums[degree], atol=2e-5)
