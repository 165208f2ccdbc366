"""The loop on a tiny core with random weights: what a step depends on, and what it must not touch."""

from dataclasses import replace

import pytest
import torch

from hybridwm.actions.walker import ACTIONS
from hybridwm.core.config import CoreConfig
from hybridwm.core.video_core import VideoCore
from hybridwm.memory import make_memory
from hybridwm.weights.store import load_weights, save_weights
from hybridwm.world_model import WorldModel, imagine, load
from hybridwm.worlds.rooms.layout import make_room, stack_rooms
from hybridwm.worlds.rooms.raycast import raycast
from hybridwm.worlds.rooms.rig import RoomsRig
from hybridwm.worlds.rooms.walkers import walk
from recon import View
from render import FormatError

CONFIG = CoreConfig(height=32, width=32, dim=24, depth=4, heads=3, window=2)
RIG = RoomsRig(size=32)
WALK = ["forward", "left", "left", "forward", "right", "back"]


def make_core(seed: int = 0) -> VideoCore:
    torch.manual_seed(seed)
    core = VideoCore(CONFIG)
    with torch.no_grad():
        for parameter in core.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return core


CORE = make_core()


@pytest.fixture(scope="module")
def beginning():
    """Views of a walk through a room, their actions, and the room's depth as an oracle."""
    rooms = stack_rooms([make_room(3)], torch.device("cpu"))
    path = walk(rooms, 6, seed=1)
    views = []
    for i in range(6):
        left = RIG.camera(path.w2c[0, i])
        seen = raycast(rooms, RIG.stereo(path.w2c[:, i]))
        views.append(
            View(seen.rgb[0, 0], left, depth=seen.depth[0, 0], right=seen.rgb[0, 1], baseline=RIG.baseline)
        )

    def oracle(camera):
        return (
            raycast(rooms, camera[None]).depth[0]
            if camera.batch_shape
            else raycast(rooms, RIG.camera(camera.w2c[None, None])).depth[0, 0]
        )

    return views, path.actions[0, :5], oracle


def world(memory="splat", depth: str | None = "stereo", solver_steps=2) -> WorldModel:
    return WorldModel(CORE, make_memory(memory, eyes=2), depth=depth, solver_steps=solver_steps)


def test_a_rollout_has_the_documented_shape(beginning):
    views, actions, _ = beginning
    model = world()
    state = model.start(views, actions, seed=1)
    rollout = imagine(model, state, WALK)
    assert rollout.frames.shape == (6, 32, 32, 3)
    assert rollout.right is not None and rollout.right.shape == rollout.frames.shape
    assert rollout.frames.min() >= 0 and rollout.frames.max() <= 1
    assert torch.equal((rollout.frames * 255).round() / 255, rollout.frames), "frames are 8-bit"
    assert len(rollout.cameras) == 6 and rollout.state.steps == 6
    assert set(rollout.seconds) == {"render", "denoise", "depth", "fuse"}
    assert rollout.state.scene is not None and len(rollout.state.scene) >= len(state.scene)


@pytest.mark.parametrize(
    ("memory", "depth"),
    [
        ("none", None),
        ("recent", None),
        ("loopy", None),
        ("retrieved", None),
        ("routed", "stereo"),
        ("splat", "stereo"),
        ("splat", "truth"),
    ],
)
def test_forks_and_returns_are_bitwise_equal(beginning, memory, depth):
    views, actions, oracle = beginning
    model = world(memory, depth)
    state = model.start(views, actions, seed=5, oracle=oracle)
    middle = imagine(model, state, WALK[:2]).state
    first = imagine(model, middle, WALK[2:])
    imagine(model, middle, ["right", "right", "forward"])  # another fork must leave no trace
    again = imagine(model, middle, WALK[2:])
    assert torch.equal(first.frames, again.frames)
    whole = imagine(model, model.start(views, actions, seed=5, oracle=oracle), WALK)
    assert torch.equal(whole.frames[2:], first.frames)


