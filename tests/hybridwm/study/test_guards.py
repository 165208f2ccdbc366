"""Guards do what their names say, and nothing more."""

import torch

from hybridwm.study import guards
from recon.view import View
from render.camera import Camera
from render.rasterize import RenderOutput


def turned(degrees: float, right: float = 0.0) -> Camera:
    angle = torch.deg2rad(torch.tensor(degrees))
    w2c = torch.eye(4)
    w2c[0, 0] = w2c[2, 2] = angle.cos()
    w2c[0, 2], w2c[2, 0] = -angle.sin(), angle.sin()
    w2c[0, 3] = -right
    return Camera.from_fov(4, 4, 77.0, w2c)


def view(value: float, camera: Camera) -> View:
    return View(torch.full((4, 4, 3), value), camera)


def render(alpha: float, value: float = 0.8) -> RenderOutput:
    opacity = torch.full((4, 4), alpha)
    return RenderOutput(torch.full((4, 4, 3), value) * opacity[..., None], opacity, torch.ones(4, 4))


VIEWS = [view(0.1, turned(0.0)), view(0.2, turned(30.0)), view(0.3, turned(60.0))]


def test_frozen_repeats_the_last_view():
    assert torch.equal(guards.frozen(VIEWS, 3), VIEWS[-1].image.expand(3, 4, 4, 3))


def test_nearest_past_frame_by_rotation_and_distance():
    frames = guards.nearest_past_frame(VIEWS, [turned(33.0), turned(-10.0), turned(30.0, right=0.1)])
    assert torch.allclose(frames[:, 0, 0, 0], torch.tensor([0.2, 0.1, 0.2]))
    twice = [view(0.1, turned(0.0)), view(0.9, turned(0.0))]
    assert float(guards.nearest_past_frame(twice, [turned(0.0)])[0, 0, 0, 0]) == twice[1].image[0, 0, 0]


def test_warp_and_composite_fill_what_the_scene_does_not_know():
    renders, cameras = [render(0.9), render(0.3)], [turned(0.0), turned(60.0)]
    warp = guards.pure_warp(renders, VIEWS, cameras)
    assert torch.allclose(warp[0], torch.tensor(0.8)) and torch.allclose(warp[1], torch.tensor(0.3))
    video = torch.full((2, 4, 4, 3), 0.5)
    glued = guards.composite(renders, video)
    assert torch.allclose(glued[0], torch.tensor(0.8)) and torch.allclose(glued[1], torch.tensor(0.5))
    assert guards.covered(renders).float().mean((1, 2)).tolist() == [1, 0]
