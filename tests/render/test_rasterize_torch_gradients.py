"""The oracle's gradients: against finite differences, and finite where there is nothing to differentiate.

Finite differences mean nothing where the image jumps or bends (an alpha at 1/255 or 0.999, a pixel that ends,
the depth's cut at alpha 0.5, a colour at 0, the Jacobian's frozen border), so every scene here is first shown to
keep away from those places.
"""

from dataclasses import fields

import pytest
import torch

from render import Camera, Gaussians
from render.geometry import pixel_grid
from render.rasterize import MAX_ALPHA, MIN_ALPHA, MIN_TRANSMITTANCE
from render.rasterize_torch import project_gaussians, rasterize_torch
from render.transforms import invert_rigid

WIDTH, HEIGHT = 9, 7
NAMES = [field.name for field in fields(Gaussians)]
MARGIN = 1e-4  # relative; the steps of 1e-6 move alphas by far less


def scene_before(camera, generator, *, places, log_size, sh_degree=1, features=1):
    """Splats at (u / WIDTH, v / HEIGHT, z) of the camera, float64; quaternions of any length."""
    places = torch.tensor(places, dtype=torch.float64)
    n = len(places)
    x = (places[:, 0] * WIDTH - camera.K[0, 2]) / camera.K[0, 0] * places[:, 2]
    y = (places[:, 1] * HEIGHT - camera.K[1, 2]) / camera.K[1, 1] * places[:, 2]
    in_camera = torch.stack([x, y, places[:, 2], torch.ones(n, dtype=torch.float64)], dim=1)

    def uniform(*shape):
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    return Gaussians(
        means=(in_camera @ invert_rigid(camera.w2c).T)[:, :3],
        quats=3 * (uniform(n, 4) - 0.5),
        scales=torch.exp(log_size + uniform(n, 3) - 0.5),
        opacities=0.3 + 0.6 * uniform(n),
        sh=(uniform(n, (sh_degree + 1) ** 2, 3) - 0.3) * 0.8,
        features=uniform(n, features),
    )


def distance_to_jumps(gaussians, camera, antialiased):
    """The smallest relative distance of any quantity to a value where the image is not smooth."""
    splats = project_gaussians(gaussians, camera, antialiased=antialiased)
    offset = pixel_grid(WIDTH, HEIGHT, dtype=torch.float64)[:, :, None] - splats.pixels
    dx, dy = offset.unbind(-1)
    xx, xy, yy = splats.conics.unbind(-1)
    alpha = splats.opacities * torch.exp(-0.5 * (xx * dx * dx + yy * dy * dy) - xy * dx * dy)
    shown = torch.where(alpha < MIN_ALPHA, torch.zeros_like(alpha), alpha.clamp(max=MAX_ALPHA))
    left = torch.cumprod(1 - shown, dim=-1)
    total = rasterize_torch(gaussians, Camera.stack([camera]), antialiased=antialiased).alpha[0]
    frozen = []  # slopes at the border of the Jacobian
    x, y = (splats.pixels - camera.K[:2, 2]).unbind(-1)
    for value, low, high, size in (
        (x, -camera.K[0, 2], WIDTH - camera.K[0, 2], WIDTH),
        (y, -camera.K[1, 2], HEIGHT - camera.K[1, 2], HEIGHT),
    ):
        frozen += [value - low + 0.15 * size, value - high - 0.15 * size]
    near = [
        alpha / MIN_ALPHA - 1,
        alpha / MAX_ALPHA - 1,
        left / MIN_TRANSMITTANCE - 1,
        total / 0.5 - 1,
        splats.channels[:, :3],  # cut at 0
        torch.stack(frozen),
    ]
    return min(values.abs().min().item() for values in near)


FRONT = [(0.4, 0.5, 2.0), (0.2, 0.7, 2.5), (0.8, 0.3, 3.0), (0.5, 0.6, 3.5)]
SCENES = {
    "in view": dict(places=FRONT[:3], log_size=-0.5),
    "third degree": dict(places=FRONT, log_size=-0.5, sh_degree=3),
    "small": dict(places=FRONT, log_size=-1.5),
    "beyond the border, and behind": dict(
        places=[*FRONT[:2], (1.6, 0.4, 1.5), (-0.7, 1.5, 2.2), (0.5, 0.5, -2.0), (0.5, 0.5, 0.005)], log_size=0.3
    ),
    "capped and ended": dict(places=[*FRONT, (0.5, 0.4, 4.0), (0.45, 0.5, 4.5)], log_size=1.5, opaque=True),
}


