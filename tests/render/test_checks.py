"""What is refused before rendering, and how it is named."""

from dataclasses import replace

import pytest
import torch

from render import Camera, Gaussians
from render.checks import check_cameras, check_gaussians


@pytest.mark.parametrize("name", ["means", "quats", "scales", "opacities", "sh", "features"])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_not_finite_are_named_with_the_first_gaussian(name, bad, random_gaussians):
    gaussians = random_gaussians(0, 20, sh_degree=1, features=2)
    check_gaussians(gaussians)
    for row in (13, 17):
        getattr(gaussians, name)[row] = bad
    with pytest.raises(ValueError, match=rf"Gaussians\.{name} must be finite .* Gaussian 13 holds .*2 of 20"):
        check_gaussians(gaussians)


def test_infinities_of_both_signs_do_not_cancel_and_large_values_pass(random_gaussians):
    gaussians = random_gaussians(0, 20)
    gaussians.means[4, 0], gaussians.means[9, 0] = float("inf"), -float("inf")
    with pytest.raises(ValueError, match="Gaussian 4 holds inf"):
        check_gaussians(gaussians)
    check_gaussians(replace(gaussians, means=torch.full((20, 3), 3e38)))  # the sum overflows, no value does


def test_ranges(random_gaussians):
    gaussians = random_gaussians(0, 20)
    gaussians.opacities[:2] = torch.tensor([0.0, 1.0])
    gaussians.scales[5] = 0.0
    check_gaussians(gaussians)
    check_gaussians(Gaussians.empty(features=2))
    gaussians.scales[6, 1] = -0.1
    with pytest.raises(ValueError, match="scales must not be negative .* Gaussian 6 holds -0.1 .*exp"):
        check_gaussians(gaussians)
    for bad in (2.2, -0.01):
        gaussians.opacities[7] = bad
        with pytest.raises(ValueError, match=f"opacities must lie in 0..1 .* Gaussian 7 holds {bad}.*sigmoid"):
            check_gaussians(gaussians)


def test_values_with_gradients_are_looked_at_without_a_graph(random_gaussians):
    gaussians = random_gaussians(0, 20)
    gaussians.opacities.requires_grad_()
    check_gaussians(gaussians)
    opacities = torch.full((20,), 1.5, requires_grad=True)
    with pytest.raises(ValueError, match="opacities"):
        check_gaussians(replace(gaussians, opacities=opacities))


NOT_PINHOLE = {
    "no focal length": (0, 0, 0.0, "positive focal lengths.*camera 2 has fx = 0"),
    "flipped": (1, 1, -60.0, "positive focal lengths.*camera 2 has .*fy = -60.*conventions"),
    "NaN": (0, 0, float("nan"), "must be finite; camera 2"),
    "infinite": (1, 2, float("inf"), "must be finite; camera 2"),
    "skew": (0, 1, 0.5, "without skew; camera 2"),
    "lower left": (1, 0, 0.5, "without skew; camera 2"),
    "last row": (2, 0, 0.1, "pinhole .*camera 2"),
    "scaled": (2, 2, 2.0, "pinhole .*camera 2"),
}


@pytest.mark.parametrize("case", NOT_PINHOLE)
def test_intrinsics_that_are_not_a_pinhole_are_refused(case, camera):
    row, column, value, message = NOT_PINHOLE[case]
    cameras = Camera.stack([camera] * 4)
    check_cameras(cameras)
    cameras.K[2:, row, column] = value
    with pytest.raises(ValueError, match=f"(?s)Camera.K .*{message}"):
        check_cameras(cameras)


def test_transforms_that_are_not_finite_or_transposed_are_refused(camera):
    check_cameras(camera)
    with pytest.raises(ValueError, match="w2c must end with the row 0 0 0 1; camera 0"):
        check_cameras(replace(camera, w2c=camera.w2c.T))
    cameras = Camera.stack([camera] * 3)
    cameras.w2c[1, 0, 3] = float("nan")
    with pytest.raises(ValueError, match="w2c must be finite; camera 1"):
        check_cameras(cameras)
