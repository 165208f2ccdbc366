"""Reprojection on planes and boxes seen exactly: right cameras agree, wrong ones do not, occlusion is no excuse."""

import math
from dataclasses import replace

import pytest
import torch

from hybridwm.actions.walker import Walker, action_vectors
from hybridwm.worlds.collection import walk_rooms
from hybridwm.worlds.episodes import Episode
from hybridwm.worlds.reprojection import reproject, reproject_episode
from hybridwm.worlds.rooms.rig import RoomsRig
from recon import View
from render import Camera

BODY = Walker()


def hall(w2c, fov=90.0, size=64):
    """Inside of a hall 8 m x 6 m x 3 m with a post 0.4 m wide at (2, 0), by ray-box intersection."""
    camera = Camera.from_fov(size, size, fov, w2c)
    origins, rays = camera.rays()
    far = torch.where(rays > 0, torch.tensor([4.0, 3, 3]), torch.tensor([-4.0, -3, 0]))
    z = ((far - origins) / rays).amin(-1)
    low, high = torch.tensor([1.8, -0.2, 0]), torch.tensor([2.2, 0.2, 3])
    a, b = (low - origins) / rays, (high - origins) / rays
    enter, leave = torch.minimum(a, b).amax(-1), torch.maximum(a, b).amin(-1)
    z = torch.where((enter < leave) & (enter > 0), torch.minimum(z, enter), z)
    return View(torch.zeros(size, size, 3), camera, depth=z.float())


def stand(x, y, yaw, pitch=0.0):
    return BODY.stand(torch.tensor([x, y, 1.2]), torch.tensor(yaw), torch.tensor(pitch))


MOVES = {
    "turn": (stand(-1, 0.5, 0.1), stand(-1, 0.5, 0.36)),
    "forward": (stand(-1, 0.5, 0.1), stand(-0.75, 0.52, 0.1)),
    "sideways past the post": (stand(0, 0.3, 0.0), stand(0, -0.1, 0.0)),
    "pitch": (stand(-1, 0.5, 0.1), stand(-1, 0.5, 0.1, -0.26)),
}


@pytest.mark.parametrize("move", MOVES)
def test_exact_depths_agree(move):
    found = reproject(*(hall(w2c) for w2c in MOVES[move]))
    assert found.agreeing > 0.995 and found.error < 0.002
    assert found.covisible > 0.6 and found.pixels > 2000


@pytest.mark.parametrize("move", MOVES)
def test_a_camera_that_did_not_move_disagrees(move):
    before, after = (hall(w2c) for w2c in MOVES[move])
    stuck = replace(after, camera=before.camera)
    assert reproject(before, stuck).agreeing < 0.85  # floor and side walls slide along themselves when walking ahead


def test_a_wrong_field_of_view_disagrees_in_a_quarter_turn():
    views = [hall(stand(-1, 0.5, yaw)) for yaw in (0.0, 1.0)]
    wrong = [replace(v, camera=Camera.from_fov(64, 64, 75.0, v.camera.w2c)) for v in views]
    assert reproject(*views).agreeing > 0.99 > 0.8 > reproject(*wrong).agreeing


@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_wrong_depth_is_no_occlusion(factor):
    before, after = (hall(w2c) for w2c in MOVES["turn"])
    wrong = replace(after, depth=after.depth * factor)
    right, found = reproject(before, after), reproject(before, wrong)
    assert found.agreeing < 0.5 and found.covisible == pytest.approx(right.covisible, abs=0.01)
    assert found.error == pytest.approx(0.1, abs=0.005)


def test_what_the_post_hides_is_not_judged_and_what_is_left_out_neither():
    before, after = (hall(w2c) for w2c in MOVES["sideways past the post"])
    assert reproject(before, after).covisible < 0.9
    half = before.depth.clone()
    half[:, :32] = 0
    assert reproject(replace(before, depth=half), after).pixels < reproject(before, after).pixels * 0.6
    nothing = reproject(before, replace(after, depth=torch.zeros(64, 64)))
    assert nothing.pixels == 0 and math.isnan(nothing.agreeing)


def test_the_step_of_a_quantised_depth_is_forgiven_only_when_asked():
    before, after = (hall(w2c) for w2c in MOVES["forward"])
    coarse = [replace(v, depth=(v.depth / 0.5).round() * 0.5) for v in (before, after)]
    assert reproject(*coarse).agreeing < 0.95 < reproject(*coarse, step=0.5).agreeing


def test_rooms_agree_at_every_gap():
    episode = walk_rooms([3], 12, RoomsRig())[0]
    for gap in (1, 3):
        found = reproject_episode(episode, gap=gap)
        assert found.agreeing > 0.95 and found.pixels > 10_000
    late = replace(episode, w2c=episode.w2c.roll(1, 0))
    assert reproject_episode(late).agreeing < 0.9


def test_what_cannot_be_judged_is_refused():
    view = hall(stand(0, 0, 0.0))
    with pytest.raises(ValueError, match="depth; got none in after"):
        reproject(view, replace(view, depth=None))
    bare = Episode(torch.zeros(2, 4, 4, 3, dtype=torch.uint8), None, None, action_vectors()[:1])
    with pytest.raises(ValueError, match="with depth"):
        reproject_episode(bare)
    with pytest.raises(ValueError, match="gap of 1…1"):
        reproject_episode(replace(bare, depth=torch.ones(2, 4, 4)), gap=2)
