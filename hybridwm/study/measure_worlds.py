"""One seed's measurements in Doom or at the arm's table: rows 1, 2, 9 and 12, as numbers that pool over seeds."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from ..world_model import WorldModel, imagine, load
from ..worlds.alignment import image_motion
from . import arms, following, guards
from .demo_config import FIRST_HELD_OUT_SEED
from .episodes import Episode
from .measure_stares import PALETTE, WRONG
from .measure_walks import step_errors
from .retrieval import palette_distances, retrieved, view_distances
from .visibility import seen_before
from .world_episodes import WorldName, cut, world_walks

VIEWS, STEPS, AHEAD, WINDOWS = 8, 16, 4, 2
OUT_STEPS = 14
STILL = 8  # steps: twice the context of the packaged weights
CHANGED = 2  # the action of a short rollout that the timing test changes
MULTIVIEW = "grounded, multiview"
SOME = 8  # seeds of which the arms are measured that are only shown

WORLD_ARMS: dict[str, dict[str, tuple[str, str | None]]] = {
    "doom": {**{name: arms.ARMS[name] for name in (arms.NO_MEMORY, arms.VIDEO, arms.TRUTH)},
             MULTIVIEW: ("splat", "multiview")},
    "arm": dict(arms.ARMS),
}  # fmt: skip
"""Memory and depth source of each arm. Doom has one eye, so what is asked of grounding is asked of true depth."""
GROUNDED = {"doom": arms.TRUTH, "arm": arms.STEREO}
EXTRA = {"doom": MULTIVIEW, "arm": arms.TRUTH}  # shown out and back, of a few seeds
MOTION = {"doom": slice(0, 4), "arm": slice(0, 4)}  # numbers of an action that move the eye; the arm's last is its grip


@dataclass(frozen=True)
class WorldSetup:
    """What is measured: weights by name or folder, in a world, from a first held-out seed on."""

    world: WorldName
    weights: str
    workers: int = 1
    first_seed: int = FIRST_HELD_OUT_SEED

    @property
    def grounded(self) -> str:
        return GROUNDED[self.world]


@functools.lru_cache(maxsize=8)
def model(setup: WorldSetup, arm: str) -> WorldModel:
    """Loaded once in each process."""
    memory, depth = WORLD_ARMS[setup.world][arm]
    return load(setup.weights, memory=memory, depth=depth)


def size_of(setup: WorldSetup) -> int:
    """Pixels of a side, as the weights imagine."""
    return model(setup, arms.VIDEO).core.config.width


def measure_walk(setup: WorldSetup, index: int) -> dict[str, Any]:
    """Rows 1 and 2 on the world's own scripted player: one step, sixteen, action following, timing."""
    seed = setup.first_seed + index
    recorded, moving = world_walks(setup.world).walk(seed, VIEWS + STEPS + AHEAD, size_of(setup))
    episode = cut(recorded, 0, VIEWS, STEPS, moving)
    shown, renders = {}, []
    for arm in (arms.VIDEO, setup.grounded):
        state = arms.begin(model(setup, arm), episode)
        shown[arm] = arms.roll(model(setup, arm), episode, state).frames
        if arm == setup.grounded:
            renders = arms.render(state, episode.cameras)
    shown["pure warp"] = guards.pure_warp(renders, episode.views, episode.cameras)
    shown["copy"] = guards.frozen(episode.views, STEPS)
    firsts = np.linspace(0, STEPS, WINDOWS).astype(int)
    windows = [cut(recorded, int(first), VIEWS, AHEAD) for first in firsts]
    last = episode.views[-1].image[None]
    return {
        "seed": seed,
        "errors": {name: step_errors(frames, episode.truth) for name, frames in shown.items()},
        "moving": _moving_errors(episode, shown),
        "one_step": _one_step(setup, windows),
        "following": following_errors(setup, windows),
        "timing": acts_at_once(setup, windows[0]),
        "actions": episode.actions.tolist(),
        "motion": {
            name: image_motion((torch.cat([last, frames]) * 255).round()).tolist()
            for name, frames in {"truth": episode.truth, **shown}.items()
            if name in ("truth", arms.VIDEO, setup.grounded)
        },
    }


def _moving_errors(episode: Episode, shown: dict[str, Tensor]) -> dict[str, list[list[float]]]:
    if episode.moving is None:
        return {}
    return {name: step_errors(frames, episode.truth, episode.moving) for name, frames in shown.items()}


def _one_step(setup: WorldSetup, windows: list[Episode]) -> dict[str, list[list[float]]]:
    """The first frame after each beginning, grounded and not, beside copy and pure warp."""
    shown: dict[str, list[Tensor]] = {arms.VIDEO: [], setup.grounded: [], "copy": [], "pure warp": []}
    for episode in windows:
        for arm in (arms.VIDEO, setup.grounded):
            state = arms.begin(model(setup, arm), episode)
            shown[arm].append(model(setup, arm).step(state, episode.actions[0], camera=episode.cameras[0])[1].image)
            if arm == setup.grounded:
                renders = arms.render(state, episode.cameras[:1])
                shown["pure warp"].append(guards.pure_warp(renders, episode.views, episode.cameras[:1])[0])
        shown["copy"].append(episode.views[-1].image)
    truth = torch.stack([episode.truth[0] for episode in windows])
    return {name: step_errors(torch.stack(frames), truth) for name, frames in shown.items()}


