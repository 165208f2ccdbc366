"""Cached steps: equal to uncached ones, and as fast and as small at step 200 as at step 1."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from render.camera import Camera

from ..core.clip import Conditions
from ..core.codec import encode_eyes
from ..core.conditioning import Recalled
from ..core.flow import mix
from ..core.sampler import CONTEXT, noise
from ..core.video_core import VideoCore
from ..world_model import Frame, WorldModel, WorldState
from . import arms
from .demo_config import DemoConfig
from .episodes import Episode
from .trajectories import random_walk

BLOCK = 10  # steps whose median time is one point
COMPARED = (arms.VIDEO, arms.STEREO)
EARLY = BLOCK  # steps after which a state is kept, from which a step is taken again beside every later one
AGES = (8, 32)  # ages, in frames, at which an uncached step is timed


def measure_endurance(config: DemoConfig, index: int) -> dict[str, Any]:
    """Row 7, on one long walk: the cache against a full forward pass, and time, splats and memory over
    steps."""
    seed, views = config.first_seed + index, config.walk_views
    walk = random_walk(seed, views + config.long_steps, arms.rig(config.weights))
    episode = walk.window(0, views, config.long_steps)
    record: dict[str, Any] = {"seed": seed, "block": BLOCK, **_endure(config, episode)}
    core = arms.world(config.weights, arms.VIDEO).core
    ages = [age for age in AGES if age <= len(walk.views)]
    record["cached_error"] = max(cached_error(core, walk, age) for age in ages)
    record["uncached_seconds"] = {str(age): _uncached_seconds(core, walk, age) for age in ages}
    return record


def relative_slope(seconds: Float[np.ndarray, " N"] | list[float]) -> float:
    """Growth over the whole series relative to its median: the Theil–Sen slope (median of pairwise slopes)
    × length."""
    y = np.asarray(seconds, float)
    i, j = np.triu_indices(len(y), k=1)
    return float(np.median((y[j] - y[i]) / (j - i)) * len(y) / np.median(y))


def cached_error(core: VideoCore, walk: Episode, age: int) -> float:
    """Largest difference (frames of −1…1) between a cached step and a full forward pass over `age` frames."""
    clip = _clip(core, walk, age)
    context = core.begin(clip.cameras[0], walk.seed, baseline=walk.views[0].baseline)
    for frame, camera, action in zip(clip.frames[:-1], clip.cameras[:-1], clip.told.actions[0, :-1], strict=True):
        context = core.remember(context, frame, camera, action)
    last = clip.told.actions[0, -1]
    cached = core.imagine(context, Recalled(), clip.cameras[-1], last, solver_steps=1)
    return float((cached - _uncached(core, clip)).abs().max())


@dataclass(frozen=True)
class _Clip:
    """Frames, their cameras, and the tensors of one full forward pass in which only the last frame is
    noise."""

    frames: Float[Tensor, "F C H W"]
    cameras: list[Camera]
    noisy: Float[Tensor, "1 F C H W"]
    told: Conditions


def _clip(core: VideoCore, walk: Episode, age: int) -> _Clip:
    cfg = core.config
    views = walk.views[:age]
    frames = torch.stack([encode_eyes(core.codec, v.image, v.right if cfg.eyes == 2 else None) for v in views])
    cameras = [view.camera for view in views]
    fixed = torch.stack([noise(walk.seed, t, CONTEXT, (1, 1, *frames.shape[1:]))[0, 0] for t in range(age)])
    t = torch.full((1, age), cfg.context_noise)
    noisy = mix(frames[None], fixed[None], t)
    noisy[:, -1] = noise(walk.seed, age - 1, 0, (1, 1, *frames.shape[1:]))[:, 0]
    t[:, -1] = 1
    actions = torch.cat([torch.zeros(1, cfg.action_dim), walk.start_actions[: age - 1]])
    context = core.begin(cameras[0], walk.seed, baseline=walk.views[0].baseline)
    parts = []
    for step, (camera, action) in enumerate(zip(cameras, actions, strict=True)):
        level = 0 if step == age - 1 else cfg.levels - 1  # one solver step for the last, context for the others
        parts.append(core.conditions(replace(context, steps=step), camera, action, Recalled(), level=level))
        context = replace(context, camera=camera)
    told = replace(Conditions.joined(parts), t=t)
    return _Clip(frames, cameras, noisy, told)


@torch.no_grad()
def _uncached(core: VideoCore, clip: _Clip) -> Tensor:
    return core.network(clip.noisy, clip.told).frames[0, -1]


def _uncached_seconds(core: VideoCore, walk: Episode, age: int) -> float:
    """The median time of a forward pass that has no cache and so works through the whole past again."""
    clip, spent = _clip(core, walk, age), []
    for _ in range(5):
        before = time.perf_counter()
        _uncached(core, clip)
        spent.append(time.perf_counter() - before)
    return float(np.median(spent))


def _endure(config: DemoConfig, episode: Episode) -> dict[str, dict[str, Any]]:
    """Each arm's seconds, splats and memory over the walk.

    Every step is timed beside one from an early state of the same walk, and growth is that of their ratio: the
    machine's moods, which come and go over a minute, weigh on both alike.
    """
    models = {arm: arms.world(config.weights, arm) for arm in COMPARED}
    states = {arm: arms.begin(model, episode) for arm, model in models.items()}
    logs = {arm: _Log() for arm in COMPARED}
    early: dict[str, WorldState] = {}
    for t, action in enumerate(episode.actions):
        for arm, model in models.items():
            if t == EARLY:
                early[arm] = states[arm]
            beside = math.nan
            if t >= EARLY:
                beside, _, _ = _timed(model, early[arm], episode.actions[EARLY], episode.cameras[EARLY])
            seconds, states[arm], frame = _timed(model, states[arm], action, episode.cameras[t])
            logs[arm].add(states[arm], frame, seconds, beside)
    return {arm: log.summary() for arm, log in logs.items()}


def _timed(model: WorldModel, state: WorldState, action: Tensor, camera: Camera) -> tuple[float, WorldState, Frame]:
    before = time.perf_counter()
    state, frame = model.step(state, action, camera=camera)
    return time.perf_counter() - before, state, frame


class _Log:
    """What one arm's steps took and held, in blocks of `BLOCK` steps."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.ratios: list[float] = []
        self.parts: dict[str, float] = {}
        self.splats: list[int] = []
        self.megabytes: list[float] = []
        self.finite = True

    def add(self, state: WorldState, frame: Frame, seconds: float, beside: float) -> None:
        """beside: seconds of the early step, timed at the same moment."""
        self.seconds.append(seconds)
        self.ratios.append(seconds / beside)
        self.finite = self.finite and bool(torch.isfinite(frame.image).all())
        for part, spent in frame.seconds.items():
            self.parts[part] = self.parts.get(part, 0.0) + spent
        if len(self.seconds) % BLOCK == 0:
            self.splats.append(0 if state.scene is None else len(state.scene))
            self.megabytes.append(held_megabytes(state))

    def summary(self) -> dict[str, Any]:
        starts = range(0, len(self.seconds) - BLOCK + 1, BLOCK)
        medians, ratios = (
            [float(np.median(each[i : i + BLOCK])) for i in starts] for each in (self.seconds, self.ratios)
        )
        return {
            "frames": len(self.seconds),
            "seconds": {"frames": len(self.seconds), **self.parts},
            "block_seconds": medians,
            "block_ratios": ratios[1:],  # the first block has no early step to be timed beside
            "slope": relative_slope(ratios[1:]),
            "splats": self.splats,
            "megabytes": self.megabytes,
            "finite": self.finite,
        }


def held_megabytes(state: Any) -> float:
    """What the tensors of a state hold, in MB; a storage that several share counts once."""
    found: dict[int, int] = {}

    def visit(value: Any) -> None:
        if isinstance(value, Tensor):
            storage = value.untyped_storage()
            found[storage.data_ptr()] = storage.nbytes()
        elif isinstance(value, (tuple, list)):
            for item in value:
                visit(item)
        elif is_dataclass(value) and not isinstance(value, type):
            for item in fields(value):
                visit(getattr(value, item.name))

    visit(state)
    return sum(found.values()) / 2**20
