"""An rgb-d core: depth is a channel of its frames, made by it, remembered by it, and what the scene is built from."""

from dataclasses import replace

import pytest
import torch

from hybridwm.core.conditioning import (
    Recalled,
    Remembered,
    depth_channel,
    quantise,
    recall_tensor,
    remembered_tokens,
    to_depth,
    to_images,
    to_video,
)
from hybridwm.core.config import CoreConfig
from hybridwm.memory import make_memory
from hybridwm.state_file import load_state, save_state
from hybridwm.training.clips import make_batch, step_generator
from hybridwm.training.config import EpisodesConfig, TrainConfig
from hybridwm.training.episodes import make_episodes
from hybridwm.training.train import train
from hybridwm.world_model import WorldModel, imagine, load
from hybridwm.worlds.rooms.layout import make_room, stack_rooms
from hybridwm.worlds.rooms.raycast import raycast
from hybridwm.worlds.rooms.rig import RoomsRig
from hybridwm.worlds.rooms.walkers import walk
from recon import View
from render import RenderOutput

CORE = CoreConfig(height=32, width=32, eyes=1, eye_channels=4, dim=24, depth=4, heads=3, window=2)
CONFIG = TrainConfig(
    name="rgbd",
    core=CORE,
    episodes=EpisodesConfig(episodes=4, validation=1, steps=8, batch=5),
    steps=8,
    batch=2,
    clip=4,
    warm_up=2,
    validate_every=8,
    rate=1e-2,
    ema=0.3,
    remembered=0.5,
    own_rollouts=0.5,
    device="cpu",
    threads=1,
)
RIG = RoomsRig(size=32)
WALK = ["forward", "left", "forward", "right"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return train(CONFIG, tmp_path_factory.mktemp("rgbd"))


@pytest.fixture(scope="module")
def views():
    rooms = stack_rooms([make_room(3)], torch.device("cpu"))
    path = walk(rooms, 3, seed=1)
    seen = [raycast(rooms, RIG.camera(path.w2c[:, i : i + 1])) for i in range(4)]
    return [View(s.rgb[0, 0], RIG.camera(path.w2c[0, i]), s.depth[0, 0]) for i, s in enumerate(seen)]


def test_depth_is_a_clipped_inverse_and_nothing_measured_is_far():
    metres = torch.tensor([[0.0, 0.1, 0.5, 1.0, 5.0, 100.0]])
    channel = depth_channel(metres)
    assert torch.allclose(channel, torch.tensor([[-1, 1, 1, 0, -0.8, -1]]))
    back = to_depth(torch.cat([torch.zeros(3, 1, 6), channel[None]]))
    assert torch.allclose(back, torch.tensor([[0, 0.5, 0.5, 1, 5, 0]]), atol=1e-5)
    assert to_depth(torch.zeros(3, 1, 6)) is None


def test_frames_go_round_the_loop_as_sampling_has_them():
    frame = torch.rand(4, 8, 8, generator=torch.Generator().manual_seed(0)) * 2.4 - 1.2
    image, right = to_images(frame)
    assert right is None and image.shape == (8, 8, 3)
    assert torch.allclose(to_video(image, None, to_depth(frame)), quantise(frame), atol=1e-5)
    assert quantise(frame)[3].unique().numel() > 40, "depth is not cut to the levels of colours"


def test_the_renders_depth_is_the_fourth_channel():
    alpha = torch.tensor([[1.0, 0.6, 0.2, 0.0]])
    depth = torch.tensor([[1.0, 2.0, 0.0, 0.0]])
    told = recall_tensor(Recalled((RenderOutput(alpha[..., None].expand(1, 4, 3), alpha, depth),)), 1, 1, 4, depth=True)
    assert told.shape == (CORE.recall_channels, 1, 4)
    assert torch.allclose(told[3], torch.tensor([[0.0, -0.5, -1, -1]])) and torch.equal(told[4], alpha)


def test_training_clips_have_the_walks_depth_and_that_of_what_is_recalled():
    walks = make_episodes([1, 2, 3], 8, RIG, torch.device("cpu"), eyes=1)
    config = replace(CONFIG, recall=replace(CONFIG.recall, drop=0.0, holes=0, outliers=0, wrong=0, disparity_noise=0))
    batch = make_batch(walks, config, RIG, step_generator(0, 0, torch.device("cpu")), remembering=True)
    recall, clean = batch.conditions.recall[:, 4:], batch.clean
    assert clean.shape[2] == 4 and clean[:, :, 3].std() > 0.1
    known = recall[:, :, 4] > 0.9
    error = (recall[:, :, 3] - clean[:, :, 3])[known].abs().median()
    other = (recall[:, :, 3] - clean.roll(1, 0)[:, :, 3])[known].abs().median()
    assert known.float().mean() > 0.2 and error < 0.03 and other > 3 * error
    assert batch.conditions.remembered.patches.shape[2] == 4 * 64


def test_two_eyes_with_depth_are_refused(tmp_path):
    with pytest.raises(ValueError, match="left eye's depth alone"):
        train(replace(CONFIG, core=replace(CORE, eyes=2)), tmp_path)


def test_a_trained_core_imagines_depth_and_builds_its_scene_from_it(weights, views, tmp_path):
    world = load(weights, memory="splat", depth="rgbd")
    state = world.start(views, seed=0)
    rollout = imagine(world, state, WALK)
    after, frame = world.step(state, "forward")
    assert frame.depth is not None and frame.depth.shape == (32, 32)
    assert frame.depth[frame.depth > 0].min() >= 0.5 - 1e-5
    assert torch.equal(after.views[-1].depth, frame.depth), "imagined frames are measured by their own depth"
    assert len(rollout.state.scene) >= len(state.scene) > 100
    # the start views are measured by the depth that they carry
    shown = world.memory.recall(state.memory, views[-1].camera, None).renders[0]
    known = shown.depth > 0
    assert known.float().mean() > 0.8
    assert (shown.depth - views[-1].depth)[known].abs().median() < 0.1
    save_state(rollout.state, tmp_path / "state.safetensors")
    again = load_state(tmp_path / "state.safetensors")
    assert torch.equal(imagine(world, again, WALK).frames, imagine(world, rollout.state, WALK).frames)


def test_the_depth_that_it_is_shown_changes_what_it_imagines(weights, views):
    world = load(weights, memory="recent")
    near = [replace(view, depth=view.depth / 2) for view in views]
    a, b = (world.step(world.start(some, seed=0), "forward")[1] for some in (views, near))
    assert not torch.equal(a.image, b.image)
    assert not torch.equal(a.depth, b.depth)
    with pytest.raises(ValueError, match=r"rgb-d and need View\.depth"):
        world.start([replace(view, depth=None) for view in views])


@pytest.mark.parametrize("memory", ["loopy", "retrieved"])
def test_remembered_frames_have_depth(weights, views, memory):
    world = load(weights, memory=memory)
    rollout = imagine(world, world.start(views, seed=0), ["forward"] * 3)
    assert torch.isfinite(rollout.frames).all()
    frame = Remembered(views[0].image, views[0].camera)
    with pytest.raises(ValueError, match=r"Remembered\.depth: expected metres"):
        remembered_tokens([frame], views[0].camera, CORE)


def test_imagined_depth_is_never_taken_for_the_simulators(weights, views):
    world = load(weights, memory="splat", depth="truth")
    state = world.start(views, seed=0, oracle=lambda camera: torch.full((32, 32), 2.0))
    assert (world.step(state, "forward")[0].views[-1].depth == 2).all()
    with pytest.raises(ValueError, match="got None"):
        world.step(replace(state, oracle=None), "forward")


def test_the_source_needs_a_core_that_imagines_depth(weights):
    rgb = load("rooms-64", memory="recent").core
    with pytest.raises(ValueError, match="needs an rgb-d core"):
        WorldModel(rgb, make_memory("splat", eyes=2), depth="rgbd")
    with pytest.raises(ValueError, match="needs a binocular core"):
        load(weights, memory="splat", depth="stereo")
