"""The Gymnasium face of the rooms: its checker, seeds, walls, and refusals."""

import time
import warnings

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env

import hybridwm  # noqa: F401 (registers the environment)
from hybridwm.actions.walker import ACTIONS
from hybridwm.worlds.rooms import clearance, stack_rooms
from hybridwm.worlds.rooms.vector import RoomsVectorEnv
from recon.view import View

NAMES = list(ACTIONS)


@pytest.fixture
def env():
    return gymnasium.make("hybridwm/Rooms-v0", size=32)


@pytest.mark.parametrize("continuous", [False, True])
def test_check_env_has_nothing_to_say(continuous):
    env = gymnasium.make("hybridwm/Rooms-v0", size=32, continuous=continuous, render_mode="rgb_array")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped)


def test_same_seed_same_room(env):
    first, info = env.reset(seed=7)
    again, _ = env.reset(seed=7)
    other, _ = env.reset(seed=8)
    assert all(np.array_equal(first[k], again[k]) for k in first)
    assert not np.array_equal(first["rgb"], other["rgb"])
    assert first["rgb"].dtype == np.uint8 and first["rgb"].shape == (32, 32, 3)
    assert info["actions"] == NAMES and info["room"] == {"seed": 7, "style_seed": 7, "layout_seed": 7}


def test_reset_without_a_seed_draws_a_new_room(env):
    env.reset(seed=7)
    drawn = [env.reset()[1]["room"]["seed"] for _ in range(2)]
    env.reset(seed=7)
    assert drawn[0] != drawn[1] and env.reset()[1]["room"]["seed"] == drawn[0]


def test_style_and_layout_options(env):
    _, info = env.reset(seed=1, options={"style_seed": 5, "layout_seed": 6})
    assert info["room"] == {"seed": 1, "style_seed": 5, "layout_seed": 6}
    w2c = info["view"].camera.w2c
    _, info = env.reset(seed=1, options={"style_seed": 5, "layout_seed": 6, "w2c": w2c})
    assert torch.equal(info["view"].camera.w2c, w2c)
    with pytest.raises(ValueError, match="options: expected style_seed"):
        env.reset(seed=1, options={"style": 3})


def test_info_holds_the_stereo_view_that_was_observed(env):
    seen, info = env.reset(seed=3)
    view = info["view"]
    assert isinstance(view, View) and view.baseline == pytest.approx(0.30)
    assert np.array_equal((view.image * 255).round().byte().numpy(), seen["rgb"])
    assert np.array_equal((view.right * 255).round().byte().numpy(), seen["right"])
    assert np.array_equal(view.depth.numpy(), seen["depth"]) and np.array_equal(view.camera.w2c.numpy(), seen["camera"])


def test_walls_stop_the_walker_and_are_felt(env):
    env.reset(seed=11)
    rooms = stack_rooms([env.unwrapped.room])
    felt = 0
    for _ in range(40):
        seen, _, _, _, info = env.step(NAMES.index("forward"))
        center = info["view"].camera.center
        assert float(clearance(rooms, center[None])) >= 0.399
        felt += int(seen["touch"])
        if seen["touch"]:
            assert info["action"][0] < 0.25
    assert felt > 10
    seen, _, _, _, _ = env.step(NAMES.index("left"))
    assert seen["touch"] == 0


def test_continuous_twists_move_as_told():
    env = gymnasium.make("hybridwm/Rooms-v0", size=32, continuous=True)
    env.reset(seed=2)
    before = env.unwrapped._sight.w2c[0]
    _, _, _, _, info = env.step(np.array([0, 0, 0.3, -0.2], dtype=np.float32))
    after = info["view"].camera.w2c
    assert float(after[2, :3] @ torch.tensor([0.0, 0, 1])) == pytest.approx(np.sin(-0.2), abs=1e-5)
    assert float((before[2, :3] * after[0, :3]).sum()) > 0  # the old heading is now to the right: it turned left


@pytest.mark.parametrize("bad", [9, -1, 1.5, "forward", [1, 2], None, float("nan")])
def test_actions_outside_the_space_give_one_clear_line(env, bad):
    env.reset(seed=0)
    with pytest.raises(ValueError, match="action: expected a whole number 0…8") as error:
        env.step(bad)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("bad", [[9, 0, 0, 0], [0, 0, 0], [0, 0, 0, float("nan")], 3])
def test_twists_outside_the_space_give_one_clear_line(bad):
    env = gymnasium.make("hybridwm/Rooms-v0", size=32, continuous=True)
    env.reset(seed=0)
    with pytest.raises(ValueError, match="action: expected .forward m"):
        env.step(bad)


def test_bad_rigs_are_refused():
    with pytest.raises(ValueError, match="baseline"):
        gymnasium.make("hybridwm/Rooms-v0", baseline=0.5)
    with pytest.raises(ValueError, match="size"):
        gymnasium.make("hybridwm/Rooms-v0", size=2)


def test_vector_form_equals_single_ones():
    many = RoomsVectorEnv(3, size=32)
    seen, info = many.reset(seed=7)
    assert many.observation_space.contains(seen) and info["seed"].tolist() == [7, 8, 9]
    env = gymnasium.make("hybridwm/Rooms-v0", size=32)
    for i in range(3):
        alone, _ = env.reset(seed=7 + i)
        assert np.allclose(alone["rgb"].astype(int), seen["rgb"][i], atol=1)
        assert np.allclose(alone["camera"], seen["camera"][i])
    actions = np.array([NAMES.index(n) for n in ("left", "look_up", "right")])
    seen, reward, terminated, truncated, info = many.step(actions)
    assert many.observation_space.contains(seen) and reward.shape == terminated.shape == truncated.shape == (3,)
    alone, *_ = env.step(actions[2])
    assert np.allclose(alone["camera"], seen["camera"][2], atol=1e-6)
    with pytest.raises(ValueError, match="action: expected"):
        many.step(np.array([0, 1, 9]))


def test_vector_form_begins_anew_after_the_limit():
    many = RoomsVectorEnv(2, size=16, max_episode_steps=2)
    _, info = many.reset(seed=0)
    stay = np.full(2, NAMES.index("stay"))
    assert not many.step(stay)[3].any() and many.step(stay)[3].all()
    _, _, _, truncated, after = many.step(stay)
    assert not truncated.any() and (after["seed"] != info["seed"]).all()


def test_fast_enough():
    """≥ 60 steps/s at 64 × 64 with both eyes and depth on a quiet machine; a lenient bound for a busy one."""
    env = gymnasium.make("hybridwm/Rooms-v0", size=64)
    env.reset(seed=0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    start = time.process_time()
    for k in range(20):
        env.step(k % 9)
    seconds = time.process_time() - start
    torch.set_num_threads(threads)
    assert 20 / seconds > 15
