"""Odometry: metric motions within bounds, failures told, lost pieces kept apart, a bad view stepped over."""

from dataclasses import replace

import pytest
import torch

from recon.alignment import align, rotation_degrees
from recon.odometry import depth_agreement, track, track_step
from recon.readers import read_captured
from recon.view import View
from render.camera import Camera
from render.trajectory import look_at
from render.transforms import invert_rigid

ROOM = [((0.25, 0.1, 1.0), 2.6), ((0.0, -1.0, 0.25), -1.2), ((1.0, 0.0, 0.3), 1.9)]


@pytest.fixture(scope="module")
def walk(see_planes):
    """Four views of three textured planes with depth and a right eye; their cameras are the truth."""
    x = torch.linspace(0, 0.3, 4)
    eye = torch.stack([x, 0.3 * x, 0.5 * x], dim=1)
    w2c = look_at(eye, torch.tensor([[0.2, 0.1, 2.4]]), torch.tensor([[0.0, -1.0, 0.0]]))
    K = torch.tensor([[240.0, 0, 155.0], [0, 240.0, 123.0], [0, 0, 1]])
    views = []
    for one in w2c:
        camera = Camera(K, one, 320, 240)
        image, depth = see_planes(camera, ROOM, shortest=0.08)
        right, _ = see_planes(camera.moved_right(0.12), ROOM, shortest=0.08)
        views.append(View(image, camera, depth=depth, right=right, baseline=0.12))
    return views


def errors(b_from_a, a, b):
    """Metres and degrees."""
    truth = b.camera.w2c.double() @ invert_rigid(a.camera.w2c.double())
    error = invert_rigid(truth) @ b_from_a
    return float(error[:3, 3].norm()), float(rotation_degrees(error[:3, :3]))


@pytest.mark.parametrize(("source", "metres", "degrees"), [("rgbd", 0.004, 0.1), ("stereo", 0.012, 0.3)])
def test_steps_are_metric(walk, source, metres, degrees):
    step = track_step(walk[0], walk[1], source)
    shift, turn = errors(step.b_from_a, walk[0], walk[1])
    assert step.tracked and shift < metres and turn < degrees and step.agreement > 0.9


def test_a_chain_in_the_world_of_its_first_camera(walk):
    lost = [replace(view, camera=replace(view.camera, w2c=torch.eye(4))) for view in walk]  # nobody may look at it
    found = track(lost)
    assert found.tracked.all() and torch.equal(found.cameras.w2c[0], torch.eye(4))
    truth = torch.stack([view.camera.w2c for view in walk])
    error = found.cameras.w2c @ invert_rigid(truth @ invert_rigid(truth[0]))
    assert error[:, :3, 3].norm(dim=1).max() < 0.008 and rotation_degrees(error[:, :3, :3]).max() < 0.2


def test_stereo_never_looks_at_depth_and_rgbd_never_at_the_right_eye(walk):
    blind = [replace(view, depth=torch.full((240, 320), torch.nan)) for view in walk[:2]]
    assert torch.equal(track(blind, "stereo").cameras.w2c, track(walk[:2], "stereo").cameras.w2c)
    one_eyed = [replace(view, right=torch.full_like(view.image, torch.nan)) for view in walk[:2]]
    assert torch.equal(track(one_eyed).cameras.w2c, track(walk[:2]).cameras.w2c)


def test_the_same_view_twice_does_not_move(walk):
    step = track_step(walk[0], walk[0])
    assert step.tracked and (step.b_from_a - torch.eye(4)).abs().max() < 1e-3


def test_a_blind_view_is_a_piece_of_its_own_and_is_stepped_over(walk):
    dark = replace(walk[1], image=torch.zeros(240, 320, 3))
    found = track([walk[0], dark, walk[2], walk[3]])
    assert [step.tracked for step in found.steps] == [False, True, True]
    assert "points" in found.steps[0].reason and found.steps[1].start == 0
    assert found.piece.tolist() == [0, 1, 0, 0] and found.tracked.tolist() == [True, False, True, True]
    truth = walk[3].camera.w2c @ invert_rigid(walk[0].camera.w2c)
    assert (found.cameras.w2c[3] - truth).abs().max() < 0.01


def test_holes_and_nan_in_depth_are_no_measurement(walk):
    generator = torch.Generator().manual_seed(0)
    holes = torch.rand(240, 320, generator=generator) < 0.3
    spoilt = [
        replace(view, depth=torch.where(holes, torch.nan if i else 0.0, view.depth)) for i, view in enumerate(walk[:2])
    ]
    step = track_step(*spoilt)
    shift, turn = errors(step.b_from_a, walk[0], walk[1])
    assert step.tracked and shift < 0.006 and turn < 0.15


def test_no_depth_no_texture_and_another_place_are_told(walk, see_planes):
    empty = replace(walk[1], depth=torch.zeros(240, 320))
    flat = replace(walk[1], image=torch.full((240, 320, 3), 0.5))
    image, depth = see_planes(walk[1].camera, [((0.0, 0.0, 1.0), 3.0)], seed=5, shortest=0.08)
    elsewhere = replace(walk[1], image=image, depth=depth)
    for other in (flat, elsewhere):
        step = track_step(walk[0], other)
        assert not step.tracked and step.reason and torch.equal(step.b_from_a, torch.eye(4).double())
    step = track_step(empty, walk[1])
    assert not step.tracked and step.reason


def test_depth_of_another_scale_is_told(walk):
    """The features agree with a motion; that its depth maps do not gives it away."""
    scaled = replace(walk[1], depth=1.3 * walk[1].depth)
    step = track_step(walk[0], scaled)
    assert not step.tracked and "depth maps agree" in step.reason


def test_agreement_leaves_out_what_is_hidden_and_is_zero_where_nothing_overlaps(walk):
    same, difference = depth_agreement(walk[0], walk[0], torch.eye(4).double())
    assert same == 1 and difference < 1e-5
    away = torch.eye(4).double()
    away[2, 3] = -100  # everything behind the camera
    assert depth_agreement(walk[0], walk[1], away) == (0.0, float("inf"))


def test_what_a_source_needs_is_asked_for(walk):
    with pytest.raises(ValueError, match=r"View.depth"):
        track([replace(walk[0], depth=None)])
    with pytest.raises(ValueError, match="right"):
        track([View(walk[0].image, walk[0].camera)], "stereo")
    with pytest.raises(ValueError, match="got none"):
        track([])


def test_a_recorded_walk(shared_data):
    views = list(read_captured(shared_data("multiview/hololens000_a")).views)[4:14]
    found = track(views)
    truth = torch.stack([view.camera.center for view in views])
    ate = align(found.cameras.center, truth, "rigid").ate
    print(f"\nhololens, RGB-D odometry over {len(views)} views: ATE {1000 * ate:.1f} mm")
    assert found.tracked.all() and ate < 0.01
