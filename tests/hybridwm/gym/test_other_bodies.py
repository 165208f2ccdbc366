"""Dreams of Doom and of the arm, by tiny cores: the spaces of those worlds, forks, and many at once."""

import warnings

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from small_dreams import make_core

import hybridwm as hw
from hybridwm.actions.body import make_body
from hybridwm.dream_beginnings import HOLD, ScriptedBeginning
from hybridwm.memory import make_memory
from hybridwm.worlds import restrict

# name: library, environment, its options, the weights' body, eyes, numbers of an action
WORLDS = {
    "doom": ("vizdoom", "hybridwm/Doom-v0", {}, "walker", 1, 4),
    "doom-twist": ("vizdoom", "hybridwm/Doom-v0", {"continuous": True}, "walker", 1, 4),
    "hand": ("mujoco", "hybridwm/Arm-v0", {}, "hand", 2, 5),
    "joints": ("mujoco", "hybridwm/Arm-v0", {"actions": "joints"}, "joints", 2, 7),
}


@pytest.fixture(scope="module", params=WORLDS)
def world(request):
    """(simulator, dream, vectorised) by name; skipped where its library or a screen is missing."""
    library, name, options, body, eyes, width = WORLDS[request.param]
    pytest.importorskip(library, reason="its extra is not installed")
    try:
        simulator = gymnasium.make(name, size=32, disable_env_checker=True, **options)
    except RuntimeError as error:
        pytest.skip(str(error))
    model = hw.WorldModel(
        make_core(eyes=eyes, action_dim=width), make_memory("recent", eyes=eyes), body=make_body(body)
    )
    continuous = options.get("continuous", False)

    def dream(**more):
        return hw.DreamEnv(model, name, continuous=continuous, max_steps=8, **more)

    yield simulator, dream, hw.DreamVectorEnv(model, name, num_envs=2, continuous=continuous)
    simulator.close()


def test_spaces_are_those_of_the_world(world):
    simulator, dream, many = world
    env = dream()
    simulator = restrict(simulator, env.keys)
    assert env.observation_space == simulator.observation_space and env.action_space == simulator.action_space
    assert many.single_action_space == env.action_space
    ours, theirs = env.reset(seed=5), simulator.reset(seed=5)
    assert list(ours[0]) == list(theirs[0]) and ours[1]["actions"] == theirs[1]["actions"]
    assert ours[1]["action"].shape == theirs[1]["action"].shape
    assert np.allclose(ours[0]["camera"], theirs[0]["camera"], atol=0.05), "it begins where the simulator begins"


def test_check_env_has_nothing_to_say(world):
    _, dream, _ = world
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*not having a spec.*")
        check_env(dream(render_mode="rgb_array"))


def test_forks_and_returns_are_bitwise_equal(world):
    _, dream, many = world
    env = dream()
    env.reset(seed=3)
    env.action_space.seed(1)
    actions = [env.action_space.sample() for _ in range(3)]
    here, fork = env.state, env.fork()
    went = [env.step(action) for action in actions]
    for action, step in zip(actions, went, strict=True):
        seen, *_, info = fork.step(action)
        assert all(np.array_equal(seen[key], step[0][key]) for key in seen)
        assert env.observation_space.contains(seen)
    env.restore(here)
    assert all(np.array_equal(env.step(actions[0])[0][key], went[0][0][key]) for key in ("rgb",))
    assert not np.array_equal(went[-1][0]["camera"], went[0][0]["camera"]) or isinstance(actions[0], np.integer)
    # and as one of many
    many.restore([here, here])
    seen, *_ = many.step(np.array([actions[0], actions[1]]))
    assert many.observation_space.contains(seen)
    assert np.abs(seen["rgb"][0].astype(int) - went[0][0]["rgb"]).max() <= 2


def test_actions_outside_the_space_are_refused(world):
    _, dream, _ = world
    env = dream()
    env.reset(seed=3)
    bad = 7 if isinstance(env.action_space, gymnasium.spaces.Discrete) else env.action_space.high + 1
    for action in (bad, "forward", np.zeros(9), np.full_like(env.action_space.sample(), -9)):
        with pytest.raises(ValueError, match="action: expected"):
            env.step(action)


def test_a_body_needs_its_own_world():
    model = hw.WorldModel(make_core(action_dim=6), make_memory("recent", eyes=2), body=make_body("twist"))
    with pytest.raises(ValueError, match="expected a world of 6 numbers as actions"):
        hw.DreamEnv(model, ScriptedBeginning("hybridwm/Rooms-v0", size=32))


def test_a_hand_is_held_still_to_begin_with_and_its_grip_is_what_it_was():
    pytest.importorskip("mujoco", reason="extra [arm] is not installed")
    try:
        seen = ScriptedBeginning("hybridwm/Arm-v0", size=32)(3)
    except RuntimeError as error:
        pytest.skip(str(error))
    assert seen.actions is not None and seen.actions.shape == (HOLD, 5)
    assert not seen.actions[:, :4].any() and torch.equal(seen.actions[0], seen.actions[-1])
