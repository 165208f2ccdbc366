"""The packaged monocular network in held-out rooms, beside what must do worse, and in a dream."""

from dataclasses import replace

import pytest
import torch

import hybridwm as hw
from hybridwm.bench.recon_monocular import errors, in_rooms, reliability, scene_of, views_of
from hybridwm.training.depth.monocular_config import SightsConfig
from hybridwm.training.depth.monocular_sights import make_sights
from hybridwm.worlds.collection import walk_rooms
from hybridwm.worlds.rooms.rig import RoomsRig
from recon import depth_source

SEED = 10_000_000


@pytest.fixture(scope="module")
def figures():
    return in_rooms(SEED, 10)


def test_held_out_rooms_are_measured_better_than_by_the_best_constant(figures):
    alone, constant, other = (
        figures[f"rooms, {name}: abs_rel"]
        for name in ("alone", "guard: best constant", "control: depth of another image")
    )
    assert alone < 0.5 * constant < 0.5 * other
    assert figures["rooms, alone: delta_1.25"] > 1.5 * figures["rooms, guard: best constant: delta_1.25"]


def test_its_metres_are_metres():
    """Alone, where nothing brings a wrong scale right: the median over rooms of each image's median ratio."""
    views = views_of(make_sights(list(range(SEED, SEED + 16)), SightsConfig(), 64))
    ratios = []
    for view in views:
        depth, _ = depth_source("monocular")([replace(view, depth=None)], None)
        ratios.append((depth / view.depth).median())
    assert float(torch.stack(ratios).median()) == pytest.approx(1.0, abs=0.08)


def test_what_is_known_of_one_half_makes_the_other_better(figures):
    assert figures["rooms, half known, right half: abs_rel"] < 0.95 * figures["rooms, alone, right half: abs_rel"]


def test_confidence_is_the_share_that_is_right(figures):
    bins = [name.removesuffix(": mean confidence") for name in figures if name.endswith("mean confidence")]
    alone = [name for name in bins if "alone" in name]
    assert len(alone) >= 2
    shares = [figures[f"{name}: share within 10 %"] for name in alone]
    assert shares == sorted(shares), "more confident is right more often"
    for name, share in zip(alone, shares, strict=True):
        assert figures[f"{name}: mean confidence"] == pytest.approx(share, abs=0.15)


def test_errors_and_bins_of_depth_that_is_known():
    truth = torch.full((20, 20), 2.0)
    truth[0] = 0
    depth = torch.where(torch.arange(20) < 10, 2.1, 3.0).expand(20, 20).clone()
    depth[1] = 0
    found = [(depth, torch.where(torch.arange(20) < 10, 0.9, 0.1).expand(20, 20))]
    figures = errors(found, [truth])
    assert figures["coverage"] == pytest.approx(18 / 19)
    assert figures["abs_rel"] == pytest.approx((0.05 + 0.5) / 2)
    assert figures["delta_1.25"] == figures["within_10"] == 0.5
    assert errors([(0 * depth, depth)], [truth]) == {"coverage": 0.0}
    assert reliability([(found[0][0].repeat(2, 2), found[0][1].repeat(2, 2))], [truth.repeat(2, 2)]) == {
        "confidence 0.00 to 0.30: mean confidence": pytest.approx(0.1),
        "confidence 0.00 to 0.30: share within 10 %": 0.0,
        "confidence 0.85 to 1.00: mean confidence": pytest.approx(0.9),
        "confidence 0.85 to 1.00: share within 10 %": 1.0,
    }


def test_views_carry_the_cameras_of_their_images():
    made = make_sights([SEED], SightsConfig(images=2), 32)
    view = views_of(made)[1]
    assert float(view.camera.K[0, 0]) == float(made.focal[1]) and torch.equal(view.depth, made.depth[1].float())


def test_a_walk_becomes_a_scene():
    views = walk_rooms([SEED], 4, RoomsRig())[0].views()
    assert len(scene_of(views, depth_source("monocular"))) > 500


def test_the_world_model_dreams_with_depth_from_one_image():
    episode = walk_rooms([SEED + 1], 6, RoomsRig())[0]
    views = episode.views()
    world = hw.load("rooms-64", memory="splat", depth="monocular")
    state = world.start(views, episode.actions[: len(views) - 1], seed=0)
    assert state.scene is not None and len(state.scene) > 500
    actions = ["forward", "left", "forward"]
    first, again = (hw.imagine(world, state, actions) for _ in range(2))
    assert first.frames.shape == (3, 64, 64, 3) and torch.equal(first.frames, again.frames)
    assert first.state.scene is not None and len(first.state.scene) >= len(state.scene)
