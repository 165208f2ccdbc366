import pytest
import torch

from recon.depth_sources import depth_source
from recon.multiview import multiview_depth
from recon.view import DepthContext
from render.trajectory import look_at

PLANES = (((0.3, 0.1, 1.0), 2.6),)


def moved(x, y=0.0, z=0.0):
    w2c = torch.eye(4)
    w2c[:3, 3] = -torch.tensor([x, y, z])
    return w2c


def test_depth_from_views_to_the_side(plane_view):
    views = [plane_view(PLANES, moved(0.25 * i, -0.1 * i)) for i in range(3)]
    depth, confidence = multiview_depth(views)
    trusted = confidence > 0.3
    assert trusted.float().mean() > 0.7
    error = ((depth - views[-1].depth).abs() / views[-1].depth)[trusted]
    assert error.median() < 0.02
    assert error.quantile(0.9) < 0.06


def test_depth_from_walking_forward(plane_view):
    views = [plane_view(PLANES, moved(0.02 * i, 0, 0.25 * i)) for i in range(4)]
    depth, confidence = multiview_depth(views)
    trusted = confidence > 0.3
    assert trusted.float().mean() > 0.5
    assert ((depth - views[-1].depth).abs() / views[-1].depth)[trusted].median() < 0.05


def test_earlier_views_may_come_as_context(plane_view):
    views = [plane_view(PLANES, moved(0.25 * i)) for i in range(3)]
    together = depth_source("multiview")(views, None)
    apart = depth_source("multiview")(views[-1:], DepthContext(tuple(views[:-1])))
    assert all(torch.equal(a, b) for a, b in zip(together, apart, strict=True))


@pytest.mark.parametrize("case", ["alone", "turned", "same place"])
def test_without_a_baseline_there_is_no_depth(plane_view, case):
    eye = torch.zeros(3)
    up = torch.tensor([0.0, -1.0, 0.0])
    views = [plane_view(PLANES)]
    if case == "turned":
        turned = look_at(eye, torch.tensor([0.3, 0.0, 1.0]), up)
        views.insert(0, plane_view(PLANES, turned))
    elif case == "same place":
        views *= 3
    depth, confidence = multiview_depth(views)
    assert not depth.any() and not confidence.any()


def test_no_texture_gives_no_depth(plane_view):
    views = [plane_view(PLANES, moved(0.25 * i)) for i in range(2)]
    flat = [type(v)(torch.full_like(v.image, 0.4), v.camera) for v in views]
    depth, confidence = multiview_depth(flat)
    assert not (confidence > 0.05).any()
    assert torch.isfinite(depth).all()


def test_true_depth_is_never_read(plane_view):
    from dataclasses import replace

    views = [plane_view(PLANES, moved(0.25 * i)) for i in range(2)]
    blinded = [replace(v, depth=torch.full_like(v.depth, torch.nan)) for v in views]
    assert torch.equal(multiview_depth(views)[0], multiview_depth(blinded)[0])


def test_a_wrong_range_is_refused(plane_view):
    with pytest.raises(ValueError, match="near < far"):
        multiview_depth([plane_view(PLANES)], near=2.0, far=1.0)
