"""A policy learns in a dream and walks in the simulator: one REINFORCE loop, either of the two by one flag."""

import tempfile
from pathlib import Path

import gymnasium
import numpy as np
import torch

import hybridwm as hw
from hybridwm import worlds
from render.video import write_mp4

STEPS, EPISODES = 6, 4  # of an episode; in each update


def metres(before, action, after):
    """The task, told from what is seen: to get somewhere. Walls earn nothing."""
    return float((after.camera.center - before.camera.center).norm())


def make_env(dreamt: bool) -> gymnasium.Env:
    if dreamt:
        return hw.DreamEnv(hw.load("rooms-64", depth="stereo"), "hybridwm/Rooms-v0", max_steps=STEPS, reward=metres)
    rooms = gymnasium.make("hybridwm/Rooms-v0", max_episode_steps=STEPS)
    return worlds.restrict(worlds.give_task(rooms, metres), ["rgb", "right", "camera"])  # DreamEnv.keys


def reinforce(env: gymnasium.Env, policy: torch.nn.Module, updates: int, seed: int, rate: float = 0.1):
    """Trains the policy (rate 0: plays it) and gives each episode's return, and the frames of the last one."""
    optimiser, returns, frames = torch.optim.Adam(policy.parameters(), lr=rate), [], []
    for _ in range(updates):
        chosen, earned = [], []
        for _ in range(EPISODES):
            (seen, _), over, rewards, frames = env.reset(seed=seed + len(returns)), (False, False), [], []
            while not any(over):
                image = torch.tensor(seen["rgb"]).movedim(-1, 0) / 255
                action = (odds := torch.distributions.Categorical(logits=policy(image))).sample()
                frames.append(seen["rgb"])
                chosen.append(odds.log_prob(action))
                seen, reward, *over, _ = env.step(int(action))
                rewards.append(float(reward))
            returns.append(sum(rewards))
            earned += np.cumsum(rewards[::-1])[::-1].tolist()
        optimiser.zero_grad()
        (-(torch.stack(chosen) * (torch.tensor(earned) - float(np.mean(earned)))).mean()).backward()
        optimiser.step()
    return returns, frames


out, rooms = Path(tempfile.mkdtemp(prefix="dream-env-")), make_env(dreamt=False)
for name in ("dream", "rooms") if __name__ == "__main__" else ():
    policy = torch.nn.Sequential(torch.nn.AvgPool2d(8), torch.nn.Flatten(0), torch.nn.Linear(192, 9))
    returns, frames = reinforce(make_env(name == "dream"), policy, 3, seed=9_000_000)
    played, _ = reinforce(rooms, policy, 1, seed=9_100_000, rate=0.0)
    told = [f"{np.mean(part):.2f} m" for part in (returns[:EPISODES], returns[-EPISODES:], played)]
    print(f"learnt in the {name}: {told[0]}, then {told[1]}; in rooms never seen {told[2]}")
    write_mp4(out / f"{name}.mp4", np.stack(frames), fps=4, upscale=4)
print("the last walk of each: look at", out)
