"""A policy learns in a dream and walks in the simulator: one REINFORCE loop, either of the two by one flag."""

import tempfile
from pathlib import Path

import gymnasium
import numpy as np
import torch

import hybridwm as hw
from hybridwm import worlds
from hybridwm.dream_beginnings import ScriptedBeginning
from render.video import write_mp4

STEPS, EPISODES = 6, 4  # of an episode; in each update


def metres(before, action, after):
    """The task, told from what is seen: to get somewhere. Walls earn nothing."""
    return float((after.camera.center - before.camera.center).norm())


def make_env(dreamt: bool) -> gymnasium.Env:
    if dreamt:
        look = ScriptedBeginning("hybridwm/Rooms-v0", size=64, script=("left", "right"))
        world = hw.load("rooms-64", memory="splat", depth="stereo")
        return hw.DreamEnv(world, look, max_steps=STEPS, reward=metres)
    rooms = gymnasium.make("hybridwm/Rooms-v0", max_episode_steps=STEPS)
    return worlds.restrict(worlds.give_task(rooms, metres), ["rgb", "right", "camera"])  # DreamEnv.keys


def reinforce(env: gymnasium.Env, policy: torch.nn.Module, updates: int, seed: int, rate: float = 0.1):
    """Trains the policy (rate 0: plays it) and gives each episode's return, and the frames of the last one."""
    optimiser, returns, frames = torch.optim.Adam(policy.parameters(), lr=rate), [], []
    for _ in range(updates):
        chosen, earned = [], []
        for _ in range(EPISODES):
            (seen, _), done, rewards, frames = env.reset(seed=seed + len(returns)), False, [], []
            while not done:
                odds = torch.distributions.Categorical(logits=policy(torch.tensor(seen["rgb"]).movedim(-1, 0) / 255))
                action = odds.sample()
                frames.append(seen["rgb"])
                chosen.append(odds.log_prob(action))
                seen, reward, terminated, truncated, _ = env.step(int(action))
                rewards.append(float(reward))
                done = terminated or truncated
            returns.append(sum(rewards))
            earned += np.cumsum(rewards[::-1])[::-1].tolist()
        gained = torch.tensor(earned)
        optimiser.zero_grad()
        (-(torch.stack(chosen) * (gained - gained.mean())).mean()).backward()
        optimiser.step()
    return returns, frames


if __name__ == "__main__":
    out, rooms = Path(tempfile.mkdtemp(prefix="dream-env-")), make_env(dreamt=False)
    for name, dreamt in (("dream", True), ("rooms", False)):
        policy = torch.nn.Sequential(torch.nn.AvgPool2d(8), torch.nn.Flatten(0), torch.nn.Linear(192, 9))
        returns, frames = reinforce(make_env(dreamt), policy, 4, seed=9_000_000)
        played, _ = reinforce(rooms, policy, 2, seed=9_100_000, rate=0.0)
        print(f"{name}: {np.mean(returns[:4]):.2f}, then {np.mean(returns[-4:]):.2f} m, in others {np.mean(played):.2f}")
        write_mp4(out / f"{name}.mp4", np.stack(frames), fps=4, upscale=4)
    print("the last walk of each: look at", out)
