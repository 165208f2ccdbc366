"""The oracle itself, checked against arithmetic done another way."""

import numpy as np
import pytest
import torch

from render import Camera, Gaussians, evaluate_sh, rasterize, sh_from_rgb
from render.geometry import matrix_from_quats
from render.rasterize_torch import project_gaussians


def by_hand(gaussians, camera):
    """float64, one pixel and splat at a time, with the projection's derivative taken numerically."""
    w2c, K = camera.w2c.numpy(), camera.K.numpy()

    def pixel(point):
        x = K @ (w2c[:3, :3] @ point + w2c[:3, 3])
        return x[:2] / x[2]

    splats = []
    colours = evaluate_sh(gaussians.sh, gaussians.means - camera.center).numpy()
    for i in range(len(gaussians)):
        mean = gaussians.means[i].numpy()
        step = 1e-6 * np.eye(3)
        jacobian = np.stack([(pixel(mean + s) - pixel(mean - s)) / 2e-6 for s in step], axis=1)
        axes = matrix_from_quats(gaussians.quats[i]).numpy() @ np.diag(gaussians.scales[i].numpy())
        covariance = jacobian @ axes @ axes.T @ jacobian.T + 0.3 * np.eye(2)
        z = (w2c[:3, :3] @ mean + w2c[:3, 3])[2]
        splats.append((z, pixel(mean), np.linalg.inv(covariance), gaussians.opacities[i].item(), colours[i]))
    rgb, alpha = np.zeros((camera.height, camera.width, 3)), np.zeros((camera.height, camera.width))
    depth = np.zeros_like(alpha)
    for row in range(camera.height):
        for column in range(camera.width):
            left = 1.0
            for z, center, conic, opacity, colour in sorted(splats, key=lambda splat: splat[0]):
                offset = np.array([column + 0.5, row + 0.5]) - center
                a = min(0.999, opacity * np.exp(-0.5 * offset @ conic @ offset))
                if a < 1 / 255:
                    continue
                if left * (1 - a) <= 1e-4:
                    break
                rgb[row, column] += a * left * colour
                depth[row, column] += a * left * z
                left *= 1 - a
            alpha[row, column] = 1 - left
    return rgb, alpha, np.where(alpha > 0.5, depth / np.maximum(alpha, 0.5), 0)


def test_one_round_splat_in_closed_form():
    camera = Camera(torch.tensor([[50.0, 0, 20], [0, 50, 13], [0, 0, 1]]), torch.eye(4), 41, 27)
    gaussian = Gaussians(
        means=torch.tensor([[0.0, 0.0, 2.0]]),
        quats=torch.tensor([[1.0, 0, 0, 0]]),
        scales=torch.full((1, 3), 0.1),
        opacities=torch.tensor([0.8]),
        sh=sh_from_rgb(torch.tensor([[0.9, 0.5, 0.1]])),
    )
    output = rasterize(gaussian, camera, backend="torch")
    variance = (50 * 0.1 / 2) ** 2 + 0.3
    # The pixel in row 13, column 22 has its centre at (22.5, 13.5), so 2.5 and 0.5 from the splat's centre.
    expected = 0.8 * np.exp(-(2.5**2 + 0.5**2) / (2 * variance))
    assert output.alpha[13, 22].item() == pytest.approx(expected, rel=1e-5)
    assert output.rgb[13, 22].tolist() == pytest.approx(
        [0.9 * expected, 0.5 * expected, 0.1 * expected], rel=1e-4
    )
    assert output.depth[13, 20].item() == pytest.approx(2.0, rel=1e-5) and output.depth[0, 0] == 0
    assert output.alpha[13, 19].item() == pytest.approx(
        output.alpha[13, 20].item(), rel=1e-5
    )  # symmetric in cx


def test_a_few_splats_against_pixel_by_pixel_arithmetic(random_gaussians, camera):
    gaussians = random_gaussians(3, 12, sh_degree=2).to(torch.float64)
    gaussians = gaussians[(gaussians.means[:, 2] > 1.5) & (gaussians.means[:, :2].abs() < 1).all(dim=1)]
    ahead = torch.tensor([[0.1, -0.2, 2.0], [0.0, 0.1, 3.0]], dtype=torch.float64)
    twins = random_gaussians(4, 2, sh_degree=2, log_size=-1.5).to(torch.float64)
    gaussians = Gaussians.cat(
        [gaussians, Gaussians(ahead, twins.quats, twins.scales, twins.opacities, twins.sh)]
    )
    camera = camera.to(torch.float64)
    output = rasterize(gaussians, camera, backend="torch")
    rgb, alpha, depth = by_hand(gaussians, camera)
    assert alpha.max() > 0.6
    assert np.abs(output.rgb.numpy() - rgb).max() < 1e-8
    assert np.abs(output.alpha.numpy() - alpha).max() < 1e-8
    assert np.abs(output.depth.numpy() - depth).max() < 1e-7