@pytest.mark.parametrize("antialiased", [False, True], ids=["", "antialiased"])
@pytest.mark.parametrize("name", SCENES)
def test_gradients_are_the_derivatives(name, antialiased, camera):
    camera = camera.resized(WIDTH, HEIGHT).to(torch.float64)
    settings = dict(SCENES[name])
    opaque = settings.pop("opaque", False)
    for seed in range(40):
        scene = scene_before(camera, torch.Generator().manual_seed(seed), **settings)
        if opaque:
            scene.opacities[:] = 0.9995
        if distance_to_jumps(scene, camera, antialiased) > MARGIN:
            break
    else:
        pytest.fail("no seed gives a scene that keeps away from the jumps")
    inputs = tuple(getattr(scene, field) for field in NAMES) + (camera.w2c, camera.K)
    inputs = tuple(value.clone().requires_grad_() for value in inputs)

    def image(*values):
        cameras = Camera(values[-1][None], values[-2][None], WIDTH, HEIGHT)
        output = rasterize_torch(Gaussians(*values[:-2]), cameras, antialiased=antialiased)
        return output.rgb, output.alpha, output.features, output.depth

    output = image(*inputs)
    assert output[1].max() > 0.5, "depth must be seen"
    if opaque:
        assert (output[1] > 0.9995).any(), "a pixel must have ended"
    # fast_mode compares along random directions; every entry by itself in one scene.
    assert torch.autograd.gradcheck(image, inputs, fast_mode=name != "in view")


def gradients(gaussians, camera, **arguments):
    """Gradients of every output's sum to every field, and to w2c and K."""
    leaves = {
        name: None if getattr(gaussians, name) is None else getattr(gaussians, name).clone().requires_grad_()
        for name in NAMES
    }
    w2c, K = camera.w2c.clone().requires_grad_(), camera.K.clone().requires_grad_()
    output = rasterize_torch(Gaussians(**leaves), Camera(K[None], w2c[None], camera.width, camera.height), **arguments)
    total = output.rgb.sum() + 2 * output.alpha.sum() + 0.3 * output.depth.sum()
    if output.features is not None:
        total = total + output.features.square().sum()
    total.backward()
    found = {name: leaf.grad for name, leaf in leaves.items() if leaf is not None}
    return {**found, "w2c": w2c.grad, "K": K.grad}


@pytest.mark.parametrize("antialiased", [False, True], ids=["", "antialiased"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_gradient_is_nan_however_odd_the_gaussians(dtype, antialiased, camera):
    """Points, planets, the near plane, the camera's own place, opacities 0 and 1, quaternions that are zero."""
    z = torch.tensor([-5.0, 0.0, 0.01, 0.010001, 3.0, 1e9])
    in_camera = torch.cartesian_prod(torch.tensor([-1e9, 0.0, 0.5]), torch.tensor([0.0]), z)
    sizes = torch.tensor([0.0, 1e-30, 1e-3, 1.0, 1e6, 1e15])
    grid = torch.cartesian_prod(torch.arange(len(in_camera)), torch.arange(len(sizes)), torch.arange(3))
    in_camera = in_camera[grid[:, 0]]
    n = len(grid)
    gaussians = Gaussians(
        means=(in_camera - camera.w2c[:3, 3]) @ camera.w2c[:3, :3],
        quats=torch.zeros(n, 4),
        scales=sizes[grid[:, 1], None].repeat(1, 3),
        opacities=torch.tensor([0.0, 0.3, 1.0])[grid[:, 2]],
        sh=torch.ones(n, 4, 3),
        features=torch.ones(n, 2),
    )
    found = gradients(gaussians.to(dtype), camera.to(dtype), antialiased=antialiased)
    for name, gradient in found.items():
        assert gradient.isfinite().all(), name
    assert found["sh"].abs().sum() > 0
    culled = (in_camera[:, 2] < 0.005) | (gaussians.opacities == 0)
    assert all(not found[name][culled].any() for name in NAMES)


def test_quaternions_are_normalised_so_their_length_has_no_gradient(random_gaussians, camera):
    gaussians = random_gaussians(2, 40, log_size=-1.5).to(torch.float64)
    found = gradients(gaussians, camera.to(torch.float64))["quats"]
    along = (found * gaussians.quats).sum(dim=-1)
    assert found.norm() > 1 and along.abs().max() < 1e-9 * found.norm()
    longer = Gaussians(gaussians.means, 5 * gaussians.quats, gaussians.scales, gaussians.opacities, gaussians.sh)
    assert torch.allclose(5 * gradients(longer, camera.to(torch.float64))["quats"], found, atol=1e-9)
