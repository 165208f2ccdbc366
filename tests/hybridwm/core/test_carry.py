"""The frame before, carried to the present camera: exact for known geometry, empty where it cannot be seen."""

import torch

from hybridwm.core.carry import carry
from hybridwm.core.embeddings import eye_motion
from hybridwm.training.episodes import make_episodes
from hybridwm.worlds.rooms.rig import RoomsRig


def test_true_depth_carries_a_frame_onto_the_next():
    """PSNR in a room: true inverse depth far above a copy, and a motion of the wrong sign below it."""
    rig = RoomsRig(size=48)
    walks = make_episodes([9_000_001, 9_000_002], 12, rig, torch.device("cpu"))
    images = walks.rgb.float().div(255).movedim(-1, -3)[:, :, 0]
    motion = eye_motion(walks.w2c[:, :-1], walks.w2c[:, 1:], 2, rig.baseline)[:, :, 0]
    K = rig.camera(walks.w2c[:, 1:]).K
    inverse_depth = 1 / walks.depth[:, 1:].float().clamp(min=0.1)
    now, before = images[:, 1:], images[:, :-1]

    def psnr(a, where):
        return -10 * (a - now).square().mean(2)[where].mean().log10()

    shown, inside = carry(before, K, motion, inverse_depth)
    turned = torch.linalg.inv(motion)
    wrong, also = carry(before, K, turned, inverse_depth)
    assert psnr(shown, inside) > psnr(before, inside) + 6
    assert psnr(wrong, also) < psnr(before, also) + 1
    assert 0.5 < inside.float().mean() < 1


def test_no_motion_is_the_frame_itself_and_a_shift_moves_it():
    previous = torch.rand(3, 8, 12)
    K = torch.tensor([[10.0, 0, 6], [0, 10, 4], [0, 0, 1]])
    still, inside = carry(previous, K, torch.eye(4), torch.full((8, 12), 0.4))
    assert torch.allclose(still, previous, atol=1e-5) and inside.all()
    shift = torch.zeros(2, 8, 12)
    shift[0] = 2  # look two pixels further to the right
    moved, inside = carry(previous, K, torch.eye(4), torch.full((8, 12), 0.4), shift)
    assert torch.allclose(moved[:, :, :10], previous[:, :, 2:], atol=1e-5)
    assert inside[:, :10].all() and not inside[:, 10:].any()


def test_what_lies_behind_the_camera_before_is_not_seen():
    K = torch.tensor([[10.0, 0, 6], [0, 10, 4], [0, 0, 1]])
    back = torch.eye(4)
    back[2, 3] = -1.0  # the camera before stood a metre further on
    near = torch.full((8, 12), 2.0)  # half a metre ahead of the present one
    assert not carry(torch.rand(3, 8, 12), K, back, near)[1].any()
