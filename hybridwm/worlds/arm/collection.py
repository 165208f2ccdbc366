"""Episodes of the arm: each is a function of its seed, its length and its size alone."""

from __future__ import annotations

import numpy as np
import torch

from ..episodes import Episode
from .env import ACTIONS, ArmEnv
from .players import Player
from .rig import DECISION, ViewName
from .simulation import PROPRIO, TOUCH


def play_episode(seed: int, frames: int, size: int, *, view: ViewName = "wrist") -> Episode:
    """A scripted player at the table of a seed: stereo of `view`, depth, cameras, proprioception, touch; 10 frames a
    second. `task` says what was asked for, in words, one after the other.

    Raises ValueError for fewer than 2 frames; ModuleNotFoundError and RuntimeError as ArmEnv.
    """
    if frames < 2:
        raise ValueError(f"expected at least 2 frames in an episode, for one action; got {frames}")
    env = ArmEnv(size, view=view)
    try:
        seen, info = env.reset(seed=seed)
        player, K = Player(seed), info["view"].camera.K
        seens, actions = [seen], []
        for _ in range(frames - 1):
            seen, _, _, _, info = env.step(player.act(env.simulation))
            seens.append(seen)
            actions.append(info["action"])
    finally:
        env.close()

    def stack(key: str) -> torch.Tensor:
        return torch.from_numpy(np.stack([seen[key] for seen in seens]))

    return Episode(
        stack("rgb"),
        stack("camera"),
        K,
        torch.from_numpy(np.stack(actions)),
        right=stack("right"),
        depth=stack("depth"),
        proprio=stack("proprio"),
        touch=stack("touch"),
        baseline=env.rig.baseline(view),
        world="arm",
        seed=seed,
        action_names=ACTIONS["ee"],
        proprio_names=PROPRIO,
        touch_names=TOUCH,
        fps=1 / DECISION,
        task=", then ".join(player.tasks),
    )