def test_opaque_splats_in_front_end_a_pixel():
    n = 6
    camera = Camera.from_fov(9, 5, 60.0)
    gaussians = Gaussians(
        means=torch.stack([torch.zeros(n), torch.zeros(n), 1 + torch.arange(n) / 10], dim=1).flip(0),
        quats=torch.tensor([[1.0, 0, 0, 0]]).repeat(n, 1),
        scales=torch.full((n, 3), 5.0),
        opacities=torch.ones(n),
        sh=sh_from_rgb(torch.linspace(0, 1, n)[:, None].repeat(1, 3)).flip(0),
    )
    output = rasterize(gaussians, camera, backend="torch")
    # alpha is capped at 0.999; the second splat would leave 1e-6 <= 1e-4, so only the first is drawn.
    assert output.alpha[2, 4].item() == pytest.approx(0.999) and output.rgb[2, 4, 0].item() == 0
    assert output.depth[2, 4].item() == pytest.approx(1.0, rel=1e-5)


def test_gradients_are_the_derivatives(random_gaussians, camera):
    n = 4
    scene = random_gaussians(5, n, sh_degree=1, features=1, log_size=-1.0).to(torch.float64)
    means = torch.tensor([[0.1, 0.0, 2.0], [-0.2, 0.1, 2.5], [0.3, -0.2, 3.0], [0.0, 0.2, 3.5]])
    small = camera.resized(9, 7).to(torch.float64)
    inputs = (means.double(), scene.quats, scene.scales, scene.opacities, scene.sh, scene.features, small.w2c)

    def image(means, quats, scales, opacities, sh, features, w2c):
        gaussians = Gaussians(means, quats, scales, opacities, sh, features)
        output = rasterize(gaussians, Camera(small.K, w2c, 9, 7), backend="torch")
        return output.rgb, output.alpha, output.features, output.depth

    inputs = tuple(value.clone().requires_grad_() for value in inputs)
    # fast_mode compares along random directions: the same strictness at a fraction of the renders.
    assert torch.autograd.gradcheck(image, inputs, eps=1e-7, atol=1e-4, rtol=1e-3, fast_mode=True)


@pytest.mark.parametrize("scale", [1.0, 1.7])
def test_the_image_does_not_change_when_scene_and_camera_move_together(
    scale, random_gaussians, camera, similarity
):
    gaussians, camera = random_gaussians(6, 120, sh_degree=3).to(torch.float64), camera.to(torch.float64)
    b_from_a = similarity(scale)
    rotation = b_from_a[:3, :3] / scale
    w2c = torch.eye(4, dtype=torch.float64)
    w2c[:3, :3] = camera.w2c[:3, :3] @ rotation.T
    w2c[:3, 3] = scale * camera.w2c[:3, 3] - w2c[:3, :3] @ b_from_a[:3, 3]
    # The near plane is in metres and does not scale along, so nothing may lie close to it.
    gaussians = gaussians[camera.w2c[2, :3] @ gaussians.means.T + camera.w2c[2, 3] > 0.05]
    before = rasterize(gaussians, camera)
    after = rasterize(gaussians.transform(b_from_a), Camera(camera.K, w2c, camera.width, camera.height))
    assert before.alpha.mean() > 0.05
    assert torch.allclose(after.rgb, before.rgb, atol=1e-6)
    assert torch.allclose(after.depth, scale * before.depth, atol=1e-6)


def test_projection_equals_gsplats_at_recorded_cameras(shared_data):
    folder = shared_data("splats/gsplat_torch_reference")
    with np.load(folder / "gsplat153_garden_projection_reference.npz") as file:
        values = {name: torch.from_numpy(file[name]) for name in file.files if file[name].ndim}
    opaque = torch.ones(len(values["means"]))
    scene = Gaussians(values["means"], values["quats_wxyz"], values["scales"], opaque, values["sh"])
    for i in range(3):
        seen = (values["radii"][i] > 0).all(dim=-1)
        splats = project_gaussians(scene[seen], Camera(values["Ks"][i], values["viewmats"][i], 648, 420))
        order = torch.argsort(values["depths"][i][seen], stable=True)
        assert torch.allclose(splats.pixels, values["means2d"][i][seen][order], rtol=1e-4, atol=1e-3)
        assert torch.allclose(splats.conics, values["conics"][i][seen][order], rtol=1e-3, atol=1e-4)


def test_an_independent_renderers_image(shared_data):
    from render import load
    from render.images import read_image
    from render.trajectory import look_at

    folder = shared_data("splats/golden_render_tiny")
    turn = torch.diag(torch.tensor([-1.0, -1.0, 1.0, 1.0]))
    gaussians = load(folder / "golden_tiny.ply").transform(turn)
    focal = 120 / np.tan(np.radians(30))
    K = torch.tensor([[focal, 0, 160], [0, focal, 120], [0, 0, 1]], dtype=torch.float32)
    eye, up = torch.tensor([0.0, 5.0, -8.0]), torch.tensor([0.0, 1.0, 0.0])
    camera = Camera(K, look_at(eye, torch.zeros(3), up), 320, 240)
    expected = read_image(folder / "tiny.webp")
    for backend in ("torch", "cpu"):
        error = rasterize(gaussians, camera, backend=backend).rgb.clamp(0, 1) - expected
        psnr = -10 * torch.log10(error.square().mean())
        assert (
            psnr > 46
        )  # it subtracts exp(-4.5) from the falloff, which alone costs 47.7 dB; a flip gives 26
