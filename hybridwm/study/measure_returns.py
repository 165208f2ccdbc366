"""One scene's measurements out and back: what grounding gains on what was seen, and what it costs
elsewhere."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ..world_model import WorldState
from . import arms, guards, media
from .demo_config import DemoConfig
from .drift import drift_ratio
from .episodes import Episode
from .measure_walks import step_errors
from .metrics import gradient_energy_ratio, motion_ratio, ssim
from .trajectories import out_and_back
from .visibility import seen_before

WRONG_SHARE = 0.1


def measure_return(config: DemoConfig, index: int) -> dict[str, Any]:
    """Row 12 for one room, with every arm and guard: numbers that pool over rooms, as plain lists."""
    seed = config.first_seed + index
    episode = out_and_back(seed, config.out_steps, arms.rig(config.weights))
    shown: dict[str, Tensor] = {}
    seconds, states, ends = {}, {}, {}
    for arm in arms.ARMS:
        model = arms.world(config.weights, arm)
        states[arm] = arms.begin(model, episode)
        rollout = arms.roll(model, episode, states[arm])
        shown[arm], ends[arm] = rollout.frames, rollout.state
        seconds[arm] = {"frames": len(rollout.frames), **rollout.seconds}
    renders = arms.render(states[arms.STEREO], episode.cameras)
    shown["frozen"] = guards.frozen(episode.views, len(episode.truth))
    shown["nearest past frame"] = guards.nearest_past_frame(episode.views, episode.cameras)
    shown["pure warp"] = guards.pure_warp(renders, episode.views, episode.cameras)
    shown["composite"] = guards.composite(renders, shown[arms.VIDEO])
    known = guards.covered(renders)
    seen = _seen(episode)
    masks = {"all": None, "seen": seen, "never": ~seen, "covered": known}
    errors = {
        name: {kind: step_errors(frames, episode.truth, mask) for kind, mask in masks.items()}
        for name, frames in shown.items()
    }
    errors["raw render"] = {"covered": step_errors(guards.render_colours(renders), episode.truth, known)}
    looks = {name: _looks(frames, episode.truth) for name, frames in shown.items()}
    if index < config.videos:
        _keep(config, index, episode, shown, ends[arms.STEREO])
    return {
        "seed": seed,
        "errors": errors,
        "wrong_splats": _wrong_splats(config, episode, states[arms.STEREO]),
        "looks": looks,
        "seconds": seconds,
        "covered": float(known.float().mean()),
        "gaussians": len(ends[arms.STEREO].scene),
    }


def _wrong_splats(config: DemoConfig, episode: Episode, state: WorldState) -> dict[str, list[list[float]]]:
    """The way out with a tenth of the splats wrong: the grounded arm and the raw render, where alpha > .5."""
    steps = config.out_steps
    state = arms.with_wrong_splats(state, WRONG_SHARE, episode.seed)
    renders = arms.render(state, episode.cameras[:steps])
    model = arms.world(config.weights, arms.STEREO)
    rollout = arms.roll(model, episode.first(steps), state)
    truth, known = episode.truth[:steps], guards.covered(renders)
    return {
        arms.STEREO: step_errors(rollout.frames, truth, known),
        "raw render": step_errors(guards.render_colours(renders), truth, known),
    }


def _seen(episode: Episode) -> Tensor:
    depths = [view.depth for view in episode.views if view.depth is not None]
    cameras = [view.camera for view in episode.views]
    pairs = zip(episode.depth, episode.cameras, strict=True)
    return torch.stack([seen_before(depth, camera, depths, cameras) for depth, camera in pairs])


def _looks(frames: Float[Tensor, "T H W 3"], truth: Float[Tensor, "T H W 3"]) -> dict[str, float]:
    window = min(16, len(frames) // 2)
    return {
        "ssim": ssim(frames, truth),
        "motion": motion_ratio(frames, truth),
        "gradient": gradient_energy_ratio(frames, truth),
        "drift": drift_ratio(frames, truth, window),
    }


def _keep(config: DemoConfig, index: int, episode: Episode, shown: dict[str, Tensor], end: WorldState) -> None:
    """The rollouts as videos and a contact sheet, and the first scene as files."""
    panels = {"truth": episode.truth, **shown}
    media.write_panels(config.out / "rollouts" / f"return-{index:02d}", episode, panels)
    if index == 0 and config.stares == 0 and end.scene is not None:
        media.write_scene(config.out, end.scene)
