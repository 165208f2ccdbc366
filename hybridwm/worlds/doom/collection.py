"""Episodes of Doom: each is a function of its seed, its length and its size alone (and of the scenario)."""

from __future__ import annotations

import numpy as np
import torch

from ..episodes import Episode
from .env import PROPRIO, TOUCH, DoomEnv
from .players import Player

ATTEMPTS = 20


def play_episode(seed: int, frames: int, size: int, *, scenario: str = "my_way_home") -> Episode:
    """A scripted player in a level: rgb, depth, cameras, proprioception and touch, 8.75 frames a second.

    The level and its textures are those of the scenario for every seed; the seed decides where the player starts and
    what it does, and the scenario's things. A game that ends before `frames` is left out, and the next one of the
    same seed is played. Raises ValueError for fewer than 2 frames, RuntimeError where every game ends too early, and
    what DoomEnv raises.
    """
    if frames < 2:
        raise ValueError(f"expected at least 2 frames in an episode, for one action; got {frames}")
    env = DoomEnv(size, scenario=scenario)
    try:
        for attempt in range(ATTEMPTS):
            played = _play(env, seed, attempt, frames)
            if played is not None:
                return played
    finally:
        env.close()
    raise RuntimeError(
        f"world 'doom': expected a game of {frames} frames in '{scenario}'; {ATTEMPTS} of seed {seed} ended earlier; "
        "ask for fewer frames or another scenario"
    )


def _play(env: DoomEnv, seed: int, attempt: int, frames: int) -> Episode | None:
    """None where the game ended before all frames were seen."""
    game = seed if attempt == 0 else int(np.random.SeedSequence([seed, attempt]).generate_state(1)[0])
    seen, info = env.reset(seed=game)
    player, K = Player(game), info["view"].camera.K
    seens, actions = [seen], []
    for _ in range(frames - 1):
        seen, _, over, _, info = env.step(player.act(seen["depth"]))
        if over:
            return None
        seens.append(seen)
        actions.append(info["action"])

    def stack(key: str) -> torch.Tensor:
        return torch.from_numpy(np.stack([seen[key] for seen in seens]))

    return Episode(
        stack("rgb"),
        stack("camera"),
        K,
        torch.from_numpy(np.stack(actions)),
        depth=stack("depth"),
        proprio=stack("proprio"),
        touch=stack("touch").float()[:, None],
        world="doom",
        seed=seed,
        proprio_names=PROPRIO,
        touch_names=TOUCH,
        fps=env.fps,
    )
