from dataclasses import fields, replace

import pytest
import torch

from recon.agreement import FuseConfig
from recon.fuse import fuse
from recon.scene import GaussianScene
from render.geometry import project
from render.rasterize import rasterize

WALL = ((0.0, 0.0, 1.0), 3.0)
NEARER = ((0.0, 0.0, 1.0), 1.5)


def trusted(view, confidence=1.0):
    return replace(view, confidence=torch.full_like(view.depth, confidence))


def tensors(scene):
    named = {f.name: getattr(scene, f.name) for f in fields(scene) if f.name != "gaussians"}
    shape = {f.name: getattr(scene.gaussians, f.name) for f in fields(scene.gaussians)}
    return {name: value for name, value in (named | shape).items() if value is not None}


def same(a, b):
    a, b = tensors(a), tensors(b)
    return all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture
def wall(plane_view):
    return trusted(plane_view((WALL,)))


@pytest.fixture
def scene(wall):
    return fuse(GaussianScene.empty(), wall, observed=True, step=0)


def shifted(x, z=0.0):
    w2c = torch.eye(4)
    w2c[0, 3], w2c[2, 3] = -x, -z
    return w2c


def test_the_first_view_fills_the_scene(scene, wall):
    assert len(scene) == wall.depth.numel()
    assert scene.observed.all() and (scene.step == 0).all() and (scene.confirmations == 1).all()
    assert torch.allclose(scene.direction.norm(dim=1), torch.ones(len(scene)), atol=1e-5)


@pytest.mark.parametrize("observed", [True, False])
def test_the_same_view_again_changes_nothing(wall, observed):
    once = fuse(GaussianScene.empty(), wall, observed=observed, step=0)
    twice = fuse(once, wall, observed=observed, step=1)
    assert len(twice) == len(once)
    assert torch.allclose(twice.gaussians.means, once.gaussians.means, atol=1e-4)
    assert torch.allclose(twice.gaussians.sh, once.gaussians.sh, atol=1e-3)


def test_known_ground_adds_next_to_nothing(plane_view, scene):
    slanted = (((0.3, 0.2, 1.0), 2.5),)
    path = [0.05 * i for i in range(12)]
    walked = GaussianScene.empty()
    for step, x in enumerate(path):
        walked = fuse(walked, trusted(plane_view(slanted, shifted(x))), observed=True, step=step)
    size = len(walked)
    for step, x in enumerate(reversed([x + 0.02 for x in path[:-1]])):
        walked = fuse(walked, trusted(plane_view(slanted, shifted(x))), observed=True, step=100 + step)
    assert len(walked) <= 1.01 * size


def test_new_ground_is_added(plane_view, scene):
    view = trusted(plane_view((WALL,), shifted(1.0)))
    wider = fuse(scene, view, observed=True, step=1)
    output = rasterize(wider.gaussians, view.camera)
    assert (output.alpha > 0.5).float().mean() > 0.97
    assert 1.1 * len(scene) < len(wider) < 1.4 * len(scene)


def test_only_other_steps_of_observed_views_confirm(scene, wall):
    assert (fuse(scene, wall, observed=True, step=0).confirmations == 1).all()
    assert (fuse(scene, wall, observed=True, step=1).confirmations == 2).all()
    assert (fuse(scene, wall, observed=False, step=1).confirmations == 1).all()


def test_agreeing_views_pull_towards_each_other(scene, wall):
    farther = replace(wall, depth=1.02 * wall.depth)
    pulled = fuse(scene, farther, observed=True, step=1)
    _, depth = project(pulled.gaussians.means, wall.camera)
    assert len(pulled) == len(scene)
    assert torch.allclose(depth, torch.full_like(depth, 3.03), atol=2e-3)


@pytest.mark.parametrize("planes", [(WALL,), (NEARER,), (((0.0, 0.0, 1.0), 6.0),)])
@pytest.mark.parametrize("x", [0.0, 0.15, 1.0])
def test_imagined_views_never_touch_observed_gaussians(plane_view, scene, planes, x):
    dreamt = trusted(plane_view(planes, shifted(x), seed=5))
    after = fuse(scene, dreamt, observed=False, step=1)
    assert same(after.select(observed=True), scene)
    assert (after.select(observed=False).confirmations == 0).all()


