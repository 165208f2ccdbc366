"""The stare test: after looking at the floor for longer than the context, which room do we come up in?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from . import arms, guards, media, retrieval
from .demo_config import DemoConfig
from .trajectories import stare

WRONG = "memory of the wrong episode"
PALETTE = "palette of what is in view"


def measure_stare(config: DemoConfig, index: int) -> dict[str, Any]:
    """Row 9 for one style of room: 1 where the final frame is closest to the right one of 16 true views."""
    seed = config.first_seed + index
    test = stare(seed, config.stare_steps, arms.rig(config.weights))
    episode = test.episode
    shown, seconds, ends = {}, {}, {}
    for arm in (*arms.ARMS, WRONG):
        model = arms.world(config.weights, arms.STEREO if arm == WRONG else arm)
        state = arms.begin(model, episode)
        if arm == WRONG:
            state = arms.with_memory_of(state, arms.begin(model, replace(episode, views=test.wrong)))
        elif arm == arms.STEREO:
            renders = arms.render(state, episode.cameras)
        rollout = arms.roll(model, episode, state)
        shown[arm], ends[arm] = rollout.frames, rollout.state
        seconds[arm] = {"frames": len(rollout.frames), **rollout.seconds}
    shown["frozen"] = guards.frozen(episode.views, len(episode.truth))
    shown["nearest past frame"] = guards.nearest_past_frame(episode.views, episode.cameras)
    shown["pure warp"] = guards.pure_warp(renders, episode.views, episode.cameras)
    hits = {name: _hit(frames[-1], test.candidates) for name, frames in shown.items()}
    hits[PALETTE] = retrieval.retrieved(retrieval.palette_distances(test.shown, test.candidates))
    if index < config.videos:
        panels = {"truth": episode.truth, **{name: shown[name] for name in arms.ARMS}}
        panels |= {"wrong episode": shown[WRONG], "nearest past frame": shown["nearest past frame"]}
        panels |= {"pure warp": shown["pure warp"]}
        media.write_panels(config.out / "rollouts" / f"stare-{index:02d}", episode, panels)
        media.write_candidates(config.out / "rollouts" / f"stare-{index:02d}-candidates.png", test.candidates)
    scene = ends[arms.STEREO].scene
    if index == 0 and scene is not None:  # a whole turn was observed: the fullest scene that the demo makes
        media.write_scene(config.out, scene)
    return {"gaussians": 0 if scene is None else len(scene), "seed": seed, "hits": hits, "seconds": seconds}


def _hit(frame: Tensor, candidates: Tensor) -> float:
    distances: Tensor = retrieval.view_distances(frame, candidates)
    return retrieval.retrieved(distances) if bool(torch.isfinite(distances).all()) else 0.0
