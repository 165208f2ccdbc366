"""Exact synthetic truth: textured planes seen by pinhole cameras, with no image sampled twice."""

import jaxtyping
import pytest
import torch

from recon.view import View
from render.camera import Camera


def texture(points, seed, shortest=0.2):
    """A sum of waves on all three axes, so that it is exact at every sub-pixel: [..., 3] in 0..1."""
    generator = torch.Generator().manual_seed(seed)
    waves = 24
    length = shortest * 2 ** (3 * torch.rand(waves, 1, generator=generator))
    direction = torch.nn.functional.normalize(torch.randn(waves, 3, generator=generator), dim=1)
    phase = 6.28 * torch.rand(waves, 3, generator=generator)
    angle = points.double() @ (6.2832 * direction / length).double().T
    colour = torch.sin(angle[..., None] + phase).sum(-2) / waves**0.5
    return (0.5 + 0.3 * colour).clamp(0, 1).float()


@pytest.fixture
def unchecked():
    """As outside the tests: shapes are not checked by jaxtyping, so our own messages are reached."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="session")
def see_planes():
    """see_planes(camera, planes, seed, shortest): image and depth; planes are (normal, offset), normal . x = offset."""

    def see(camera, planes, seed=0, shortest=0.2):
        origin, rays = camera.rays()
        depth = torch.full(rays.shape[:2], torch.inf)
        for normal, offset in planes:
            normal = torch.tensor(normal, dtype=torch.float32)
            hit = (offset - origin @ normal) / (rays @ normal)
            depth = torch.where((hit > 0) & (hit < depth), hit, depth)
        image = texture(origin + depth[..., None] * rays, seed, shortest)
        return image, depth

    return see


@pytest.fixture(scope="session")
def plane_view(see_planes):
    """plane_view(...): a stereo View of slanted planes with true depth; neither square nor centred."""

    def make(
        planes=(((0.3, 0.15, 1.0), 2.4),), w2c=None, width=64, height=48, focal=40.0, baseline=0.3, seed=0, shortest=0.2
    ):
        K = torch.tensor([[focal, 0, width / 2 - 1.3], [0, focal, height / 2 + 0.8], [0, 0, 1]])
        camera = Camera(K, torch.eye(4) if w2c is None else w2c, width, height)
        image, depth = see_planes(camera, planes, seed, shortest)
        right, _ = see_planes(camera.moved_right(baseline), planes, seed, shortest)
        return View(image, camera, depth=depth, right=right, baseline=baseline)

    return make


@pytest.fixture(scope="session")
def psnr():
    def measure(a, b, mask=None):
        error = (a - b) ** 2
        error = error if mask is None else error[mask]
        return float(-10 * torch.log10(error.mean()))

    return measure
