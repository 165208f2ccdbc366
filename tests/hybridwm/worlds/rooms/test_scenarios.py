"""Every scenario: the same for the same seed, seen as it should be, and hiding what it should hide."""

import warnings

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env

import hybridwm  # noqa: F401 (registers the environment)
from hybridwm.worlds.rooms.physics import GRAVITY
from hybridwm.worlds.rooms.scenario_episodes import scenario_episode
from hybridwm.worlds.rooms.scenarios import SCENARIOS, WITH_HELD_OUT, make_scenario
from hybridwm.worlds.rooms.scenarios.dynamics import SPEEDS
from recon.view import View

FIRST = 700


@pytest.mark.parametrize("name", SCENARIOS)
def test_same_seed_same_episode(name):
    one, labels = scenario_episode(name, FIRST, 6, 16)
    two, again = scenario_episode(name, FIRST, 6, 16)
    other, _ = scenario_episode(name, FIRST + 1, 6, 16)
    assert torch.equal(one.rgb, two.rgb) and torch.equal(one.depth, two.depth) and torch.equal(one.touch, two.touch)
    assert torch.equal(labels.movers, again.movers) and labels.facts == again.facts
    assert not torch.equal(one.rgb, other.rgb)
    assert one.touch_names[0] == "bump" and one.fps in (8.0, 24.0) and isinstance(one.view(1), View)
    assert torch.isfinite(one.rgb.float()).all() and float(one.depth.min()) > 0.05


@pytest.mark.parametrize("name", ["roll", "drop", "bounce", "slide", "collide", "walker"])
def test_what_moves_is_in_sight_and_what_does_not_stands_still(name):
    for seed in range(FIRST, FIRST + 2):
        episode, labels = scenario_episode(name, seed, 17, 40)
        shown = labels.moving.flatten(1).sum(1)
        assert int((shown >= 5).sum()) >= 9, (seed, shown.tolist())
        still = ~(labels.moving[0] | labels.moving[-1])
        change = (episode.rgb[0].int() - episode.rgb[-1].int()).abs().amax(-1)
        assert int(change[still].max()) == 0  # the walker stands: nothing else may change
        assert int(change[labels.moving[0] != labels.moving[-1]].float().mean()) > 16


@pytest.mark.parametrize("name", WITH_HELD_OUT)
def test_held_out_speeds_lie_outside_of_those_trained_on(name):
    low, high = SPEEDS[name]["train"]
    for seed in range(FIRST, FIRST + 8):
        train, held_out = make_scenario(name, seed), make_scenario(name, seed, speeds="held_out")
        assert low <= train.labels["speed"] <= high < SPEEDS[name]["held_out"][0] <= held_out.labels["speed"]
        assert torch.equal(train.room.boxes, held_out.room.boxes)  # all else is the same


@pytest.mark.parametrize("name", ["roll", "bounce", "slide", "collide"])
def test_energy_of_the_episodes_never_grows(name):
    for speeds in ("train", "held_out"):
        _, labels = scenario_episode(name, FIRST, 24, 8, speeds=speeds)
        total = labels.energy.sum(1)
        assert (total[1:] <= total[:-1] * 1.001 + 1e-4).all()
        assert float(total[-1]) < float(total[0])


def test_a_drop_falls_freely():
    episode, labels = scenario_episode("drop", FIRST, 8, 8)
    fallen = labels.position[0, 0, 2] - labels.position[:, 0, 2]
    t = torch.arange(8) / episode.fps
    assert torch.allclose(fallen, GRAVITY * t**2 / 2, atol=1e-4)


@pytest.mark.parametrize("name", ["fork", "doors"])
def test_nothing_tells_the_outcome_beforehand(name):
    for seed in range(FIRST, FIRST + 2):
        (a, first), (b, second) = (scenario_episode(name, seed, 26, 32, outcome=k) for k in (0, 1))
        at = first.facts["fork_frame" if name == "fork" else "opens"]
        assert torch.equal(a.rgb[: at + 1], b.rgb[: at + 1]) and torch.equal(a.right[: at + 1], b.right[: at + 1])
        apart = (a.rgb[at + 6].int() - b.rgb[at + 6].int()).abs().amax(-1) > 25
        assert int(apart.sum()) > 12, (seed, int(apart.sum()))


@pytest.mark.parametrize("name, odds", [("doors", 0.3), ("fork", 0.5), ("occlusion", 0.5), ("mark", 0.5)])
def test_outcomes_come_by_their_odds(name, odds):
    """120 seeds: within three standard deviations; and drawing by seed is what the label says."""
    drawn = np.array([make_scenario(name, seed).outcome for seed in range(120)])
    assert abs((drawn == 0).mean() - odds) < 3 * np.sqrt(odds * (1 - odds) / 120)


def test_a_ball_behind_the_screen_is_out_of_sight_and_comes_back():
    for seed in range(FIRST, FIRST + 2):
        _, labels = scenario_episode("occlusion", seed, 32, 32, outcome=1)
        shown = labels.moving.flatten(1).sum(1)
        hidden = (shown == 0).nonzero()[:, 0]
        assert len(hidden) >= 4 and hidden[-1] - hidden[0] + 1 == len(hidden)  # once, in one piece
        assert int(shown[:6].min()) > 2 and int((shown[hidden[-1] + 1 :] > 2).sum()) >= 4
        absent, nothing = scenario_episode("occlusion", seed, 32, 8, outcome=0)
        assert not nothing.moving.any() and torch.equal(absent.rgb[0], absent.rgb[-1])


