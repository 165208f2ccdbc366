"""Many dreams at once: each as if alone, and a new one after its end."""

import gymnasium
import numpy as np
import pytest
from small_dreams import dream, metres, model, rooms

import hybridwm as hw
from hybridwm.worlds import restrict
from hybridwm.worlds.rooms.vector import RoomsVectorEnv


def dreams(num_envs=3, memory="recent", depth: str | None = None, **options) -> hw.DreamVectorEnv:
    return hw.DreamVectorEnv(model(memory, depth), rooms(), num_envs=num_envs, **options)


@pytest.mark.parametrize(("memory", "depth"), [("recent", None), ("splat", "stereo")])
def test_equal_to_single_environments(memory, depth):
    many = dreams(memory=memory, depth=depth, reward=metres)
    alone = [dream(memory, depth, reward=metres) for _ in range(3)]
    seen, info = many.reset(seed=7)
    assert many.observation_space.contains(seen) and info["seed"].tolist() == [7, 8, 9]
    first = [env.reset(seed=7 + i)[0] for i, env in enumerate(alone)]
    assert all(np.array_equal(seen[key][i], first[i][key]) for i in range(3) for key in seen)
    for actions in ([0, 2, 6], [2, 0, 8], [1, 3, 7]):
        seen, reward, terminated, truncated, info = many.step(np.array(actions))
        assert many.observation_space.contains(seen) and not terminated.any() and not truncated.any()
        for i, env in enumerate(alone):
            one, earned, _, _, told = env.step(actions[i])
            assert np.abs(one["rgb"].astype(int) - seen["rgb"][i]).max() <= 2
            assert np.allclose(one["camera"], seen["camera"][i], atol=1e-4)
            assert reward[i] == pytest.approx(earned, abs=1e-4)
            assert np.allclose(info["action"][i], told["action"], atol=1e-4)


def test_spaces_are_those_of_restricted_rooms():
    many = dreams(2)
    simulator = restrict(RoomsVectorEnv(2, size=32), many.keys)
    assert many.observation_space == simulator.observation_space
    assert many.single_observation_space == simulator.single_observation_space
    assert many.action_space == simulator.action_space
    assert set(simulator.reset(seed=0)[0]) == set(many.keys)


def test_the_next_step_begins_anew_after_an_end():
    many = dreams(2, max_steps=2)
    many.reset(seed=0)
    many.restore([many.states[0], many.step(np.array([8, 8]))[4]["state"][1]])  # the second is a step ahead
    before = many.states
    _, _, _, truncated, _ = many.step(np.array([2, 2]))
    assert truncated.tolist() == [False, True]
    _, reward, _, truncated, info = many.step(np.array([2, 2]))
    assert truncated.tolist() == [True, False] and reward[1] == 0
    assert info["state"][1].steps == 0 and info["seed"][1] != before[1].seed and info["seed"][0] == before[0].seed
    _, _, _, truncated, info = many.step(np.array([2, 2]))
    assert info["state"][0].steps == 0 and info["state"][1].steps == 1 and not truncated.any()


def test_states_go_back_and_to_single_environments():
    many = dreams(2, memory="splat", depth="stereo")
    many.reset(seed=3)
    kept = many.states
    went = many.step(np.array([0, 2]))[0]
    many.restore(kept)
    again = many.step(np.array([0, 2]))[0]
    assert all(np.array_equal(went[key], again[key]) for key in went)
    one = dream("splat", "stereo")
    one.restore(kept[1])
    assert np.abs(one.step(2)[0]["rgb"].astype(int) - went["rgb"][1]).max() <= 2


def test_made_by_name_with_a_picture_of_each():
    many = gymnasium.make_vec(
        "hybridwm/Dream-v0", num_envs=2, weights="rooms-64", memory="recent", depth=None, render_mode="rgb_array"
    )
    assert isinstance(many.unwrapped, hw.DreamVectorEnv)
    seen, _ = many.reset(seed=1)
    assert [picture.shape for picture in many.render()] == [(64, 64, 3)] * 2
    assert np.array_equal(many.render()[1], seen["rgb"][1])


def test_refusals_give_one_clear_line():
    with pytest.raises(ValueError, match="num_envs"):
        dreams(0)
    many = dreams(2)
    with pytest.raises(RuntimeError, match="reset"):
        many.step(np.zeros(2, int))
    with pytest.raises(ValueError, match="expected 2 of them"):
        many.reset(seed=[1])
    many.reset(seed=0)
    with pytest.raises(ValueError, match="action: expected"):
        many.step(np.array([0, 9]))
    with pytest.raises(ValueError, match="expected 2 states"):
        many.restore(many.states[:1])
