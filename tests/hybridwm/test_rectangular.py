"""Frames that are wider than high: walked, trained on, imagined and built into a scene as square ones are."""

from dataclasses import replace

import pytest
import torch

from hybridwm.cli.beginnings import from_room
from hybridwm.core.config import CoreConfig
from hybridwm.training.config import EpisodesConfig, TrainConfig
from hybridwm.training.train import train
from hybridwm.world_model import imagine, load
from hybridwm.worlds.rooms.rig import RoomsRig

CONFIG = TrainConfig(
    name="wide",
    core=CoreConfig(height=32, width=48, dim=24, depth=2, heads=3, window=2),
    episodes=EpisodesConfig(episodes=2, validation=1, steps=6, batch=3),
    steps=3,
    batch=2,
    clip=4,
    remembered=0.5,
    warm_up=1,
    validate_every=3,
    device="cpu",
    threads=1,
)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return train(CONFIG, tmp_path_factory.mktemp("wide"))


def test_a_rig_of_other_proportions_cuts_rows_and_keeps_the_field_of_view():
    w2c = torch.eye(4)
    square, wide = RoomsRig(size=48).camera(w2c), RoomsRig(size=48, height=32).camera(w2c)
    assert (wide.width, wide.height) == (48, 32)
    assert wide.K[0, 0] == wide.K[1, 1] == square.K[0, 0]
    assert (wide.K[0, 2], wide.K[1, 2]) == (24, 16)
    with pytest.raises(ValueError, match="rig height of at least 8 pixels; got 4"):
        RoomsRig(size=48, height=4)


@pytest.mark.parametrize(("memory", "depth"), [("splat", "stereo"), ("loopy", None)])
def test_a_trained_core_dreams_at_48_by_32(weights, memory, depth):
    world = load(weights, memory=memory, depth=depth)
    views = from_room(10_000_001, 3, 48, 32, {}).views
    assert views[0].image.shape == (32, 48, 3)
    rollout = imagine(world, world.start(views, seed=0), ["forward", "left"])
    assert rollout.frames.shape == rollout.right.shape == (2, 32, 48, 3)
    assert torch.isfinite(rollout.frames).all()
    if memory == "splat":
        shown = world.memory.recall(rollout.state.memory, rollout.cameras[-1], views[0].baseline)
        assert shown.renders[0].alpha.shape == (32, 48) and (shown.renders[0].alpha > 0.5).float().mean() > 0.5


def test_views_of_the_transposed_size_are_refused(weights):
    world = load(weights, memory="recent")
    with pytest.raises(ValueError, match="expected views of 48x32 as these weights imagine; got 32x48"):
        world.start(from_room(10_000_001, 2, 32, 48, {}).views)


def test_a_patch_that_does_not_divide_is_refused():
    with pytest.raises(ValueError, match="that patch=8 divides; got 32x44"):
        replace(CONFIG.core, width=44)