def following_errors(setup: WorldSetup, windows: list[Episode]) -> dict[str, list[dict[str, float | None]]]:
    """Salient errors 1 and 4 steps ahead with the render dropped: true, mirrored, and another window's motions. What
    does not move the eye (the grip) stays the true one's in all, so that it is motion that is followed."""
    world, part = model(setup, arms.VIDEO), MOTION[setup.world]
    found: dict[str, list[dict[str, float | None]]] = {"1": [], str(AHEAD): []}
    for k, episode in enumerate(windows):
        state, last = arms.begin(world, episode), episode.views[-1].image
        told = {"true": episode.actions, "mirrored": episode.actions.clone(), "permuted": episode.actions.clone()}
        told["mirrored"][:, part] = following.mirrored(episode.actions[:, part])
        told["permuted"][:, part] = windows[(k + 1) % len(windows)].actions[:, part]
        shown = {name: imagine(world, state, actions).frames for name, actions in told.items()}
        for key, entries in found.items():
            t = int(key) - 1
            if bool((episode.actions[: t + 1, part].abs() < 1e-3).all()):
                continue
            entry: dict[str, float | None] = {}
            for name, actions in told.items():
                same = name != "true" and torch.allclose(actions[: t + 1], episode.actions[: t + 1], atol=5e-3)
                error = following.salient_error(shown[name][t], episode.truth[t], last)
                entry[name] = None if same or np.isnan(error) else error
            entry["frozen"] = following.salient_error(last, episode.truth[t], last)
            entries.append(entry)
    return found


def acts_at_once(setup: WorldSetup, episode: Episode) -> bool:
    """Whether changing one action changes the frame it leads to and, bit for bit, none before it."""
    world = model(setup, arms.VIDEO)
    state, actions = arms.begin(world, episode), episode.actions[: CHANGED + 1]
    changed = actions.clone()
    changed[CHANGED, MOTION[setup.world]] *= -1
    changed[CHANGED, 1] += 0.02  # so that a step that stood still is another one, too
    cameras = list(episode.cameras[: CHANGED + 1])
    one, other = (imagine(world, state, told, cameras=cameras).frames for told in (actions, changed))
    return torch.equal(one[:CHANGED], other[:CHANGED]) and not torch.equal(one[CHANGED], other[CHANGED])


def measure_stare(setup: WorldSetup, index: int) -> dict[str, Any]:
    """Row 9: 1 where the last frame is closest to the right one of 16 true views, by arm and control."""
    test = world_walks(setup.world).stare(setup.first_seed + index, STILL, size_of(setup))
    episode, shown = test.episode, {}
    for arm in (arms.NO_MEMORY, arms.VIDEO, setup.grounded, WRONG):
        name = setup.grounded if arm == WRONG else arm
        state = arms.begin(model(setup, name), episode)
        if arm == WRONG:
            other = arms.begin(model(setup, name), replace(episode, views=test.wrong))
            state = arms.with_memory_of(state, other)
        elif arm == setup.grounded:
            renders = arms.render(state, episode.cameras)
        shown[arm] = arms.roll(model(setup, name), episode, state).frames
    shown["frozen"] = guards.frozen(episode.views, len(episode.truth))
    shown["nearest past frame"] = guards.nearest_past_frame(episode.views, episode.cameras)
    shown["pure warp"] = guards.pure_warp(renders, episode.views, episode.cameras)
    hits = {name: _hit(frames[-1], test.candidates) for name, frames in shown.items()}
    hits[PALETTE] = retrieved(palette_distances(test.shown, test.candidates))
    return {"seed": episode.seed, "hits": hits}


def _hit(frame: Tensor, candidates: Tensor) -> float:
    distances: Tensor = view_distances(frame, candidates)
    return retrieved(distances) if bool(torch.isfinite(distances).all()) else 0.0


def measure_return(setup: WorldSetup, index: int) -> dict[str, Any]:
    """Row 12 out and back: errors by where a pixel was seen before, of every arm and guard."""
    episode = world_walks(setup.world).out_and_back(setup.first_seed + index, OUT_STEPS, size_of(setup))
    shown, renders = {}, []
    for arm in (arms.VIDEO, setup.grounded, *((EXTRA[setup.world],) if index < SOME else ())):
        state = arms.begin(model(setup, arm), episode)
        shown[arm] = arms.roll(model(setup, arm), episode, state).frames
        if arm == setup.grounded:
            renders = arms.render(state, episode.cameras)
    shown["frozen"] = guards.frozen(episode.views, len(episode.truth))
    shown["pure warp"] = guards.pure_warp(renders, episode.views, episode.cameras)
    shown["composite"] = guards.composite(renders, shown[arms.VIDEO])
    known, seen = guards.covered(renders), seen_pixels(episode)
    still = torch.ones_like(seen) if episode.moving is None else ~episode.moving
    masks = {"all": None, "seen": seen & still, "never": ~seen & still, "covered": known}
    if episode.moving is not None:
        masks["moving"] = episode.moving
    errors = {
        name: {kind: step_errors(frames, episode.truth, mask) for kind, mask in masks.items()}
        for name, frames in shown.items()
    }
    errors["raw render"] = {"covered": step_errors(guards.render_colours(renders), episode.truth, known)}
    return {"seed": episode.seed, "errors": errors, "covered": float(known.float().mean())}


def seen_pixels(episode: Episode) -> Bool[Tensor, "T H W"]:
    """True pixels whose points were seen in the observed beginning."""
    depths = [view.depth for view in episode.views if view.depth is not None]
    cameras = [view.camera for view in episode.views]
    pairs = zip(episode.depth, episode.cameras, strict=True)
    return torch.stack([seen_before(depth, camera, depths, cameras) for depth, camera in pairs])
