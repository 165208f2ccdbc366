"""The Gymnasium face of Doom: its checker, seeds, exact steps, walls, and refusals."""

import warnings

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env

from hybridwm.actions.walker import ACTIONS, Walker
from hybridwm.worlds.doom.env import NAMES, PROPRIO, standing
from hybridwm.worlds.doom.lens import UNITS_PER_METRE
from recon import View


@pytest.mark.parametrize("continuous", [False, True])
def test_check_env_has_nothing_to_say(doom, continuous):
    doom(size=16).close()  # skips without vizdoom
    env = gymnasium.make("hybridwm/Doom-v0", size=32, continuous=continuous, render_mode="rgb_array")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped)
    env.close()


def test_it_is_made_by_its_name(doom):
    doom(size=16)  # skips without vizdoom
    env = gymnasium.make("hybridwm/Doom-v0", size=48, scenario="basic", max_steps=2)
    seen, info = env.reset(seed=1)
    assert seen["rgb"].shape == (48, 48, 3) and "right" not in seen and info["actions"] == list(NAMES)
    assert set(NAMES) == set(ACTIONS) - {"look_up", "look_down"}
    assert [env.step(NAMES.index("stay"))[3] for _ in range(2)] == [False, True]
    env.close()


def test_same_seed_same_episode_also_in_another_process(doom):
    played = []
    for env in (doom(size=32, scenario="health_gathering"), doom(size=32, scenario="health_gathering")):
        env.reset(seed=5)  # another episode before is no matter
        env.step(0)
        seens = [env.reset(seed=7)[0]] + [env.step(action)[0] for action in (0, 0, 2, 4, 0, 3) * 3]
        played.append(seens)
    for one, other in zip(*played, strict=True):
        assert all(np.array_equal(one[k], other[k]) for k in one)
    assert not np.array_equal(env.reset(seed=8)[0]["camera"], played[0][0]["camera"])


def test_info_holds_the_view_that_was_observed(doom):
    seen, info = doom(size=32).reset(seed=3)
    view = info["view"]
    assert isinstance(view, View) and view.right is None
    assert np.array_equal((view.image * 255).round().byte().numpy(), seen["rgb"])
    assert np.array_equal(view.depth.numpy(), seen["depth"]) and np.array_equal(view.camera.w2c.numpy(), seen["camera"])
    assert seen["depth"].min() > 0 and info["things"].shape == (32, 32)


def test_the_camera_is_that_of_a_standing_walker():
    w2c = Walker().stand(torch.tensor([1.0, -2.0, 41 / 32]), torch.tensor(0.7))
    assert standing((UNITS_PER_METRE, -2 * UNITS_PER_METRE, 41.0), 0.7) == pytest.approx(w2c.numpy(), abs=1e-6)


def moved(before, after):
    """The walker's action that leads from one camera to the other, measured in the first one's body."""
    one, other = (np.linalg.inv(w2c.astype(np.float64)) for w2c in (before, after))
    yaw = np.arctan2(other[1, 2], other[0, 2]) - np.arctan2(one[1, 2], one[0, 2])
    shift = other[:3, 3] - one[:3, 3]
    return shift @ other[:3, 2], shift @ other[:3, 0], (yaw + np.pi) % (2 * np.pi) - np.pi


def test_what_is_commanded_is_what_the_camera_does(doom):
    env = doom(size=32)
    seen, _ = env.reset(seed=2)
    free = 0
    for action in [NAMES.index(n) for n in ("forward", "left", "strafe_right", "right", "back", "stay", "right")] * 3:
        before = seen["camera"]
        seen, _, _, _, info = env.step(action)
        found, wish = moved(before, seen["camera"]), ACTIONS[NAMES[action]]
        assert found[2] == pytest.approx(wish[2], abs=2e-4)  # turning is exact, walls or not
        assert found == pytest.approx(info["action"][:3], abs=2e-3)
        if not seen["touch"]:
            free += 1
            assert found[:2] == pytest.approx(wish[:2], abs=0.01)
    assert free > 10


def test_twists_move_as_told(doom):
    env = doom(size=32, continuous=True)
    seen, _ = env.reset(seed=2)
    before = seen["camera"]
    seen, _, _, _, info = env.step(np.array([0.2, -0.1, 0.5], dtype=np.float32))
    assert moved(before, seen["camera"]) == pytest.approx((0.2, -0.1, 0.5), abs=5e-3)
    ahead, aside, yaw, health = seen["proprio"]
    assert len(PROPRIO) == 4 and health == 1.0 and yaw == pytest.approx(0.5 * 8.75, rel=1e-3)
    assert ahead > 0.5 and aside < -0.2  # metres a second, after 4 tics of them


def test_walls_stop_the_body_and_are_felt(doom):
    env = doom(size=32)
    seen, _ = env.reset(seed=4)
    felt, nearest = [], 9.0
    for _ in range(60):
        seen, _, _, _, info = env.step(NAMES.index("forward"))
        felt.append(int(seen["touch"]))
        if seen["touch"] and abs(info["action"][0]) < 0.01:
            nearest = min(nearest, float(seen["depth"][16, 12:20].min()))
    assert not felt[0] and felt[-1] and sum(felt) > 5
    assert 0.3 < nearest < 0.8  # a body of half a metre's radius
    assert env.step(NAMES.index("left"))[0]["touch"] == 0


def test_after_the_end_the_last_sight_stands_and_steps_are_refused(doom):
    env = doom(size=32, scenario="my_way_home")
    with pytest.raises(RuntimeError, match="no episode is running"):
        env.step(0)
    env.reset(seed=0)
    env._engine._game.send_game_command("kill")
    for _ in range(20):
        seen, _, over, _, _ = env.step(NAMES.index("stay"))
        if over:
            break
    assert over and env.observation_space.contains(seen)
    with pytest.raises(RuntimeError, match="call env.reset"):
        env.step(0)
    assert env.observation_space.contains(env.reset(seed=1)[0])


@pytest.mark.parametrize("bad", [7, -1, 1.5, "forward", [1, 2], None, float("nan")])
def test_actions_outside_the_space_give_one_clear_line(doom, bad):
    env = doom(size=16)
    env.reset(seed=0)
    with pytest.raises(ValueError, match="action: expected a whole number 0…6") as error:
        env.step(bad)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"frame_skip": 0}, "frame_skip: expected 1…35"),
        ({"max_steps": 0}, "max_steps: expected at least 1"),
        ({"render_mode": "human"}, "render_mode: expected None"),
        ({"scenario": "e1m1"}, "scenario: expected one of"),
        ({"size": 8}, "size: expected 16"),
    ],
)
def test_what_cannot_be_made_is_refused(doom, keywords, message):
    with pytest.raises(ValueError, match=message):
        doom(**keywords)


def test_nothing_is_left_behind(doom, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    env = doom(size=16)
    env.reset(seed=0)
    env.close()
    assert list(tmp_path.iterdir()) == []
    env.close()  # twice is no matter
