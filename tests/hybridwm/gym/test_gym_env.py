"""The dream as an environment: its checker, the simulator's spaces, determinism, forks, ends, rewards, refusals."""

import warnings
from dataclasses import replace

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env
from small_dreams import dream, make_core, metres, model, rooms

import hybridwm as hw
from hybridwm.actions.walker import ACTIONS
from hybridwm.dream_beginnings import Observed, ScriptedBeginning
from hybridwm.worlds import give_task, restrict
from hybridwm.worlds.collection import walk_rooms
from hybridwm.worlds.rooms import RoomsRig
from recon import View

NAMES = list(ACTIONS)


@pytest.mark.parametrize(("memory", "depth", "continuous"), [("splat", "stereo", False), ("recent", None, True)])
def test_check_env_has_nothing_to_say(memory, depth, continuous):
    env = dream(memory, depth, continuous, render_mode="rgb_array")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*not having a spec.*")
        check_env(env)


def test_gymnasium_makes_it_by_name():
    env = gymnasium.make("hybridwm/Dream-v0", weights="rooms-64", memory="recent", depth=None, max_steps=2)
    seen, info = env.reset(seed=7)
    assert env.observation_space.contains(seen) and seen["rgb"].shape == (64, 64, 3)
    assert not env.step(NAMES.index("left"))[3] and env.step(NAMES.index("left"))[3]


@pytest.mark.parametrize("continuous", [False, True])
def test_spaces_are_the_simulators_restricted_to_what_weights_predict(continuous):
    env = dream("recent", None, continuous)
    simulator = gymnasium.make("hybridwm/Rooms-v0", size=32, continuous=continuous)
    assert env.observation_space != simulator.observation_space
    simulator = restrict(simulator, env.keys)
    assert env.keys == ["camera", "rgb", "right"] and list(simulator.observation_space) == env.keys
    assert env.observation_space == simulator.observation_space and env.action_space == simulator.action_space
    ours, theirs = env.reset(seed=5)[0], simulator.reset(seed=5)[0]
    assert list(ours) == list(theirs) and all(ours[key].dtype == theirs[key].dtype for key in ours)


def test_it_begins_where_the_simulator_begins():
    """The beginning looks aside and back, so the first thing seen is the simulator's, in the same room."""
    ours, theirs = dream("recent", None).reset(seed=5)[0], gymnasium.make("hybridwm/Rooms-v0", size=32).reset(seed=5)[0]
    assert np.abs(ours["rgb"].astype(int) - theirs["rgb"]).max() <= 1
    assert np.allclose(ours["camera"], theirs["camera"], atol=1e-4)


def test_one_eye_has_one_image_and_depth_is_there_where_it_is_imagined():
    mono = make_core(eyes=1)
    assert hw.DreamEnv(model("recent", None, mono), rooms()).keys == ["camera", "rgb"]
    rgbd = hw.DreamEnv(model("recent", None, make_core(eyes=1, eye_channels=4)), rooms())
    assert rgbd.keys == ["camera", "depth", "rgb"]
    rgbd.reset(seed=1)
    seen, *_ = rgbd.step(0)
    assert rgbd.observation_space.contains(seen) and seen["depth"].dtype == np.float32


def test_touch_is_seen_where_weights_imagine_it():
    env = hw.DreamEnv(model("recent", None, make_core(vectors=(("touch", 1),))), rooms())
    assert "touch" in env.keys and env.observation_space["touch"] == spaces.Discrete(2)
    assert env.observation_space.contains(env.reset(seed=1)[0]) and env.observation_space.contains(env.step(0)[0])


def test_the_same_seed_gives_the_same_dream_bit_for_bit():
    one, other = dream(), dream()
    for env in (one, other):
        env.reset(seed=3)
    for name in ("forward", "left", "look_up"):
        a, b = (env.step(NAMES.index(name)) for env in (one, other))
        assert all(np.array_equal(a[0][key], b[0][key]) for key in a[0]) and a[4]["state"] == b[4]["state"]
    third = dream()
    third.reset(seed=4)
    assert third.state != one.state


def test_another_dream_of_the_same_beginning():
    env = dream("recent", None)
    first, _ = env.reset(seed=3)
    after, *_ = env.step(2)
    again, _ = env.reset(seed=3, options={"dream_seed": 9})
    assert np.array_equal(first["rgb"], again["rgb"])
    assert not np.array_equal(after["rgb"], env.step(2)[0]["rgb"])


def test_resets_without_a_seed_draw_new_beginnings():
    env = dream("recent", None, seed=1)
    seeds = [env.reset()[1]["state"].seed for _ in range(2)]
    assert seeds[0] != seeds[1]
    assert seeds == [other.reset()[1]["state"].seed for other in [dream("recent", None, seed=1)] for _ in range(2)]


