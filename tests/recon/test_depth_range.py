"""The range of depths of a world in other units: told by points that the views share, and swept by multiview."""

from dataclasses import replace

import pytest
import torch

from recon.depth_range import depth_range
from recon.measuring import measure_views
from recon.multiview_sequence import multiview_depths
from recon.view import View
from render.camera import Camera

UNITS = 20.0  # of this world in a metre


@pytest.fixture(scope="module")
def walk(plane_view):
    """Six views of a wall 2.6 m away, textured finely enough for keypoints."""
    views = []
    for i in range(6):
        w2c = torch.eye(4)
        w2c[:3, 3] = -torch.tensor([0.12 * i, 0.03 * (i % 2), 0.02 * i])
        views.append(plane_view((((0.3, 0.1, 1.0), 2.6),), w2c, width=160, height=120, focal=120.0, shortest=0.08))
    return views


def in_other_units(view):
    w2c = view.camera.w2c.clone()
    w2c[:3, 3] *= UNITS
    camera = Camera(view.camera.K, w2c, view.width, view.height)
    return View(view.image, camera, depth=view.depth * UNITS)


ROOM = (0.3, 15.0)


def test_a_world_of_the_usual_size_keeps_the_usual_range(walk):
    assert depth_range(walk, ROOM) == ROOM


def test_the_range_holds_what_is_seen_and_scales_with_the_world(walk):
    near, far = depth_range(walk, (10.0, 20.0))
    depths = torch.cat([view.depth.flatten() for view in walk])
    assert 0.3 * depths.min() < near < depths.min() and depths.max() < far < 4 * depths.max()
    scaled = depth_range([in_other_units(view) for view in walk], ROOM)
    assert scaled == pytest.approx((UNITS * near, UNITS * far), rel=1e-3)


def test_a_few_wrong_matches_change_nothing():
    """Small views of a room: keypoints are matched wrongly now and then."""
    from hybridwm.worlds.collection import walk_rooms
    from hybridwm.worlds.rooms import RoomsRig

    views = walk_rooms(seeds=[10_000_007], frames=12, rig=RoomsRig(size=64))[0].views()
    assert depth_range(views, ROOM) == ROOM
    assert not measure_views([replace(view, depth=None) for view in views], "multiview").views[-1].depth.eq(0).all()


def test_multiview_measures_a_world_of_other_units(walk):
    large = [in_other_units(view) for view in walk]
    found = measure_views([replace(view, depth=None) for view in large], "multiview")
    assert not found.problems
    measured = torch.cat([view.depth.flatten() for view in found.views])
    truth = torch.cat([view.depth.flatten() for view in large])
    known = measured > 0
    assert known.float().mean() > 0.6
    assert ((measured / truth - 1).abs()[known] < 0.05).float().mean() > 0.95
    # The control: the range of a room holds none of it.
    blind = torch.cat([depth.flatten() for depth, _ in multiview_depths(large)])
    assert ((blind / truth - 1).abs() < 0.05).float().mean() < 0.01


def test_too_little_says_nothing(walk):
    blank = [replace(view, image=torch.full_like(view.image, 0.5)) for view in walk]
    broken = [replace(view, image=torch.full_like(view.image, torch.nan)) for view in walk]
    for views in (blank, broken, walk[:1], [walk[0], walk[0]]):
        assert depth_range(views, (10.0, 20.0)) == (10.0, 20.0)
