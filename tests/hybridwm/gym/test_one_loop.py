"""The example's learning loop runs on the dream and on the simulator as it stands, and their spaces are equal."""

import runpy

import pytest
import torch


@pytest.fixture(scope="module")
def example(root):
    return runpy.run_path(str(root / "examples" / "07_dream_env.py"))


def test_the_loop_runs_on_both(example):
    dream, rooms = (example["make_env"](dreamt) for dreamt in (True, False))
    assert dream.observation_space == rooms.observation_space and dream.action_space == rooms.action_space
    for env in (dream, rooms):
        policy = torch.nn.Sequential(torch.nn.AvgPool2d(8), torch.nn.Flatten(0), torch.nn.Linear(192, 9))
        before = policy[2].weight.detach().clone()
        returns, frames = example["reinforce"](env, policy, 1, seed=9_000_000)
        assert len(returns) == example["EPISODES"] and len(frames) == example["STEPS"]
        assert all(0 <= value <= 0.25 * example["STEPS"] + 1e-3 for value in returns) and max(returns) > 0
        assert not torch.equal(policy[2].weight, before), "it learnt from them"
