"""Rooms with one eye: nothing of the right one, and all else as two eyes have it."""

import warnings

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env

import hybridwm  # noqa: F401 (registers the environment)
from hybridwm.worlds import seen_view
from hybridwm.worlds.rooms.rig import RoomsRig
from hybridwm.worlds.rooms.vector import RoomsVectorEnv


def made(eyes, **options):
    return gymnasium.make("hybridwm/Rooms-v0", size=32, eyes=eyes, **options).unwrapped


@pytest.mark.parametrize("scenario", ["none", "roll"])
def test_the_left_eye_sees_what_it_sees_beside_a_right_one(scenario):
    one, two = (made(eyes, scenario=scenario) for eyes in (1, 2))
    for step, (a, b) in enumerate(zip(frames(one), frames(two), strict=True)):
        (seen, info), (both, told) = a, b
        assert one.observation_space.contains(seen) and set(both) - set(seen) == {"right"}
        assert all(np.array_equal(seen[key], both[key]) for key in seen), step
        assert info["view"].right is None and info["view"].baseline is None
        assert torch.equal(info["view"].image, told["view"].image)
        assert torch.equal(info["view"].depth, told["view"].depth)
        assert info["view"] != told["view"], "they differ by what is absent"


def frames(env):
    yield env.reset(seed=7)
    for action in (0, 2, 0, 7, 5):
        seen, _, _, _, info = env.step(action)
        yield seen, info


def test_check_env_has_nothing_to_say():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(made(1, render_mode="rgb_array"))


def test_many_rooms_with_one_eye():
    one, two = (RoomsVectorEnv(2, size=32, eyes=eyes) for eyes in (1, 2))
    for env in (one, two):
        env.reset(seed=3)
    (seen, _, _, _, info), (both, *_) = (env.step(np.array([0, 2])) for env in (one, two))
    assert one.observation_space.contains(seen) and set(both) - set(seen) == {"right"}
    assert all(np.array_equal(seen[key], both[key]) for key in seen)
    assert all(view.right is None for view in info["view"])


def test_views_compare_by_value():
    env = made(1)
    first, again, other = (env.reset(seed=seed)[1]["view"] for seed in (1, 1, 2))
    assert isinstance(first, seen_view.SeenView) and first == again and first != other and first != "a view"


def test_other_numbers_of_eyes_are_refused():
    with pytest.raises(ValueError, match="eyes: expected 1 or 2; got 3"):
        made(3)
    with pytest.raises(ValueError, match="eyes"):
        RoomsRig(eyes=0)