def test_imagined_views_add_only_where_the_scene_is_blind(plane_view, scene):
    nearer = trusted(plane_view((NEARER,), seed=5))
    recalled = rasterize(scene.with_observed_share(), nearer.camera)
    after = fuse(scene, nearer, observed=False, step=1, recalled=recalled)
    pixels, _ = project(after.select(observed=False).gaussians.means, nearer.camera)
    column, row = pixels.long().unbind(1)
    assert (recalled.alpha[row, column] < 0.5).all()


def test_observed_views_replace_what_was_imagined(plane_view, wall):
    imagined = fuse(GaussianScene.empty(), trusted(plane_view((WALL,), seed=5)), observed=False, step=0)
    after = fuse(imagined, wall, observed=True, step=1)
    assert after.observed.all() and (after.confirmations == 1).all()
    assert len(after) == wall.depth.numel()


@pytest.mark.parametrize("observed", [True, False])
def test_free_space_is_cleared(plane_view, wall, observed):
    floater = fuse(GaussianScene.empty(), trusted(plane_view((NEARER,), seed=5)), observed=observed, step=0)
    after = fuse(floater, wall, observed=True, step=1)
    _, depth = project(after.gaussians.means, wall.camera)
    assert depth.min() > 2.9
    assert len(after) == wall.depth.numel()


def test_confirmed_gaussians_survive_one_refutation(plane_view, wall):
    nearer = trusted(plane_view((NEARER,), seed=5))
    scene = fuse(GaussianScene.empty(), nearer, observed=True, step=0)
    scene = fuse(scene, nearer, observed=True, step=1)
    once = fuse(scene, wall, observed=True, step=2)
    assert len(once) == len(scene) and (once.confirmations == 1).all()
    twice = fuse(once, wall, observed=True, step=3)
    _, depth = project(twice.gaussians.means, wall.camera)
    assert depth.min() > 2.9


def test_unsure_views_clear_nothing(plane_view, wall):
    floater = fuse(GaussianScene.empty(), trusted(plane_view((NEARER,), seed=5)), observed=False, step=0)
    after = fuse(floater, trusted(wall, 0.4), observed=True, step=1)
    assert len(after.select(observed=False)) == len(floater)


def test_closer_views_replace_wide_gaussians(plane_view, scene):
    closer = trusted(plane_view((WALL,), shifted(0, 1.8)))
    after = fuse(scene, closer, observed=True, step=1)
    again = fuse(after, closer, observed=True, step=2)
    made = after.step == 1
    assert made.sum() > 0.95 * closer.depth.numel()
    assert after.gaussians.scales[made].amax() < scene.gaussians.scales.amin(0).amax()
    assert len(again) - len(after) <= 0.01 * len(after)


def test_the_old_scene_is_never_written(plane_view, scene):
    kept = {name: value.clone() for name, value in tensors(scene).items()}
    for observed in (True, False):
        for planes, x in (((WALL,), 0.1), ((NEARER,), 0.0), ((((0.0, 0.0, 1.0), 3.05),), 0.0)):
            fuse(scene, trusted(plane_view(planes, shifted(x), seed=3)), observed=observed, step=1)
    assert all(torch.equal(value, kept[name]) for name, value in tensors(scene).items())


@pytest.mark.parametrize("observed", [True, False])
def test_the_budget_is_hard(plane_view, observed):
    config = FuseConfig(max_gaussians=4000)
    scene = GaussianScene.empty()
    for step in range(4):
        view = trusted(plane_view((WALL,), shifted(2.0 * step)))
        scene = fuse(scene, view, observed=observed, step=step, config=config)
        assert len(scene) <= 4000
    assert len(scene) == 4000
    # observed ones stay and later views are refused; imagined ones make room
    assert ((scene.step == 3).sum() == 0) == observed


def test_a_hundred_steps_stay_bounded_and_finite(plane_view):
    scene = GaussianScene.empty()
    generator = torch.Generator().manual_seed(0)
    sizes = []
    for step in range(100):
        view = plane_view((((0.2, 0.1, 1.0), 2.5),), shifted(0.3 * (step % 5)), width=32, height=24, focal=20.0)
        noise = 1 + 0.05 * torch.randn(view.depth.shape, generator=generator)
        view = replace(view, depth=view.depth * noise, confidence=torch.full_like(view.depth, 0.8))
        scene = fuse(scene, view, observed=step < 5, step=step)
        sizes.append(len(scene))
    assert all(torch.isfinite(value).all() for value in tensors(scene).values())
    assert sizes[-1] <= 1.25 * sizes[20]


