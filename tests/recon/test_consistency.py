"""Depth maps against each other, on exact planes."""

import numpy as np
import pytest
import torch

from recon.consistency import agreement
from recon.sweep_votes import REWARD, vote

WALL = (((0.2, 0.1, 1.0), 2.6),)
STEP = (((0.0, 0.0, 1.0), 3.0), ((0.0, 0.0, 1.0), 1.5))  # the nearer one hides the other


def moved(x, y=0.0, z=0.0):
    w2c = torch.eye(4)
    w2c[:3, 3] = -torch.tensor([x, y, z])
    return w2c


def seen(plane_view, places, planes=WALL, width=96, height=72, focal=70.0):
    views = [plane_view(planes, moved(*place), width, height, focal) for place in places]
    return [view.depth.numpy() for view in views], [view.camera for view in views]


def test_true_depths_agree_wherever_both_see(plane_view):
    depths, cameras = seen(plane_view, [(0, 0, 0), (0.2, 0, 0), (0, -0.15, 0.1)])
    found = agreement(depths[0], cameras[0], depths[1:], cameras[1:])
    assert (found.seen > 0).mean() > 0.95
    assert (found.agreeing == found.seen).mean() > 0.99
    assert found.contradicting.sum() == 0 and found.occluding.sum() == 0
    # the depth is read at the nearest pixel, up to half a pixel away
    assert 0 < found.reprojection.mean() < 0.6


@pytest.mark.parametrize(("factor", "verdict"), [(0.9, "contradicting"), (1.1, "occluding")])
def test_too_near_is_contradicted_and_too_far_is_behind_something(plane_view, factor, verdict):
    depths, cameras = seen(plane_view, [(0, 0, 0), (0.2, 0, 0)])
    found = agreement(np.float32(factor) * depths[0], cameras[0], depths[1:], cameras[1:])
    assert found.agreeing.sum() == 0
    assert (getattr(found, verdict) == found.seen).all() and found.seen.mean() > 0.8


def test_what_is_hidden_from_the_other_view_is_not_contradicted(plane_view, see_planes):
    depths, cameras = seen(plane_view, [(0, 0, 0), (0.3, 0, 0)], planes=(STEP[0],))
    # a screen over the left half of the second view
    screened = depths[1].copy()
    screened[:, :48] = 1.0
    found = agreement(depths[0], cameras[0], [screened], cameras[1:])
    assert found.contradicting.sum() == 0
    assert found.occluding.sum() > 0.3 * found.seen.sum()
    assert (found.agreeing + found.occluding == found.seen).all()


def test_the_order_of_views_does_not_matter_and_more_views_only_add(plane_view):
    depths, cameras = seen(plane_view, [(0, 0, 0), (0.2, 0, 0), (-0.2, 0.1, 0), (0, 0, 0.3)])
    one = agreement(depths[0], cameras[0], depths[1:], cameras[1:])
    other = agreement(depths[0], cameras[0], depths[:0:-1], cameras[:0:-1])
    fewer = agreement(depths[0], cameras[0], depths[1:3], cameras[1:3])
    assert np.array_equal(one.agreeing, other.agreeing)
    assert (one.agreeing >= fewer.agreeing).all() and (one.seen >= fewer.seen).all()


def test_nothing_is_known_where_there_is_no_depth(plane_view):
    depths, cameras = seen(plane_view, [(0, 0, 0), (0.2, 0, 0)])
    holes = depths[0].copy()
    holes[20:40] = 0
    found = agreement(holes, cameras[0], depths[1:], cameras[1:])
    assert found.seen[20:40].sum() == 0 and found.agreeing[50:].sum() > 0
    found = agreement(depths[0], cameras[0], [np.zeros_like(depths[1])], cameras[1:])
    assert found.seen.sum() == 0


def test_other_sizes_and_focal_lengths_compare(plane_view):
    view = plane_view(WALL, None, 96, 72, 70.0)
    other = plane_view(WALL, moved(0.2, 0.05), 150, 110, 130.0)
    found = agreement(view.depth.numpy(), view.camera, [other.depth.numpy()], [other.camera])
    assert found.seen.mean() > 0.5 and (found.agreeing == found.seen).all()


def test_wrong_sizes_and_values_are_refused(plane_view):
    depths, cameras = seen(plane_view, [(0, 0, 0), (0.2, 0, 0)])
    with pytest.raises(ValueError, match="72 x 96; got 36 x 48"):
        agreement(depths[0][::2, ::2].copy(), cameras[0], depths[1:], cameras[1:])
    with pytest.raises(ValueError, match="finite"):
        agreement(np.full_like(depths[0], np.nan), cameras[0], depths[1:], cameras[1:])


def test_votes_fall_on_the_true_plane(plane_view):
    depths, cameras = seen(plane_view, [(0, 0, 0), (0.2, 0, 0), (-0.2, 0, 0)])
    first, step, planes = 1 / 8, (1 / 0.5 - 1 / 8) / 47, 48
    trust = [np.ones_like(depth) for depth in depths[1:]]
    votes = vote(cameras[0], (72, 96, planes), first, step, depths[1:], trust, cameras[1:])
    assert votes.min() >= 0 and votes.max() <= REWARD
    best = first + votes.argmax(-1) * step
    inner = np.s_[8:-8, 16:-16]
    assert np.abs(best - 1 / depths[0])[inner].max() < 1.5 * step
    none = vote(cameras[0], (72, 96, planes), first, step, depths[1:], [0 * one for one in trust], cameras[1:])
    assert not none.any()