def test_seeds_differ_and_arms_share_their_noise(beginning):
    views, actions, _ = beginning
    model = world("recent", None)
    a, b = (imagine(model, model.start(views, actions, seed=s), WALK[:1]).frames for s in (0, 1))
    assert not torch.equal(a, b)


def test_an_action_enters_the_next_frame_and_no_earlier_one(beginning):
    """Row 2, through the whole loop: changing actions[3] leaves frames 0…2 bitwise equal and changes frame 3."""
    views, actions, _ = beginning
    model = world("recent", None)
    state = model.start(views, actions, seed=0)
    a = imagine(model, state, WALK).frames
    b = imagine(model, state, [*WALK[:3], "back", *WALK[4:]]).frames
    assert torch.equal(a[:3], b[:3])
    assert not torch.equal(a[3], b[3])


def test_stereo_never_looks_at_given_depth(beginning):
    views, actions, _ = beginning
    spoiled = [replace(v, depth=torch.full((32, 32), torch.nan)) for v in views]
    model = world()
    a = imagine(model, model.start(views, actions), WALK)
    b = imagine(model, model.start(spoiled, actions), WALK)
    assert torch.equal(a.frames, b.frames)
    assert torch.equal(a.state.scene.gaussians.means, b.state.scene.gaussians.means)


def test_truth_needs_an_oracle_and_refuses_nan(beginning):
    views, actions, oracle = beginning
    model = world("splat", "truth")
    with pytest.raises(ValueError, match="oracle"):
        model.start(views, actions)
    spoiled = [replace(v, depth=torch.full((32, 32), torch.nan)) for v in views]
    with pytest.raises(ValueError, match="NaN"):
        model.start(spoiled, actions, oracle=oracle)


@pytest.mark.parametrize("depth", ["noisy(0.05)", "scaled(1.25)"])
def test_variants_of_truth_need_an_oracle_and_differ_from_it(beginning, depth):
    views, actions, oracle = beginning
    with pytest.raises(ValueError, match="oracle"):
        world("splat", depth).start(views, actions)
    states = [world("splat", name).start(views, actions, oracle=oracle) for name in ("truth", depth)]
    one, other = (state.scene.gaussians.means for state in states)
    assert one.shape != other.shape or not torch.allclose(one, other, atol=1e-3)


def test_the_placebo_looks_at_its_own_scene_only(beginning):
    """shuffled: another scene's oracle, from the first view on."""
    views, actions, oracle = beginning
    spoiled = [replace(v, depth=torch.full((32, 32), torch.nan)) for v in views]
    model = world("splat", "shuffled")
    state = model.start(spoiled, actions, oracle=lambda camera: 0.5 * oracle(camera))
    halved = world("splat", "scaled(0.5)").start(views, actions, oracle=oracle)
    assert torch.allclose(state.scene.gaussians.means, halved.scene.gaussians.means)


def test_commanded_cameras_are_used(beginning):
    views, actions, _ = beginning
    model = world("recent", None)
    state = model.start(views, actions)
    cameras = [views[0].camera] * 2
    rollout = imagine(model, state, ["forward", "forward"], cameras=cameras)
    assert all(torch.equal(c.w2c, views[0].camera.w2c) for c in rollout.cameras)
    with pytest.raises(ValueError, match="one camera for each action; got 2 cameras, 1 actions"):
        imagine(model, state, ["forward"], cameras=cameras)


def test_actions_read_off_the_cameras_are_those_given(beginning):
    views, actions, _ = beginning
    model = world("recent", None)
    a = imagine(model, model.start(views, actions), WALK[:2]).frames
    b = imagine(model, model.start(views), WALK[:2]).frames
    assert (a - b).abs().max() <= 2 / 255


def test_the_walker_stops_before_what_it_measured(beginning):
    views, actions, oracle = beginning
    model = world("splat", "truth")
    state = replace(model.start(views, actions, oracle=oracle), clearance=0.5)
    after, _ = model.step(state, "forward")
    moved = (after.camera.center - state.camera.center).norm()
    assert moved == pytest.approx(0.1, abs=1e-3), "half a metre free, less the radius of 0.4"


