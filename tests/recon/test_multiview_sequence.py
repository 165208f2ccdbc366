"""Sequences measured from both sides, on exact planes: depth, confidence, cameras that are wrong."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from recon.multiview import multiview_depth
from recon.multiview_cameras import settle_cameras
from recon.multiview_checks import multiview_status
from recon.multiview_sequence import multiview_depths
from recon.view import DepthContext
from render.trajectory import look_at

WALL = (((0.3, 0.1, 1.0), 2.6),)
TWO_LAYERS = (((0.0, 0.0, 1.0), 4.0), ((1.0, 0.0, 0.35), 0.9))  # a back wall, and a slanted one before its right part


def moved(x, y=0.0, z=0.0):
    w2c = torch.eye(4)
    w2c[:3, 3] = -torch.tensor([x, y, z])
    return w2c


def walk(plane_view, planes=WALL, count=6, **size):
    return [plane_view(planes, moved(0.12 * i, 0.03 * (i % 2), 0.02 * i), **size) for i in range(count)]


def shares(views, found):
    """Share of the pixels that have a depth, and of these within 5 %."""
    covered = torch.cat([(depth > 0).flatten() for depth, _ in found])
    errors = [(depth - view.depth).abs() / view.depth for (depth, _), view in zip(found, views, strict=True)]
    right = torch.cat([error.flatten() for error in errors])[covered] < 0.05
    return float(covered.float().mean()), float(right.float().mean())


@pytest.mark.parametrize(("planes", "least", "right"), [(WALL, 0.8, 0.98), (TWO_LAYERS, 0.6, 0.9)])
def test_depth_of_slanted_planes_and_of_two_layers(plane_view, planes, least, right):
    views = walk(plane_view, planes, width=96, height=72, focal=70.0)
    coverage, within = shares(views, multiview_depths(views))
    assert coverage > least
    assert within > right


def test_the_first_view_has_depth_too_and_true_depth_is_never_read(plane_view):
    views = walk(plane_view, count=4)
    found = multiview_depths(views)
    assert (found[0][0] > 0).float().mean() > 0.5
    blinded = multiview_depths([replace(view, depth=torch.full_like(view.depth, torch.nan)) for view in views])
    for one, other in zip(found, blinded, strict=True):
        assert torch.equal(one[0], other[0]) and torch.equal(one[1], other[1])


def test_the_result_does_not_depend_on_threads_or_on_what_is_kept(plane_view, monkeypatch):
    views = walk(plane_view, count=4)
    alone = multiview_depths(views, threads=1)
    together = multiview_depths(views, threads=3)
    monkeypatch.setattr("recon.multiview_sequence.KEPT_VOLUMES", 0)
    again = multiview_depths(views, threads=1)
    for a, b, c in zip(alone, together, again, strict=True):
        assert torch.equal(a[0], b[0]) and torch.equal(a[0], c[0])


def test_shuffled_cameras_give_next_to_nothing(plane_view):
    views = walk(plane_view, count=6, width=96, height=72, focal=70.0)
    wrong = [replace(view, camera=views[(3 * i + 2) % 6 if i % 2 else 5 - i].camera) for i, view in enumerate(views)]
    true, _ = shares(views, multiview_depths(views))
    coverage, within = shares(views, multiview_depths(wrong))
    assert coverage * within < 0.25 * true


def test_pixels_that_are_not_finite_have_no_depth_and_spoil_no_others(plane_view):
    views = walk(plane_view, count=5, width=96, height=72, focal=70.0)
    image = views[2].image.clone()
    image[20:30, 30:60] = torch.nan
    found = multiview_depths([*views[:2], replace(views[2], image=image), *views[3:]])
    assert not found[2][0][20:30, 30:60].any() and not found[2][1][20:30, 30:60].any()
    assert all(bool(one.isfinite().all()) for pair in found for one in pair)
    assert shares(views, found)[1] > 0.95


def test_no_views_and_a_wrong_range(plane_view):
    assert multiview_depths([]) == []
    with pytest.raises(ValueError, match="near < far"):
        multiview_depths(walk(plane_view, count=2), near=2.0, far=1.0)


def turned(camera, generator, degrees, metres):
    turn = torch.randn(3, generator=generator) * degrees * torch.pi / 180
    x, y, z = turn.tolist()
    w2c = camera.w2c.clone()
    w2c[:3] = torch.matrix_exp(torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]])) @ w2c[:3]
    w2c[:3, 3] += metres * torch.randn(3, generator=generator)
    return replace(camera, w2c=w2c)


def across_lines(cameras, truth):
    """Degrees by which the cameras are turned against each other wrongly, the median over pairs."""
    wrong = []
    for i in range(len(cameras)):
        for j in range(i):
            a, b = cameras[i].w2c @ cameras[j].c2w, truth[i].w2c @ truth[j].c2w
            cosine = (((a @ b.inverse())[:3, :3]).trace() - 1) / 2
            wrong.append(torch.rad2deg(cosine.clamp(-1, 1).arccos()))
    return float(torch.stack(wrong).median())


def test_cameras_a_little_off_are_settled_and_exact_ones_left_alone(plane_view):
    views = walk(plane_view, TWO_LAYERS, count=6, width=240, height=180, focal=200.0, shortest=0.1)
    truth = [view.camera for view in views]
    assert all(a is b for a, b in zip(settle_cameras(views), truth, strict=True))
    generator = torch.Generator().manual_seed(3)
    shaken = [turned(camera, generator, 0.3, 0.002) for camera in truth]
    settled = settle_cameras([replace(view, camera=one) for view, one in zip(views, shaken, strict=True)])
    assert across_lines(settled, truth) < 0.5 * across_lines(shaken, truth)
    scale = [float((cameras[-1].center - cameras[0].center).norm()) for cameras in (settled, truth)]
    assert np.isclose(*scale, rtol=0.03)


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("fine", "fine"),
        ("one view", "alone"),
        ("turned", "no baseline"),
        ("away", "elsewhere"),
        ("frozen", "frozen"),
        ("blank", "no texture"),
        ("nan", "not finite"),
        ("nothing found", "no match"),
    ],
)
def test_the_status_says_why_there_is_no_depth(plane_view, case, reason):
    views, up = [plane_view(WALL, moved(0.25 * i)) for i in range(3)], torch.tensor([0.0, -1.0, 0.0])
    depth = None
    if case == "one view":
        views = views[:1]
    elif case == "turned":
        eye = views[2].camera.center
        views[:2] = [plane_view(WALL, look_at(eye, torch.tensor([x, 0.0, 2.0]), up)) for x in (0.3, 0.6)]
    elif case == "away":
        away = look_at(torch.tensor([1.0, 0, 0]), torch.tensor([1.0, 0, -2.0]), up)
        views[:2] = [replace(view, camera=replace(view.camera, w2c=away)) for view in views[:2]]
    elif case == "frozen":
        views = [replace(view, image=views[0].image) for view in views]
    elif case == "blank":
        views = [replace(view, image=torch.full_like(view.image, 0.1 * i)) for i, view in enumerate(views)]
    elif case == "nan":
        views[2] = replace(views[2], image=torch.full_like(views[2].image, torch.nan))
    elif case == "nothing found":
        depth = torch.zeros(48, 64)
    status = multiview_status(views[-1:], DepthContext(tuple(views[:-1])), depth)
    assert status.reason == reason
    assert status.fine == (case == "fine") and len(status.message) > 20


@pytest.mark.parametrize(("count", "size"), [(6, (64, 48, 40.0)), (2, (96, 72, 70.0))])
def test_noise_gives_nothing_and_says_why_where_texture_gives_depth(plane_view, count, size):
    width, height, focal = size
    views = walk(plane_view, count=count, width=width, height=height, focal=focal)
    generator = torch.Generator().manual_seed(0)
    noise = [replace(view, image=torch.rand(view.image.shape, generator=generator)) for view in views]
    assert shares(views, multiview_depths(views))[0] > 0.5
    found = multiview_depths(noise)
    assert all((depth > 0).float().mean() < 0.01 for depth, _ in found)
    depth, _ = multiview_depth(noise)
    assert multiview_status(noise, None, depth).reason == "no match"
    assert multiview_status(views, None, multiview_depth(views)[0]).fine


def test_a_wall_seen_from_the_side_is_measured_to_a_hundredth(plane_view):
    wall = (((1.0, 0.0, 0.35), 1.0),)
    views = walk(plane_view, wall, width=64, height=48, focal=40.0)
    found = multiview_depths(views)
    errors = torch.cat(
        [((depth - v.depth).abs() / v.depth)[depth > 0] for (depth, _), v in zip(found, views, strict=True)]
    )
    assert errors.median() < 0.01
