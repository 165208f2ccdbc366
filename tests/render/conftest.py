import importlib.util
import math
from pathlib import Path

import jaxtyping
import pytest
import torch

from render import Camera, Gaussians
from render.trajectory import look_at


@pytest.fixture
def unchecked():
    """As outside the tests: shapes are not checked by jaxtyping, so our own messages are reached."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="session")
def oracle():
    """oracle.py beside this file, as a module."""
    spec = importlib.util.spec_from_file_location("oracle", Path(__file__).with_name("oracle.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def camera():
    """W != H, fx != fy, cx and cy off the centre: a swapped axis or a lost offset shows."""
    K = torch.tensor([[60.0, 0.0, 33.0], [0.0, 66.0, 21.0], [0.0, 0.0, 1.0]])
    w2c = look_at(
        torch.tensor([0.3, 0.1, -0.4]), torch.tensor([0.1, -0.2, 3.0]), torch.tensor([0.0, -1.0, 0.1])
    )
    return Camera(K, w2c, 70, 45)


@pytest.fixture
def random_gaussians():
    """Splats of many sizes and shapes before and around `camera`, some behind it or out of sight."""

    def make(seed, n=300, *, sh_degree=0, features=None, log_size=-3.0):
        generator = torch.Generator().manual_seed(seed)

        def uniform(*shape):
            return torch.rand(*shape, generator=generator)

        return Gaussians(
            means=torch.cat([(uniform(n, 2) - 0.5) * 6, uniform(n, 1) * 6 - 0.7], dim=1),
            quats=torch.randn(n, 4, generator=generator),
            scales=torch.exp(log_size + 3 * (uniform(n, 3) - 0.5)),
            opacities=0.01 + 0.98 * uniform(n),
            sh=torch.randn(n, (sh_degree + 1) ** 2, 3, generator=generator) * (0.3 if sh_degree else 1.0),
            features=None if features is None else uniform(n, features),
        )

    return make


@pytest.fixture
def similarity():
    """b_from_a with a rotation about a skew axis, a shift, and optionally a scale (float64)."""

    def make(scale=1.0, turn_degrees=77.0):
        axis = torch.nn.functional.normalize(torch.tensor([0.3, -0.8, 0.5], dtype=torch.float64), dim=0)
        x, y, z = axis.tolist()
        skew = torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]], dtype=torch.float64)
        b_from_a = torch.eye(4, dtype=torch.float64)
        b_from_a[:3, :3] = scale * torch.linalg.matrix_exp(skew * math.radians(turn_degrees))
        b_from_a[:3, 3] = torch.tensor([0.7, -1.1, 2.3])
        return b_from_a

    return make