def test_a_mark_is_seen_left_and_seen_again():
    for seed in range(FIRST, FIRST + 2):
        with_it, labels = scenario_episode("mark", seed, 32, 40, outcome=1)
        without, _ = scenario_episode("mark", seed, 32, 40, outcome=0)
        differ = ((with_it.rgb.int() - without.rgb.int()).abs().amax(-1) > 12).flatten(1).sum(1)
        seen, back = labels.facts["seen_until"], labels.facts["back_from"]
        assert int(differ[:seen].min()) > 15 and int(differ[back:].min()) > 15, (seed, differ.tolist())
        assert int((differ[seen:back] == 0).sum()) >= 4
        assert torch.allclose(with_it.w2c[0], with_it.w2c[-1], atol=1e-4)


def test_the_walker_pushes_and_bumps():
    felt = torch.stack([scenario_episode("push", FIRST + k, 40, 8)[0].touch.sum(0) for k in range(3)]).sum(0)
    bump, bump_impulse, contact, contact_impulse = felt.tolist()
    assert bump >= 3 and contact >= 3
    assert 0 < bump_impulse / bump <= 20 * 0.25 * 8 + 1e-3 and contact_impulse > 0


def test_free_walks_pass_no_closed_door_and_plans_can_be_replaced():
    free, _ = scenario_episode("doors", FIRST, 24, 16, free=True)
    assert float((free.w2c[0] - free.w2c[-1]).abs().max()) > 0.1
    walked, _ = scenario_episode("roll", FIRST, 4, 16, actions=[2, 2, 3])
    still, _ = scenario_episode("roll", FIRST, 4, 16)
    assert torch.allclose(walked.w2c[1], walked.w2c[3], atol=1e-6) and torch.equal(still.w2c[0], still.w2c[3])


def test_a_nudge_is_a_second_take():
    _, first = scenario_episode("bounce", FIRST, 12, 8)
    _, second = scenario_episode("bounce", FIRST, 12, 8, nudge=0.05)
    away = (first.position - second.position).norm(dim=-1)[:, 0]
    assert 0 < float(away[4]) < 0.05 < 0.2 and float(away[0]) == 0


@pytest.mark.parametrize(
    "wrong, match",
    [
        (dict(name="rol"), "scenario: expected one of roll"),
        (dict(name="fork", speeds="held_out"), "speeds: expected 'train', or 'held_out' for roll"),
        (dict(name="fork", outcome=2), "outcome: expected 0…1"),
        (dict(name="roll", outcome=1), "outcome: expected 0…0"),
        (dict(name="roll", seed=-1), "expected a seed >= 0"),
    ],
)
def test_unknown_names_and_numbers_are_refused(wrong, match):
    wrong = {"name": "roll", "seed": 0} | wrong
    with pytest.raises(ValueError, match=match):
        make_scenario(wrong.pop("name"), wrong.pop("seed"), **wrong)


@pytest.mark.parametrize("continuous", [False, True])
def test_the_environment_plays_a_scenario(continuous):
    env = gymnasium.make("hybridwm/Rooms-v0", size=16, scenario="doors", continuous=continuous, render_mode="rgb_array")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped)


def test_the_environment_shows_what_the_episode_holds():
    episode, labels = scenario_episode("collide", FIRST, 6, 24)
    env = gymnasium.make("hybridwm/Rooms-v0", size=24, scenario="collide")
    seen, info = env.reset(seed=FIRST)
    for t in range(6):
        assert np.array_equal(seen["rgb"], episode.rgb[t].numpy()), t
        assert np.array_equal(seen["depth"], episode.depth[t].numpy())
        assert np.array_equal(info["moving"], labels.moving[t].numpy()) and info["moving"].dtype == bool
        assert env.observation_space.contains(seen) and seen["touch"].shape == (4,)
        seen, reward, terminated, truncated, info = env.step(info["planned"])
        assert (reward, terminated, truncated) == (0.0, False, False)
    assert info["scenario"]["name"] == "collide" and info["fps"] == 24


def test_outcomes_and_starts_can_be_set_in_the_environment():
    env = gymnasium.make("hybridwm/Rooms-v0", size=16, scenario="fork")
    _, info = env.reset(seed=FIRST, options={"outcome": 1})
    w2c = info["view"].camera.w2c
    assert info["scenario"]["outcome"] == 1
    _, info = env.reset(seed=FIRST + 1, options={"w2c": w2c})
    assert torch.equal(info["view"].camera.w2c, w2c)
    with pytest.raises(ValueError, match="options: expected outcome or w2c in a scenario"):
        env.reset(seed=0, options={"style_seed": 3})
    with pytest.raises(ValueError, match="scenario: expected one of roll"):
        gymnasium.make("hybridwm/Rooms-v0", scenario="rol")


def test_the_walker_is_stopped_by_a_closed_door_and_feels_it():
    env = gymnasium.make("hybridwm/Rooms-v0", size=8, scenario="doors")
    env.reset(seed=FIRST)
    felt = np.zeros(4)
    for _ in range(12):
        seen, _, _, _, info = env.step(0)
        felt = np.maximum(felt, seen["touch"])
    assert felt[0] == 1 and 0 < felt[1] <= 20 * 0.25 * 8 + 1e-3 and felt[2] == 0
