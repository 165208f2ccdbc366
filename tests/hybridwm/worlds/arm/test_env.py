"""The arm's Gymnasium face: its checker, seeds, refusals, contacts, speed."""

import sys
import time
import warnings

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env

import hybridwm  # noqa: F401 (registers the environment)
from recon.view import View


@pytest.mark.parametrize("options", [{}, {"actions": "joints", "view": "fixed"}])
def test_check_env_has_nothing_to_say(arm, options):
    arm(8)  # skips where nothing can be drawn
    env = gymnasium.make("hybridwm/Arm-v0", size=16, render_mode="rgb_array", **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped)
    env.close()


def play(env, seed, steps=6):
    rng = np.random.default_rng(0)
    frames = [env.reset(seed=seed)[0]]
    high = env.action_space.high
    frames += [env.step((rng.uniform(-1, 1, len(high)) * high).astype(np.float32))[0] for _ in range(steps)]
    return frames


def test_same_seed_same_episode_bitwise(arm):
    env, other = arm(32), arm(32)
    first = play(env, 7)
    for again in (play(env, 7), play(other, 7)):
        assert all(np.array_equal(a[k], b[k]) for a, b in zip(first, again, strict=True) for k in a)
    changed = play(env, 8)
    assert not np.array_equal(first[0]["rgb"], changed[0]["rgb"])


def test_reset_without_a_seed_draws_a_new_table(arm):
    env = arm(16)
    env.reset(seed=7)
    drawn = [env.reset()[1]["table"]["seed"] for _ in range(2)]
    env.reset(seed=7)
    assert drawn[0] != drawn[1] and env.reset()[1]["table"]["seed"] == drawn[0]


def test_style_and_layout_options(arm):
    env = arm(32)
    plain, info = env.reset(seed=1)
    styled, other = env.reset(seed=1, options={"style_seed": 5})
    assert other["table"] == {"seed": 1, "style_seed": 5, "layout_seed": 1}
    assert np.array_equal(plain["depth"], styled["depth"]) and not np.array_equal(plain["rgb"], styled["rgb"])
    assert [n.split()[1] for n in info["things"]] == [n.split()[1] for n in other["things"]]
    moved, other = env.reset(seed=1, options={"layout_seed": 6})
    assert not np.array_equal(plain["depth"], moved["depth"])
    with pytest.raises(ValueError, match="options: expected style_seed or layout_seed; got .'style'"):
        env.reset(seed=1, options={"style": 3})


@pytest.mark.parametrize("view", ["wrist", "fixed"])
def test_info_holds_the_stereo_view_that_was_observed(arm, view):
    env = arm(32, view=view)
    seen, info = env.reset(seed=3)
    shown = info["view"]
    assert isinstance(shown, View) and shown.baseline == env.rig.baseline(view)
    assert np.array_equal((shown.image * 255).round().byte().numpy(), seen["rgb"])
    assert np.array_equal((shown.right * 255).round().byte().numpy(), seen["right"])
    assert np.array_equal(shown.depth.numpy(), seen["depth"])
    assert np.array_equal(shown.camera.w2c.numpy(), seen["camera"])
    assert info["actions"] == ["dx_m", "dy_m", "dz_m", "dyaw_rad", "grip"] and seen["touch"].tolist() == [0, 0, 0, 0]


def test_tip_goes_where_it_is_told(arm):
    env = arm(16)
    env.reset(seed=2, options={"layout_seed": 4})
    before = env.simulation.tip_place
    for _ in range(2):
        env.step(np.array([0.02, -0.03, 0.01, 0, 1], np.float32))
    seen = env.step(np.array([0, 0, 0, 0, -1], np.float32))[0]
    moved = env.simulation.tip_place - before
    assert np.allclose(moved, [0.04, -0.06, 0.02], atol=0.003)
    assert np.allclose(seen["proprio"][7:], env.simulation.tip_place, atol=1e-6)
    for _ in range(3):
        seen = env.step(np.array([0, 0, 0, 0, -1], np.float32))[0]
    assert seen["proprio"][6] < 0.004  # the fingers are shut


def test_joints_go_where_they_are_told(arm):
    env = arm(16, actions="joints")
    seen, _ = env.reset(seed=2)
    before = seen["proprio"][:6]
    change = np.array([0.1, -0.05, 0.08, 0.06, -0.1, 0.12, 1], np.float32)
    env.step(change)
    seen = env.step(np.array([0, 0, 0, 0, 0, 0, 1], np.float32))[0]
    assert np.allclose(seen["proprio"][:6] - before, change[:6], atol=0.01)


def test_the_table_stops_the_hand_and_is_felt(arm):
    env = arm(16)
    env.reset(seed=5)
    env.simulation.data.qpos[8:] += np.tile([0, 0, 5, 0, 0, 0, 0], (env.simulation.model.nq - 8) // 7)  # things away
    felt = []
    for _ in range(14):
        seen = env.step(np.array([0, 0, -0.04, 0, 1], np.float32))[0]
        felt.append(seen["touch"][3])
    assert seen["proprio"][9] > 0.014 and seen["touch"][3] == 0  # the lowest commanded place is over the table
    env = arm(16, actions="joints")
    env.reset(seed=5)
    env.simulation.data.qpos[8:] += np.tile([0, 0, 5, 0, 0, 0, 0], (env.simulation.model.nq - 8) // 7)
    felt = [env.step(np.array([0, 0.12, 0, 0, 0, 0, 1], np.float32))[0] for _ in range(12)]
    assert felt[0]["touch"][3] == 0 and felt[-1]["touch"][3] == 1 and felt[-1]["touch"][2] > 20
    assert felt[-1]["proprio"][9] > -0.03
    assert all(env.observation_space.contains(seen) for seen in felt)


@pytest.mark.parametrize(
    "bad", [[9, 0, 0, 0, 0], [0, 0, 0], [0, 0, 0, 0, float("nan")], 3, "up", None, [0, 0, 0, 0, 1.5]]
)
def test_actions_outside_the_space_give_one_clear_line(arm, bad):
    env = arm(16)
    env.reset(seed=0)
    with pytest.raises(ValueError, match="action: expected .dx_m, dy_m") as error:
        env.step(bad)
    assert "\n" not in str(error.value)


def test_bad_settings_are_refused(arm):
    for bad in ({"size": 2}, {"view": "left"}, {"actions": "torque"}, {"render_mode": "human"}):
        with pytest.raises(ValueError, match=f"{next(iter(bad))}: expected"):
            arm(**bad)
    with pytest.raises(RuntimeError, match="expected reset"):
        arm(16).step(np.zeros(5, np.float32))


def test_a_missing_extra_gives_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "mujoco", None)
    with pytest.raises(ModuleNotFoundError) as error:
        gymnasium.make("hybridwm/Arm-v0")
    assert str(error.value).endswith("Run: pip install 'hybridwm[arm]'") and "\n" not in str(error.value)


def test_fast_enough(arm):
    """≥ 60 steps/s at 64 × 64 with both eyes and depth on a quiet machine; a lenient bound for a busy one."""
    env = arm(64)
    env.reset(seed=0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    start = time.process_time()
    for k in range(30):
        env.step(np.array([0.02, 0, 0, 0, 1 - k % 2], np.float32))
    seconds = time.process_time() - start
    torch.set_num_threads(threads)
    assert 30 / seconds > 25