def test_the_core_is_told_how_far_the_walker_came(beginning):
    """As its training data tell: who is stopped by a wall stays, whatever was asked for."""
    views, actions, _ = beginning
    model = world()
    state = replace(model.start(views, actions, seed=1), clearance=model.body.radius)
    stay, forward, left = (model.step(state, name)[1] for name in ("stay", "forward", "left"))
    assert torch.equal(forward.camera.w2c, stay.camera.w2c) and torch.equal(forward.image, stay.image)
    assert not torch.equal(left.image, stay.image)
    free = replace(state, clearance=9.0)
    asked = model.step(free, "forward")[1]
    told = model.step(free, "forward", camera=asked.camera)[1]
    assert torch.equal(asked.image, told.image), "nothing stopped it"
    # a commanded camera was planned with its action: both are taken as they are
    goes, stays = (model.step(state, name, camera=stay.camera)[1] for name in ("forward", "stay"))
    assert not torch.equal(goes.image, stays.image) and torch.equal(stays.image, stay.image)


@pytest.mark.parametrize("bad", ["jump", 99, [0.0, 0.0], [float("nan"), 0, 0, 0], [9.0, 0, 0, 0]])
def test_actions_outside_the_space_are_refused(beginning, bad):
    views, actions, _ = beginning
    model = world("recent", None)
    with pytest.raises(ValueError, match="action: expected"):
        model.step(model.start(views, actions), bad)


def test_views_that_do_not_fit_are_refused(beginning):
    views, actions, _ = beginning
    model = world("recent", None)
    small = RoomsRig(size=16)
    wrong = View(
        torch.zeros(16, 16, 3), small.camera(torch.eye(4)), right=torch.zeros(16, 16, 3), baseline=0.3
    )
    with pytest.raises(ValueError, match="expected views of 32x32.*got 16x16"):
        model.start([wrong])
    with pytest.raises(ValueError, match="need View.right"):
        model.start([replace(views[0], right=None)])
    with pytest.raises(ValueError, match="at least one view"):
        model.start([])


def test_memory_and_depth_must_go_together():
    with pytest.raises(ValueError, match="needs a depth source"):
        world("splat", None)
    with pytest.raises(ValueError, match="uses no depth"):
        world("recent", "stereo")
    with pytest.raises(ValueError, match="expected one of none, recent, .*, splat, or module:Class; got 'nearest'"):
        make_memory("nearest", eyes=2)


def test_weights_round_trip_and_misfits(tmp_path):
    tensors = CORE.network.state_dict()
    path = save_weights(tmp_path, "tiny", CONFIG, {}, tensors, {"steps": 1})
    model = load(tmp_path, memory="recent")
    for name, value in model.core.network.state_dict().items():
        assert torch.equal(value, tensors[name].half().float())
    path.with_suffix(".json").write_text(
        path.with_suffix(".json").read_text().replace('"dim": 24', '"dim": 48')
    )
    with pytest.raises(FormatError, match="of another configuration"):
        load(tmp_path, memory="recent")
    with pytest.raises(FileNotFoundError, match="expected a packaged name"):
        load_weights("no-such-weights")
    path.with_suffix(".json").unlink()
    with pytest.raises(FileNotFoundError, match="configuration beside the weights"):
        load(tmp_path, memory="recent")
    save_weights(tmp_path, "tiny", CONFIG, {}, tensors, {})
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(FormatError, match="whole safetensors"):
        load(tmp_path, memory="recent")


def test_imagined_views_never_touch_what_was_observed(beginning):
    """Observed outranks imagined, through the loop: positions, colours and confirmations of observed Gaussians stay."""
    views, actions, _ = beginning
    model = world()
    state = model.start(views, actions)
    after = imagine(model, state, list(ACTIONS)[:6]).state
    before, now = state.scene.select(observed=True), after.scene.select(observed=True)
    assert len(before) == len(now)
    assert torch.equal(before.gaussians.means, now.gaussians.means)
    assert torch.equal(before.gaussians.sh, now.gaussians.sh)
    assert torch.equal(before.confirmations, now.confirmations)
