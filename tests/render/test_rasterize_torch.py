"""The oracle itself, checked against arithmetic done another way."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from render import Camera, Gaussians, evaluate_sh, rasterize, sh_from_rgb
from render.geometry import matrix_from_quats
from render.rasterize_torch import rasterize_torch


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
    assert output.rgb[13, 22].tolist() == pytest.approx([0.9 * expected, 0.5 * expected, 0.1 * expected], rel=1e-4)
    assert output.depth[13, 20].item() == pytest.approx(2.0, rel=1e-5) and output.depth[0, 0] == 0
    assert output.alpha[13, 19].item() == pytest.approx(output.alpha[13, 20].item(), rel=1e-5)  # symmetric in cx


def test_a_few_splats_against_pixel_by_pixel_arithmetic(random_gaussians, camera):
    gaussians = random_gaussians(3, 12, sh_degree=2).to(torch.float64)
    gaussians = gaussians[(gaussians.means[:, 2] > 1.5) & (gaussians.means[:, :2].abs() < 1).all(dim=1)]
    ahead = torch.tensor([[0.1, -0.2, 2.0], [0.0, 0.1, 3.0]], dtype=torch.float64)
    twins = random_gaussians(4, 2, sh_degree=2, log_size=-1.5).to(torch.float64)
    gaussians = Gaussians.cat([gaussians, Gaussians(ahead, twins.quats, twins.scales, twins.opacities, twins.sh)])
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


@pytest.mark.parametrize("scale", [1.0, 1.7])
def test_the_image_does_not_change_when_scene_and_camera_move_together(scale, random_gaussians, camera, similarity):
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


def one_gaussian(mean=(0.0, 0.0, 2.0), scale=0.1, opacity=0.8, dtype=torch.float64):
    return Gaussians(
        means=torch.tensor([mean], dtype=dtype),
        quats=torch.tensor([[1.0, 0, 0, 0]], dtype=dtype),
        scales=torch.full((1, 3), scale, dtype=dtype),
        opacities=torch.tensor([opacity], dtype=dtype),
        sh=torch.full((1, 1, 3), 1.2, dtype=dtype),
    )


def plain_camera(dtype=torch.float64):
    return Camera(torch.tensor([[50.0, 0, 20], [0, 40, 13], [0, 0, 1]], dtype=dtype), torch.eye(4, dtype=dtype), 41, 27)


def test_a_point_is_drawn_as_the_blob_of_the_dilation_alone():
    output = rasterize(one_gaussian(scale=0.0), plain_camera(), backend="torch")
    # The nearest pixel centre is half a pixel off in u and in v.
    expected = 0.8 * np.exp(-(0.5**2 + 0.5**2) / (2 * 0.3))
    assert output.alpha[13, 20].item() == pytest.approx(expected, rel=1e-12)
    assert (output.alpha > 0).sum() == 12  # 4 x 4 without its corners: alpha falls below 1/255 at 1.79 pixels


@pytest.mark.parametrize("scale", [0.001, 0.02, 0.3])
def test_antialiased_splats_keep_their_energy(scale):
    gaussians, camera = one_gaussian(scale=scale, opacity=0.9), plain_camera()
    plain = rasterize(gaussians, camera, backend="torch")
    output = rasterize_torch(gaussians, Camera.stack([camera]), antialiased=True)
    variances = np.array([(50 * scale / 2) ** 2, (40 * scale / 2) ** 2])
    share = np.sqrt(variances.prod() / (variances + 0.3).prod())
    both = (output.alpha[0] > 0) & (plain.alpha > 0)
    if 0.9 * share * np.exp(-0.5 * (0.5**2 / (variances + 0.3)).sum()) < 1 / 255:
        assert not output.alpha.any()  # too faint to be drawn at all
    else:
        assert both.any()
        assert torch.allclose(output.alpha[0][both], share * plain.alpha[both], rtol=1e-9)
    point = rasterize_torch(one_gaussian(scale=0.0), Camera.stack([camera]), antialiased=True)
    assert not point.alpha.any()


def test_what_is_not_before_the_near_plane_is_not_drawn():
    for z, drawn in ((-2.0, False), (0.0, False), (0.0099, False), (0.0101, True)):
        # Large enough to reach across the near plane: the centre alone decides.
        output = rasterize(one_gaussian(mean=(0.0, 0.0, z), scale=0.5), plain_camera(), backend="torch")
        assert output.alpha.any() == drawn
        assert output.rgb.isfinite().all() and output.depth.isfinite().all()


def test_opacities_of_none_and_all():
    assert not rasterize(one_gaussian(opacity=0.0), plain_camera(), backend="torch").alpha.any()
    output = rasterize(one_gaussian(opacity=1.0, scale=5.0), plain_camera(), backend="torch")
    assert output.alpha.max() == pytest.approx(0.999) and output.depth[13, 20] == pytest.approx(2.0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_image_of_one_pixel_and_scenes_of_nothing(dtype, random_gaussians):
    K = torch.tensor([[0.7, 0, 0.4], [0, 0.9, 0.6], [0, 0, 1]], dtype=dtype)
    camera = Camera(K, torch.eye(4, dtype=dtype), 1, 1)
    output = rasterize(one_gaussian(dtype=dtype), camera, backend="torch")
    variances = (np.array([0.7, 0.9]) * 0.1 / 2) ** 2 + 0.3
    expected = 0.8 * np.exp(-0.5 * (0.1**2 / variances).sum())
    assert output.alpha.shape == (1, 1) and output.alpha.item() == pytest.approx(expected, rel=1e-5)
    for nothing in (Gaussians.empty(2, 3, dtype=dtype), random_gaussians(0, 20, features=3).to(dtype)[:0]):
        output = rasterize(nothing, plain_camera(dtype), backend="torch")
        assert output.features.shape == (27, 41, 3) and output.rgb.dtype == dtype
        assert not output.rgb.any() and not output.alpha.any() and not output.depth.any()


def test_the_length_of_a_quaternion_means_nothing_and_zero_is_no_rotation(random_gaussians, camera):
    gaussians, camera = random_gaussians(1, 80).to(torch.float64), camera.to(torch.float64)
    lengths = torch.linspace(0.01, 30, 80, dtype=torch.float64)[:, None]
    same = rasterize(replace(gaussians, quats=gaussians.quats * lengths), camera)
    assert torch.allclose(same.rgb, rasterize(gaussians, camera).rgb, atol=1e-12)
    unit = torch.tensor([[1.0, 0, 0, 0]], dtype=torch.float64).repeat(80, 1)
    none = rasterize(replace(gaussians, quats=0 * unit), camera)
    assert torch.equal(none.rgb, rasterize(replace(gaussians, quats=unit), camera).rgb)


def test_what_cannot_be_rendered_is_named(random_gaussians, camera):
    gaussians = random_gaussians(0, 20)
    gaussians.scales[4] = float("nan")
    with pytest.raises(ValueError, match="Gaussians.scales must be finite .*Gaussian 4"):
        rasterize(gaussians, camera, backend="torch")
    singular = replace(camera, K=torch.zeros(3, 3))
    with pytest.raises(ValueError, match="positive focal lengths"):
        rasterize(random_gaussians(0, 20), singular, backend="torch")