@pytest.mark.parametrize(("memory", "depth"), [("splat", "stereo"), ("recent", None)])
def test_forks_and_returns_are_bitwise_equal(memory, depth):
    env = dream(memory, depth)
    env.reset(seed=3)
    env.step(0)
    here, fork = env.state, env.fork()
    went = [env.step(k)[0] for k in (2, 0, 7)]
    assert fork.state == here and env.state != here
    env.step(1)
    for k, seen in zip((2, 0, 7), went, strict=True):
        forked = fork.step(k)[0]
        assert all(np.array_equal(forked[x], seen[x]) for x in seen)
    seen, info = env.restore(here)
    assert info["state"] is here and env.observation_space.contains(seen)
    again = [env.step(k)[0] for k in (2, 0, 7)]
    assert all(np.array_equal(a[x], b[x]) for a, b in zip(again, went, strict=True) for x in a)
    assert not np.array_equal(env.restore(here)[0]["rgb"], went[0]["rgb"])
    assert env.fork().reset()[1]["state"].seed == env.reset()[1]["state"].seed


def test_info_tells_view_actions_and_state():
    env = dream()
    _, info = env.reset(seed=3)
    assert info["actions"] == NAMES and isinstance(info["view"], View)
    assert info["view"].depth is not None and info["state"].world.scene is not None
    seen, _, _, _, info = env.step(NAMES.index("left"))
    assert np.allclose(info["action"], ACTIONS["left"], atol=1e-5)
    assert np.array_equal((info["view"].image * 255).round().byte().numpy(), seen["rgb"])
    video = dream("recent", None)
    assert video.reset(seed=3)[1]["view"].depth is None, "what is never measured is not told at the start either"


def test_walls_that_were_measured_stop_the_walker():
    env = dream("splat", "stereo")
    env.reset(seed=3)
    env.restore(replace(env.state, world=replace(env.state.world, clearance=0.5)))
    _, _, _, _, info = env.step(NAMES.index("forward"))
    assert info["action"][0] == pytest.approx(0.1, abs=1e-4), "half a metre free, less the radius of 0.4"


def test_episodes_end_by_steps_and_where_the_world_does():
    env = dream("recent", None, max_steps=2)
    env.reset(seed=3)
    assert not env.step(0)[3] and env.step(0)[3]
    env.reset(seed=3)
    far = env.state.world.camera.w2c.clone()
    far[:3, 3] = torch.tensor([0.0, 0.0, 19.9])
    world = replace(env.state.world, camera=replace(env.state.world.camera, w2c=far))
    env.restore(replace(env.state, world=world))
    seen, _, terminated, truncated, _ = env.step(NAMES.index("back"))
    assert truncated and not terminated and env.observation_space.contains(seen)


def test_rewards_and_endings_are_those_of_the_simulator_with_the_same_task():
    task = {"reward": metres, "termination": lambda view: bool(view.camera.w2c[2, 2] > 0.6)}  # looks far up
    ours = dream("recent", None, **task)
    theirs = give_task(gymnasium.make("hybridwm/Rooms-v0", size=32), **task)
    ours.reset(seed=5), theirs.reset(seed=5)
    for name in ("left", "left", "look_up", "look_up", "look_up"):
        a, b = ours.step(NAMES.index(name)), theirs.step(NAMES.index(name))
        assert a[1] == pytest.approx(b[1], abs=1e-4) and a[2] == b[2]
    assert a[2], "the gaze is 45 degrees up"


def test_beginnings_from_a_function():
    walk = walk_rooms([3], 4, RoomsRig(size=32))[0]

    def recorded(seed):
        return Observed(walk.views(), walk.actions)

    env = hw.DreamEnv(model("recent", None), recorded)
    seen, _ = env.reset(seed=0)
    assert np.array_equal(seen["rgb"], walk.rgb[-1].numpy()) and set(env.keys) == {"rgb", "right", "camera"}
    plain = hw.DreamEnv(model("recent", None), lambda seed: walk.views())
    plain.reset(seed=0)
    assert np.abs(env.step(2)[0]["rgb"].astype(int) - plain.step(2)[0]["rgb"]).max() <= 2


def test_refusals_give_one_clear_line():
    with pytest.raises(ValueError, match="keys: expected keys among camera, rgb, right; got touch"):
        dream("recent", None, keys=["rgb", "touch"])
    with pytest.raises(ValueError, match="restrict: expected keys among .*; got none"):
        restrict(gymnasium.make("hybridwm/Rooms-v0"), [])
    with pytest.raises(TypeError, match="by key"):
        restrict(gymnasium.make("CartPole-v1"), ["rgb"])
    with pytest.raises(ValueError, match="max_steps"):
        dream("recent", None, max_steps=0)
    with pytest.raises(ValueError, match="walker's actions"):
        hw.DreamEnv(model("recent", None), rooms(), continuous=True)
    with pytest.raises(ValueError, match="script: expected actions"):
        ScriptedBeginning("hybridwm/Rooms-v0", size=32, script=("jump",))
    env = dream("recent", None)
    for ask in (lambda: env.step(0), lambda: env.state, env.fork):
        with pytest.raises(RuntimeError, match="reset"):
            ask()
    env.reset(seed=0)
    with pytest.raises(ValueError, match="action: expected a whole number 0…8"):
        env.step(9)
    with pytest.raises(TypeError, match="restore"):
        env.restore(env.state.world)
    with pytest.raises(ValueError, match="options: expected dream_seed"):
        env.reset(seed=0, options={"style_seed": 1})
