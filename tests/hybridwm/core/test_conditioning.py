import math

import pytest
import torch

from hybridwm.core.conditioning import (
    Recalled,
    Remembered,
    recall_tensor,
    remembered_tokens,
    to_images,
    to_video,
)
from hybridwm.core.config import CoreConfig
from hybridwm.core.embeddings import eye_motion, patchify, ray_map, unpatchify
from render import Camera, RenderOutput


def test_video_and_images_are_inverse_and_left_comes_first():
    left, right = torch.rand(8, 12, 3), torch.rand(8, 12, 3)
    video = to_video(left, right)
    assert video.shape == (6, 8, 12)
    assert torch.allclose(video[:3], left.movedim(-1, 0) * 2 - 1)
    a, b = to_images(video)
    assert (a - left).abs().max() <= 0.5 / 255 + 1e-6
    assert b is not None and (b - right).abs().max() <= 0.5 / 255 + 1e-6
    # quantised to 8 bits: a second trip changes nothing
    assert torch.equal(to_images(to_video(a, b))[0], a)


def test_patchify_round_trip_and_order():
    frames = torch.arange(2 * 3 * 8 * 12.0).view(2, 3, 8, 12)
    patches = patchify(frames, 4)
    assert patches.shape == (2, 6, 48)
    assert torch.equal(patches[0, 1].view(3, 4, 4), frames[0, :, :4, 4:8])
    assert torch.equal(unpatchify(patches, 4, 8, 12), frames)


def test_recall_colours_are_unpremultiplied_and_blind_pixels_grey():
    alpha = torch.tensor([[1.0, 0.5], [0.01, 0.0]])
    render = RenderOutput(0.8 * alpha[..., None].expand(2, 2, 3), alpha, torch.ones(2, 2), 0.25 * alpha[..., None])
    channels = recall_tensor(Recalled((render,)), 1, 2, 2)
    assert channels is not None
    assert torch.allclose(channels[:3, 0], torch.full((3, 2), 0.6))
    assert (channels[:3, 1] == 0).all()
    assert torch.equal(channels[3], alpha)
    assert torch.allclose(channels[4, 0], torch.full((2,), 0.25))
    assert recall_tensor(Recalled(), 1, 2, 2) is None


def test_recall_of_another_size_is_refused():
    render = RenderOutput(torch.zeros(2, 2, 3), torch.zeros(2, 2), torch.zeros(2, 2))
    with pytest.raises(ValueError, match="expected 4x4 as the core imagines; got 2x2"):
        recall_tensor(Recalled((render,)), 1, 4, 4)
    with pytest.raises(ValueError, match="one for each of 2 eyes; got 1"):
        recall_tensor(Recalled((render,)), 2, 2, 2)


def test_rays_are_seen_from_the_camera_before():
    """Turning right by 30 degrees: the new centre ray lies 30 degrees to the right of the old camera's axis."""
    angle = math.radians(30)
    c, s = math.cos(angle), math.sin(angle)
    # x_camera = w2c @ x_world; a camera turned to the right sees old-forward at its left
    turned = torch.tensor([[c, 0, -s, 0], [0, 1, 0, 0], [s, 0, c, 0], [0, 0, 0, 1.0]])
    camera = Camera.from_fov(24, 8, 60, turned)
    motion = eye_motion(torch.eye(4), camera.w2c, 1, 0.0)[0]
    rays = ray_map(camera.K, motion, patch=8, width=24, height=8)
    assert rays.shape == (3, 6)
    assert torch.allclose(rays[1, 3:], torch.tensor([math.sin(angle), 0, math.cos(angle)]), atol=1e-6)
    assert (rays[:, :3] == 0).all()
    forward = torch.eye(4)
    forward[2, 3] = -0.5  # half a metre forward: world points come nearer
    rays = ray_map(camera.K, eye_motion(torch.eye(4), forward, 1, 0.0)[0], patch=8, width=24, height=8)
    assert torch.allclose(rays[0, :3], torch.tensor([0, 0, 0.5]))


def test_the_right_eye_moves_as_its_own_camera_does():
    """previous_from_current of the right eye, against the two right cameras themselves."""
    g = torch.Generator().manual_seed(0)
    before, now = (random_rigid(g) for _ in range(2))
    motion = eye_motion(before, now, 2, 0.3)
    K = torch.eye(3)
    rights = [Camera(K, w2c, 8, 8).moved_right(0.3).w2c for w2c in (before, now)]
    assert torch.allclose(motion[0], before @ torch.linalg.inv(now), atol=1e-5)
    assert torch.allclose(motion[1], rights[0] @ torch.linalg.inv(rights[1]), atol=1e-5)


def random_rigid(g):
    q, _ = torch.linalg.qr(torch.randn(3, 3, generator=g))
    w2c = torch.eye(4)
    w2c[:3, :3] = q * torch.linalg.det(q)
    w2c[:3, 3] = torch.randn(3, generator=g)
    return w2c


def test_remembered_frames_become_patches_with_rays_in_the_camera():
    """A smaller frame of the same camera has, at its patch centres, the rays that the camera itself has there."""
    core = CoreConfig(height=32, width=32, eyes=1, dim=24, depth=2, heads=3)
    camera = Camera.from_fov(32, 32, 60, torch.eye(4))
    small = Camera.from_fov(16, 16, 60, torch.eye(4))
    tokens = remembered_tokens([Remembered(torch.rand(16, 16, 3), small)], camera, core)
    assert tokens.patches.shape == (1, 4, 3 * 64) and tokens.visible.all()
    expected = ray_map(camera.K, torch.eye(4), patch=16, width=32, height=32)
    assert torch.allclose(tokens.rays[0, 0], expected, atol=1e-6)
    with pytest.raises(ValueError, match="sides that patch=8 divides; got 12x16"):
        remembered_tokens([Remembered(torch.rand(12, 16, 3), small)], camera, core)
    with pytest.raises(ValueError, match="expected 1 eyes; got 2"):
        remembered_tokens([Remembered(torch.rand(16, 16, 3), small, torch.rand(16, 16, 3))], camera, core)
