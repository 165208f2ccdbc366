"""What moves stays out of the static scene; each figure beside its control."""

from dataclasses import replace

import pytest
import torch

from hybridwm.bench.recon_fusion import NO_CARVING, known_ground, moving, noisy, removed, stereo
from recon.dynamic_gate import moving_pixels, without_moving
from recon.fuse import fuse
from recon.scene import GaussianScene
from render.rasterize import rasterize

WALL = ((0.0, 0.0, 1.0), 3.0)
SEED = 10_000_001


def trusted(view, confidence=1.0):
    return replace(view, confidence=torch.full_like(view.depth, confidence))


def with_patch(view, left, depth=1.5):
    """The view with a square of another depth and colour in it."""
    changed, image = view.depth.clone(), view.image.clone()
    changed[16:32, left : left + 16], image[16:32, left : left + 16] = depth, 1.0
    return replace(view, depth=changed, image=image)


@pytest.fixture
def wall(plane_view):
    return trusted(plane_view((WALL,)))


@pytest.fixture
def recalled(wall):
    scene = fuse(GaussianScene.empty(), wall, observed=True, step=0)
    return rasterize(scene.with_observed_share(), wall.camera)


@pytest.mark.parametrize("doubting, confirming, moves", [(1, 0, True), (1, 1, True), (1, 2, False), (0, 1, False)])
def test_what_stands_before_a_known_surface_moves_until_views_confirm_it(wall, recalled, doubting, confirming, moves):
    patch = with_patch(wall, 20)
    expected = patch.depth < 2
    got = moving_pixels(patch, recalled, [wall] * doubting + [patch] * confirming)
    assert bool((got & expected).sum() >= 0.9 * expected.sum()) == moves
    assert (got & ~expected).sum() == 0


def test_where_no_view_has_looked_nothing_is_said_to_move(wall, recalled):
    behind = torch.diag(torch.tensor([-1.0, 1.0, -1.0, 1.0]))
    elsewhere = replace(wall, camera=replace(wall.camera, w2c=behind))
    for earlier in ([], [elsewhere, elsewhere]):
        assert not moving_pixels(with_patch(wall, 20), recalled, earlier).any()


def test_what_a_view_saw_through_moves_without_any_scene(wall):
    patch = with_patch(wall, 20)
    got, expected = moving_pixels(patch, None, [wall, wall]), patch.depth < 2
    assert (got & expected).sum() >= 0.9 * expected.sum() and not (got & ~expected).any()
    assert not moving_pixels(patch, None, []).any(), "nothing is known to move in a first view"
    assert not moving_pixels(wall, None, [patch]).any(), "the wall behind does not move"


def test_a_static_room_passes(plane_view, wall, recalled):
    slanted = (((0.3, 0.15, 1.0), 2.4), ((0.0, 0.0, 1.0), 2.6))
    views = []
    for i in range(4):
        w2c = torch.eye(4)
        w2c[0, 3] = -0.1 * i
        views.append(trusted(plane_view(slanted, w2c)))
    assert moving_pixels(views[-1], None, views[:-1]).float().mean() <= 0.002
    assert not moving_pixels(wall, recalled, [wall]).any()


@pytest.mark.parametrize("confidence", [0.2, 0.5])
def test_views_that_are_unsure_accuse_nobody(wall, confidence):
    assert not moving_pixels(with_patch(wall, 20), None, [trusted(wall, confidence)] * 3).any()


def test_what_moves_loses_trust_and_nothing_else(wall, recalled):
    patch = with_patch(wall, 20)
    static = without_moving(patch, recalled, [wall])
    moves = moving_pixels(patch, recalled, [wall])
    assert torch.equal(static.confidence == 0, moves) and torch.equal(static.depth, patch.depth)
    assert without_moving(wall, recalled, [wall]) is wall
    with pytest.raises(ValueError, match="needs View.depth"):
        moving_pixels(replace(wall, depth=None))


def test_a_patch_that_moves_is_neither_added_nor_carves(wall):
    scene = fuse(GaussianScene.empty(), wall, observed=True, step=0)
    for step, left in enumerate((4, 14, 24, 34), 1):
        patch = with_patch(wall, left)
        recalled = rasterize(scene.with_observed_share(), wall.camera)
        scene = fuse(scene, without_moving(patch, recalled, [wall]), observed=True, step=step, recalled=recalled)
    assert len(scene) == wall.depth.numel() and (scene.step == 0).all()


def test_a_moving_ball_leaves_nothing_and_without_the_gate_it_stays():
    measured = noisy(0.0)
    assert moving(SEED, measured, steps=12) <= 0.02
    assert moving(SEED, measured, gate=False, steps=12) > 0.03


def test_a_moving_ball_seen_by_stereo_leaves_next_to_nothing():
    assert moving(SEED, stereo, steps=12) <= 0.02


@pytest.mark.parametrize("laps", [1, 3])
def test_an_object_that_was_taken_away_is_cleared_in_one_lap(laps):
    assert removed(SEED, noisy(0.02), laps=laps) >= 0.95


def test_without_carving_an_object_that_was_taken_away_stays():
    assert removed(SEED, noisy(0.02), config=NO_CARVING) < 0.5


@pytest.mark.parametrize("measured", [stereo, noisy(0.02)], ids=["stereo", "noise"])
def test_known_ground_adds_next_to_nothing(measured):
    added = known_ground(SEED, measured, steps=48, lap=16)
    assert added.all <= 0.03 and added.on_new_ground <= 0.001


def test_laps_beside_the_first_add_new_ground_and_little_else():
    added = known_ground(SEED, noisy(0.0), steps=32, lap=16, beside=0.02)
    assert 0 < added.on_new_ground < added.all
    far = known_ground(SEED, noisy(0.0), steps=32, lap=16, beside=0.15)
    assert far.on_new_ground > 0.1 and far.on_new_ground > 0.5 * far.all, "other places have new ground"
