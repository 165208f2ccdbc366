import math

import pytest
import torch

from hybridwm.core.conditioning import Recalled, recall_tensor, to_images, to_video
from hybridwm.core.embeddings import patchify, relative_rays, unpatchify
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
    render = RenderOutput(
        0.8 * alpha[..., None].expand(2, 2, 3), alpha, torch.ones(2, 2), 0.25 * alpha[..., None]
    )
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
    rays = relative_rays(camera.K, camera.w2c, torch.eye(4), patch=8, width=24, height=8)
    assert rays.shape == (3, 6)
    assert torch.allclose(rays[1, 3:], torch.tensor([math.sin(angle), 0, math.cos(angle)]), atol=1e-6)
    assert (rays[:, :3] == 0).all()
    forward = torch.eye(4)
    forward[2, 3] = -0.5  # half a metre forward: world points come nearer
    rays = relative_rays(camera.K, forward, torch.eye(4), patch=8, width=24, height=8)
    assert torch.allclose(rays[0, :3], torch.tensor([0, 0, 0.5]))
