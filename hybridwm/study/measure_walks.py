"""One scene's measurements on a random walk: single steps, sixteen steps, action following, timing."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..world_model import WorldModel, WorldState, imagine
from . import arms, following, guards
from .demo_config import DemoConfig
from .episodes import Episode
from .metrics import squared_error
from .trajectories import random_walk

WINDOWS = 4  # beginnings in each walk at which single steps and action following are measured
AHEAD = 4  # steps of an action-following test
CHANGED = 2  # the action of a short rollout that the timing test changes


def measure_walk(config: DemoConfig, index: int) -> dict[str, Any]:
    """Rows 1 and 2 for one room: numbers that pool over rooms, as plain lists."""
    seed, views, steps = config.first_seed + index, config.walk_views, config.walk_steps
    walk = random_walk(seed, views + steps, arms.rig(config.weights))
    episode = walk.window(0, views, steps)
    errors, flows, seconds = {}, {}, {}
    for arm in (arms.VIDEO, arms.STEREO):
        model = arms.world(config.weights, arm)
        state = arms.begin(model, episode)
        rollout = arms.roll(model, episode, state)
        errors[arm] = step_errors(rollout.frames, episode.truth)
        flows[arm] = _flow(episode, rollout.frames)
        seconds[arm] = {"frames": steps, **rollout.seconds}
        if arm == arms.STEREO:
            renders = arms.render(state, episode.cameras)
            warp = guards.pure_warp(renders, episode.views, episode.cameras)
            errors["pure warp"] = step_errors(warp, episode.truth)
    errors["copy"] = step_errors(guards.frozen(episode.views, steps), episode.truth)
    flows["truth"] = _flow(episode, episode.truth)
    windows = [walk.window(int(first), views, AHEAD) for first in np.linspace(0, steps - AHEAD, WINDOWS)]
    return {
        "seed": seed,
        "errors": errors,
        "one_step": _one_step(config, windows),
        "following": following_errors(arms.world(config.weights, arms.VIDEO), windows),
        "yaw": episode.actions[:, 2].tolist(),
        "flow": flows,
        "timing": {arm: _acts_at_once(config, arm, windows[0]) for arm in (arms.VIDEO, arms.STEREO)},
        "seconds": seconds,
    }


def step_errors(
    frames: Float[Tensor, "T H W 3"], truth: Float[Tensor, "T H W 3"], mask: Tensor | None = None
) -> list[list[float]]:
    """[sum of squared 8-bit errors, count] of each frame, within a mask [T, H, W] if there is one."""
    pairs = [squared_error(frames[t], truth[t], None if mask is None else mask[t]) for t in range(len(frames))]
    return [[pair.total, float(pair.count)] for pair in pairs]


def _one_step(config: DemoConfig, windows: list[Episode]) -> dict[str, list[list[float]]]:
    """The first frame after each beginning, grounded and not, beside copy and pure warp."""
    frames: dict[str, list[Tensor]] = {arms.VIDEO: [], arms.STEREO: [], "copy": [], "pure warp": []}
    for episode in windows:
        for arm in (arms.VIDEO, arms.STEREO):
            model = arms.world(config.weights, arm)
            state = arms.begin(model, episode)
            frames[arm].append(model.step(state, episode.actions[0], camera=episode.cameras[0])[1].image)
            if arm == arms.STEREO:
                renders = arms.render(state, episode.cameras[:1])
                frames["pure warp"].append(guards.pure_warp(renders, episode.views, episode.cameras[:1])[0])
        frames["copy"].append(episode.views[-1].image)
    truth = torch.stack([episode.truth[0] for episode in windows])
    return {name: step_errors(torch.stack(shown), truth) for name, shown in frames.items()}


def following_errors(model: WorldModel, windows: list[Episode]) -> dict[str, list[dict[str, float | None]]]:
    """Salient errors 1 and 4 steps ahead: with true, mirrored and another window's actions."""
    steps: dict[str, list[dict[str, float | None]]] = {"1": [], "4": []}
    for k, episode in enumerate(windows):
        state = arms.begin(model, episode)
        other = windows[(k + 1) % len(windows)].actions
        told = {"true": episode.actions, "mirrored": following.mirrored(episode.actions), "permuted": other}
        shown = {name: imagine(model, state, actions).frames for name, actions in told.items()}
        last = episode.views[-1].image
        for key, pairs in steps.items():
            t = int(key) - 1
            if following.is_no_op(episode.actions[: t + 1]):
                continue
            entry: dict[str, float | None] = {}
            for name, actions in told.items():
                same = name != "true" and torch.equal(actions[: t + 1], episode.actions[: t + 1])
                error = following.salient_error(shown[name][t], episode.truth[t], last)
                entry[name] = None if same or np.isnan(error) else error
            entry["frozen"] = following.salient_error(last, episode.truth[t], last)
            pairs.append(entry)
    return steps


def _flow(episode: Episode, frames: Float[Tensor, "T H W 3"]) -> list[float]:
    """Horizontal shift into each frame, from the one before it."""
    return following.measured_flow(torch.cat([episode.views[-1].image[None], frames])).tolist()


def _acts_at_once(config: DemoConfig, arm: str, episode: Episode) -> bool:
    """Whether changing one action changes the frame it leads to and, bit for bit, none before it."""
    model = arms.world(config.weights, arm)
    state: WorldState = arms.begin(model, episode)
    actions = episode.actions[: CHANGED + 1]
    changed = actions.clone()
    changed[CHANGED] = -changed[CHANGED]
    one, other = imagine(model, state, actions).frames, imagine(model, state, changed).frames
    return torch.equal(one[:CHANGED], other[:CHANGED]) and not torch.equal(one[CHANGED], other[CHANGED])
