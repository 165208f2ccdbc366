"""One image that another tool rendered: 400 round splats by PlayCanvas' splat-transform (WebGPU, Inria's constants).

That tool turns the PLY by 180 degrees about z before it renders, looks from (0, 5, -8) at the origin with +y up, and
has a vertical field of view of 60 degrees; those are its conventions, so they are undone here and not in the package.
It also lowers every falloff by exp(-4.5), which alone costs 47.7 dB, and caps alpha at 0.99. A missing flip
gives 26 dB.
"""

import math

import pytest
import torch

from render import Camera, load, rasterize
from render.images import read_image
from render.trajectory import look_at

WIDTH, HEIGHT, FOV_Y_DEGREES = 320, 240, 60.0


@pytest.fixture
def golden(shared_data):
    folder = shared_data("splats/golden_render_tiny")
    gaussians = load(folder / "golden_tiny.ply").transform(torch.diag(torch.tensor([-1.0, -1.0, 1.0, 1.0])))
    focal = HEIGHT / 2 / math.tan(math.radians(FOV_Y_DEGREES / 2))
    K = torch.tensor([[focal, 0.0, WIDTH / 2], [0.0, focal, HEIGHT / 2], [0.0, 0.0, 1.0]])
    w2c = look_at(torch.tensor([0.0, 5.0, -8.0]), torch.zeros(3), torch.tensor([0.0, 1.0, 0.0]))
    image = read_image(folder / "tiny.webp")
    assert image.shape == (HEIGHT, WIDTH, 3) and len(gaussians) == 400
    return gaussians, Camera(K, w2c, WIDTH, HEIGHT), image


def psnr(left, right):
    return -10 * torch.log10((left - right).square().mean()).item()


@pytest.mark.parametrize("backend", ["torch", "cpu"])
def test_an_independent_renderers_image(backend, golden):
    gaussians, camera, expected = golden
    ours = rasterize(gaussians, camera, backend=backend).rgb.clamp(0, 1)
    assert psnr(ours, expected) > 47
    assert psnr(ours.flip(1), expected) < 30 and psnr(ours.flip(0), expected) < 30  # the bound can fail


@pytest.mark.parametrize("backend", ["torch", "cpu"])
def test_half_a_pixel_would_show(backend, golden):
    gaussians, camera, expected = golden
    K = camera.K.clone()
    K[:2, 2] -= 0.5
    shifted = Camera(K, camera.w2c, WIDTH, HEIGHT)
    assert psnr(rasterize(gaussians, shifted, backend=backend).rgb.clamp(0, 1), expected) < 40
