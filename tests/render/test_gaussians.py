import pytest
import torch

from render import Gaussians
from render.geometry import matrix_from_quats


def covariances(gaussians):
    root = matrix_from_quats(gaussians.quats) * gaussians.scales[:, None, :]
    return root @ root.transpose(1, 2)


@pytest.mark.parametrize("scale", [1.0, 2.5])
def test_transform_moves_means_and_covariances_together(scale, random_gaussians, similarity):
    gaussians = random_gaussians(0).to(torch.float64)
    b_from_a = similarity(scale)
    moved = gaussians.transform(b_from_a)
    linear = b_from_a[:3, :3]
    assert torch.allclose(moved.means, gaussians.means @ linear.T + b_from_a[:3, 3])
    assert torch.allclose(covariances(moved), linear @ covariances(gaussians) @ linear.T)


def test_parts_and_concatenation_return_the_whole(random_gaussians):
    gaussians = random_gaussians(0, sh_degree=2, features=2)
    again = Gaussians.cat(
        [gaussians[:100], gaussians[torch.arange(100, 200)], gaussians[torch.arange(300) >= 200]]
    )
    for name in ("means", "quats", "scales", "opacities", "sh", "features"):
        assert torch.equal(getattr(again, name), getattr(gaussians, name))
    assert len(gaussians[-1]) == 1 and torch.equal(gaussians[-1].means, gaussians.means[-1:])
    assert len(list(gaussians[:4])) == 4
    with pytest.raises(IndexError):
        gaussians[300]


def test_concatenation_pads_lower_degrees_and_refuses_mixed_features(random_gaussians):
    mixed = Gaussians.cat([random_gaussians(0, 5), random_gaussians(1, 5, sh_degree=3), Gaussians.empty(2)])
    assert mixed.sh.shape == (10, 16, 3) and not mixed.sh[:5, 1:].any()
    with pytest.raises(ValueError, match="feature counts"):
        Gaussians.cat([random_gaussians(0, 5), random_gaussians(0, 5, features=1)])
    with pytest.raises(ValueError, match="at least one"):
        Gaussians.cat([])


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "quats",
            torch.zeros(12, 3),
            r"Gaussians.quats must be \[12, 4\] like means \[12, 3\]; got \[12, 3\]. "
            r"Rotation matrices\? Use quats_from_matrix\(\).",
        ),
        ("opacities", torch.zeros(12, 1), r"opacities must be \[12\].*squeeze"),
        ("scales", torch.zeros(12, 1), "three scales"),
        ("sh", torch.zeros(12, 3), "sh_from_rgb"),
        ("sh", torch.zeros(12, 5, 3), "1, 4, 9 or 16"),
        ("features", torch.zeros(11, 1), "features"),
    ],
)
def test_wrong_shapes_say_what_to_do(name, value, message, random_gaussians, unchecked):
    gaussians = random_gaussians(0, 12)
    values = {field: getattr(gaussians, field) for field in ("means", "quats", "scales", "opacities", "sh")}
    with pytest.raises(ValueError, match=message):
        Gaussians(**values | {name: value})
