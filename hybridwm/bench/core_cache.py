"""Cached steps beside full passes over the whole past: equal, and how many times as fast; taken in turns."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from torch import Tensor

from ..core.codec import encode_eyes
from ..core.conditioning import Recalled
from ..core.video_core import Context
from ..study import arms
from ..study.episodes import Episode
from ..study.measure_endurance import _clip, _uncached
from ..study.trajectories import random_walk
from ..world_model import WorldModel
from .core_setup import CoreSetup

SOLVER_STEPS = (1, 2, 4)
CONTEXT = 16  # frames before the one that is imagined, cached or not
BASELINE_STEPS = 10  # solver steps of the uncached baseline
ROUNDS, QUICK_ROUNDS = 7, 3


def measure(weights: str, setup: CoreSetup) -> dict[str, float]:
    """Difference, milliseconds and their ratios on a held-out walk."""
    walk = random_walk(setup.first_seed, CONTEXT + 2, arms.rig(weights))
    return cache(arms.world(weights, arms.VIDEO), walk, QUICK_ROUNDS if setup.quick else ROUNDS)


@torch.no_grad()
def cache(model: WorldModel, walk: Episode, rounds: int) -> dict[str, float]:
    """A cached step against full passes over CONTEXT frames and the new one: the largest difference, and how many
    times as fast it is; beside them a difference that must show, with the frame before the newest in its place."""
    core = model.core
    clip = _clip(core, walk, CONTEXT + 1)
    right, stale = (remembered(model, walk, CONTEXT, stale=stale) for stale in (False, True))
    camera, action = walk.views[CONTEXT].camera, walk.start_actions[CONTEXT - 1]
    full = _uncached(core, clip)

    def cached(context: Context, steps: int) -> Tensor:
        frame = core.imagine(context, Recalled(), camera, action, solver_steps=steps)
        core.remember(context, frame, camera, action)
        return frame

    def once(steps: int) -> Tensor:
        return core.imagine(stale if steps == 0 else right, Recalled(), camera, action, solver_steps=max(steps, 1))

    figures = {
        "difference": float((once(1) - full).abs().max()),
        "difference with a stale newest frame": float((once(0) - full).abs().max()),
    }
    spent: dict[str, list[float]] = {}
    for _ in range(rounds):
        for steps in SOLVER_STEPS:
            spent.setdefault(f"cached, {steps}", []).append(_timed(lambda steps=steps: cached(right, steps)))
            uncached = _timed(lambda steps=steps: [_uncached(core, clip) for _ in range(steps)])
            spent.setdefault(f"uncached, {steps}", []).append(uncached)
        baseline = _timed(lambda: [_uncached(core, clip) for _ in range(BASELINE_STEPS)])
        spent.setdefault(f"uncached, {BASELINE_STEPS}", []).append(baseline)

    def over(one: str, other: str) -> float:
        return median(b / a for a, b in zip(spent[one], spent[other], strict=True))

    figures |= {f"{name} steps: ms": 1000 * median(taken) for name, taken in spent.items()}
    figures |= {f"over uncached, {k} steps": over(f"cached, {k}", f"uncached, {k}") for k in SOLVER_STEPS}
    return figures | {f"over uncached, {BASELINE_STEPS} steps": over("cached, 2", f"uncached, {BASELINE_STEPS}")}


def remembered(
    model: WorldModel, walk: Episode, frames: int, *, window: int | None = None, stale: bool = False
) -> Context:
    """The context after the walk's first views; stale: the newest page shows the frame before once more."""
    core, context = model.core, arms.begin(model, walk.window(0, 1, 1)).context
    for i in range(1, frames):
        view, shown = walk.views[i], walk.views[i - 1 if stale and i == frames - 1 else i]
        frame = encode_eyes(core.codec, shown.image, shown.right if core.config.eyes == 2 else None)
        context = core.remember(context, frame, view.camera, walk.start_actions[i - 1], window=window)
    return context


def _timed(work: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun
