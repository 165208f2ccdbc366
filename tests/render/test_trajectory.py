import pytest
import torch

from render import Camera
from render.geometry import project
from render.trajectory import interpolate, look_at, orbit, sway


def test_look_at_in_numbers():
    # From 2 m south, looking north, world +z up: east is right, up is -y of the image.
    w2c = look_at(torch.tensor([0.0, -2.0, 0.0]), torch.zeros(3))
    assert torch.allclose(
        w2c @ torch.tensor([1.0, 0.0, 0.5, 1.0]), torch.tensor([1.0, -0.5, 2.0, 1.0]), atol=1e-6
    )
    assert torch.linalg.det(w2c[:3, :3]).item() == pytest.approx(1)
    with pytest.raises(ValueError, match="not along the view"):
        look_at(torch.zeros(3), torch.tensor([0.0, 0.0, 1.0]))


def test_orbit_and_sway_keep_their_target_in_the_middle():
    target = torch.tensor([0.5, 1.0, 0.2])
    circle = orbit(target, 3.0, 8, width=70, height=45, fov_x_degrees=60.0)
    pixels, depth = project(target[None], Camera(circle.K, circle.w2c, 70, 45))
    assert torch.allclose(pixels, torch.tensor([35.0, 22.5]), atol=1e-3)
    assert torch.allclose(depth, torch.tensor(3.0), atol=1e-5)
    swayed = sway(circle[0], 3.0, 0.2, 5)
    assert torch.allclose(project(target[None], swayed)[0], torch.tensor([35.0, 22.5]), atol=1e-3)
    assert torch.allclose((swayed.center - circle[0].center).norm(dim=-1), torch.tensor(0.2), atol=1e-5)


def test_interpolation_starts_ends_and_turns_evenly(camera, similarity):
    turned = camera.w2c @ similarity(turn_degrees=150.0).float()
    last = Camera(camera.K * 1.0, turned, 70, 45)
    path = interpolate(camera, last, 7)
    assert torch.allclose(path.w2c[0], camera.w2c, atol=1e-5) and torch.allclose(
        path.w2c[-1], turned, atol=1e-5
    )
    steps = path.w2c[1:, :3, :3] @ path.w2c[:-1, :3, :3].transpose(1, 2)
    angles = ((steps.diagonal(dim1=1, dim2=2).sum(-1) - 1) / 2).clamp(-1, 1).acos().rad2deg()
    assert torch.allclose(angles, torch.tensor(25.0), atol=0.1)
    still = interpolate(camera, camera, 3)
    assert torch.allclose(still.w2c, camera.w2c.expand(3, 4, 4), atol=1e-5)
    with pytest.raises(ValueError, match="at least 2"):
        interpolate(camera, last, 1)