def test_views_without_valid_pixels_leave_the_scene_alone(scene, wall):
    nothing = replace(wall, depth=torch.zeros_like(wall.depth))
    assert fuse(scene, nothing, observed=True, step=1) is scene
    assert len(fuse(GaussianScene.empty(), nothing, observed=True, step=1)) == 0
    assert fuse(scene, trusted(wall, 0.0), observed=True, step=1) is scene


def test_bad_depth_is_refused(scene, wall):
    depth = wall.depth.clone()
    depth[:2] = -1
    with pytest.raises(ValueError, match="128 negative"):
        fuse(scene, replace(wall, depth=depth), observed=True, step=1)
    with pytest.raises(ValueError, match="View.depth; got None"):
        fuse(scene, replace(wall, depth=None), observed=True, step=1)


def test_a_render_without_the_observed_share_counts_as_observed(plane_view, wall):
    imagined = fuse(GaussianScene.empty(), wall, observed=False, step=0)
    recalled = rasterize(imagined.gaussians, wall.camera)
    dreamt = trusted(plane_view((NEARER,), seed=5))
    after = fuse(imagined, dreamt, observed=False, step=1, recalled=recalled)
    pixels, _ = project(after[after.step == 1].gaussians.means, wall.camera)
    column, row = pixels.long().unbind(1)
    assert (recalled.alpha[row, column] < 0.5).all()


def test_the_budget_in_bytes_is_hard(plane_view):
    scene = GaussianScene.empty()
    config = FuseConfig(max_bytes=1000 * scene.bytes_each + 7)
    for step in range(3):
        scene = fuse(scene, trusted(plane_view((WALL,), shifted(2.0 * step))), observed=False, step=step, config=config)
        assert len(scene) == 1000 and len(scene) * scene.bytes_each <= config.max_bytes
    with pytest.raises(ValueError, match="expected at least the .* bytes of one Gaussian; got 10"):
        fuse(scene, trusted(plane_view((WALL,))), observed=True, step=9, config=replace(config, max_bytes=10))


def test_what_was_confirmed_often_is_halved_by_each_refutation(plane_view, wall):
    nearer = trusted(plane_view((NEARER,), seed=5))
    scene = fuse(GaussianScene.empty(), nearer, observed=True, step=0)
    scene = replace(scene, confirmations=torch.full_like(scene.confirmations, 1000))
    for step in range(9):
        scene = fuse(scene, wall, observed=True, step=1 + step)
        assert (scene.confirmations == 1000 >> (step + 1)).all()
    after = fuse(scene, wall, observed=True, step=20)
    _, depth = project(after.gaussians.means, wall.camera)
    assert depth.min() > 2.9


def test_noise_on_a_known_surface_adds_nothing_and_a_step_in_front_of_it_does(scene, wall):
    generator = torch.Generator().manual_seed(1)
    noise = 0.02 * torch.randn(wall.depth.shape, generator=generator)
    noisy = replace(wall, depth=wall.depth * (1 + noise))
    assert len(fuse(scene, noisy, observed=True, step=1)) <= 1.01 * len(scene)
    nearer = wall.depth.clone()
    nearer[20:30, 20:30] *= 0.8
    grown = fuse(scene, replace(wall, depth=nearer), observed=True, step=1)
    assert len(grown) - len(scene) >= 60


@pytest.mark.parametrize("observed", [True, False])
def test_what_is_hidden_far_behind_neither_changes_nor_is_changed(plane_view, scene, wall, observed):
    """As does the control, a floater in front, when what is seen is compared with the view."""
    hidden = fuse(GaussianScene.empty(), trusted(plane_view((((0.0, 0.0, 1.0), 9.0),), seed=2)), observed=True, step=0)
    both = GaussianScene.cat([scene, hidden])
    recalled = rasterize(scene.with_observed_share(), wall.camera)
    view = replace(wall, depth=1.02 * wall.depth)
    alone = fuse(scene, view, observed=observed, step=1, recalled=recalled)
    after = fuse(both, view, observed=observed, step=1, recalled=recalled)
    assert same(after[: len(alone)], alone) and same(after[len(alone) :], hidden)
    floater = fuse(GaussianScene.empty(), trusted(plane_view((NEARER,), seed=5)), observed=True, step=0)
    after = fuse(GaussianScene.cat([scene, floater]), wall, observed=True, step=1, recalled=recalled)
    assert len(after) == len(scene)
