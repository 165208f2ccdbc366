"""Exact synthetic truth: textured planes seen by pinhole cameras, with no image sampled twice."""

import jaxtyping
import pytest
import torch

from recon.view import View
from render.camera import Camera
from render.geometry import project
from render.trajectory import look_at


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
def arc_of_cameras():
    """arc_of_cameras(count, degrees, wander): float64 cameras on an arc of 5 m about the origin, looking at it."""

    def make(count=8, degrees=40.0, wander=0.3, seed=0, width=640, height=480):
        generator = torch.Generator().manual_seed(seed)
        angle = torch.deg2rad(torch.linspace(-degrees / 2, degrees / 2, count).double())
        eye = 5 * torch.stack([angle.sin(), torch.zeros_like(angle), -angle.cos()], dim=1)
        eye = eye + wander * (torch.rand(count, 3, generator=generator).double() - 0.5)
        w2c = look_at(eye, torch.zeros(1, 3).double(), torch.tensor([[0.0, -1.0, 0.0]]).double())
        K = torch.tensor([[520.0, 0, width / 2 - 7.3], [0, 515.0, height / 2 + 4.8], [0, 0, 1]]).double()
        return Camera(K.expand(count, 3, 3), w2c, width, height)

    return make


@pytest.fixture(scope="session")
def see_points():
    """see_points(cameras, points, noise, wrong): pixels [V, N, 2] and whether each is in the image; of the pixels the
    share `wrong` lies anywhere instead."""

    def see(cameras, points, noise=0.5, wrong=0.0, seed=0):
        generator = torch.Generator().manual_seed(seed)
        pixels, depth = project(points[None], cameras)
        size = torch.tensor([cameras.width, cameras.height]).double()
        seen = (depth > 0) & ((pixels > 0) & (pixels < size)).all(-1)
        pixels = pixels + noise * torch.randn(pixels.shape, generator=generator).double()
        anywhere = torch.rand(pixels.shape, generator=generator).double() * size
        replaced = torch.rand(pixels.shape[:2], generator=generator) < wrong
        return torch.where(replaced[..., None], anywhere, pixels), seen

    return see


@pytest.fixture(scope="session")
def psnr():
    def measure(a, b, mask=None):
        error = (a - b) ** 2
        error = error if mask is None else error[mask]
        return float(-10 * torch.log10(error.mean()))

    return measure
