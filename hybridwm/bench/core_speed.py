"""Frames a second and milliseconds by part on each device, all arms and numbers of solver steps taken in turns.

What is compared runs in one process, one step of each after the other, so that a busy machine slows all alike; times
are medians. On CUDA whole steps are waited for, their parts are not. Cached steps beside uncached ones are in
core_cache, time and memory over many steps in core_endurance.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from statistics import median
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from recon.view import View

from ..run_folder import RunFolder
from ..study import arms
from ..study.episodes import Episode
from ..study.trajectories import random_walk
from ..world_model import WorldModel, WorldState, load
from . import core_cache, core_endurance
from .core_setup import VIEWS, CoreSetup, keep

ARMS = {"video only": arms.VIDEO, "grounded": arms.STEREO}
SOLVER_STEPS = (1, 2, 4)
FRAMES = 48  # steps of each contender
WARM = 4  # of which so many are not counted
ROLLOUTS = {"cpu": 8, "cuda": 64}


def measure(weights: str, setup: CoreSetup, folder: RunFolder | None = None) -> dict[str, Any]:
    """Figures by device, of the cache, of a long walk, and of memory; without CUDA, that it was skipped."""
    frames = FRAMES // 3 if setup.quick else FRAMES
    figures: dict[str, Any] = {}
    for device in ROLLOUTS:
        if device == "cuda" and not torch.cuda.is_available():
            keep(folder, area="speed", device=device, skipped="torch finds no CUDA device on this machine")
            continue
        figures[device] = rates(setup, device, frames, folder)
    figures["cache"] = core_cache.measure(weights, setup)
    return figures | core_endurance.measure(weights, setup, folder)


def rates(setup: CoreSetup, device: str, frames: int, folder: RunFolder | None) -> dict[str, Any]:
    """Frames/s and milliseconds by arm and number of solver steps, and a batch of rollouts, on a device."""
    walk = random_walk(setup.first_seed, VIEWS + WARM + frames, arms.rig(setup.weights))
    episode = on_device(walk.window(0, VIEWS, WARM + frames), device)
    models: dict[tuple[str, int], WorldModel] = {}
    for name, arm in ARMS.items():
        memory, depth = arms.ARMS[arm]
        base = load(setup.weights, memory=memory, depth=depth, device=device)
        for steps in SOLVER_STEPS:
            models[name, steps] = WorldModel(base.core, base.memory, depth=depth, solver_steps=steps)
    states = {key: arms.begin(model, episode) for key, model in models.items()}
    seconds: dict[tuple[str, int], list[float]] = {key: [] for key in models}
    parts: dict[tuple[str, int], list[dict[str, float]]] = {key: [] for key in models}
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    for t, action in enumerate(episode.actions):
        for key in models if t % 2 == 0 else reversed(models):
            begun = _now(device)
            states[key], frame = models[key].step(states[key], action, camera=episode.cameras[t])
            spent = _now(device) - begun
            if t >= WARM:
                seconds[key].append(spent)
                parts[key].append(frame.seconds)
    figures: dict[str, Any] = {name: {} for name in ARMS}
    for (name, steps), spent in seconds.items():
        own = parts[name, steps]
        figures[name][str(steps)] = {
            "frames/s": 1 / median(spent),
            "ms": {"all": 1000 * median(spent)} | {p: 1000 * median(part[p] for part in own) for p in own[0]},
        }
        keep(folder, area="speed", device=device, arm=name, solver_steps=steps, seconds=spent)
    if device == "cuda":
        figures["peak MB"] = torch.cuda.max_memory_allocated() / 2**20
    key = ("video only", 2)
    return figures | {"batch": batched(models[key], states[key], episode, ROLLOUTS[device])}


def batched(model: WorldModel, state: WorldState, episode: Episode, rollouts: int) -> dict[str, float]:
    """Frames/s summed over a batch of video-only rollouts, each of whose frames takes two solver steps and the writing
    of its page: the network's passes of one step, made for all of them at once. Frames are pixels: none to decode."""
    device = state.camera.device.type
    calls = [(method, tiled((args, kwargs), rollouts)) for method, args, kwargs in network_calls(model, state, episode)]

    @torch.no_grad()
    def step() -> None:
        for method, (args, kwargs) in calls:
            method(*args, **kwargs)

    step()
    spent = []
    for _ in range(5):
        begun = _now(device)
        step()
        spent.append(_now(device) - begun)
    return {"frames/s": rollouts / median(spent), "rollouts": float(rollouts)}


def network_calls(model: WorldModel, state: WorldState, episode: Episode) -> list[tuple[Callable, tuple, dict]]:
    """What one step asks of the network, in order: (method, arguments, named arguments)."""
    (network,) = model.core.children()
    calls: list[tuple[Callable, tuple, dict]] = []

    def listening(method: Callable) -> Callable:
        def heard(*args: Any, **kwargs: Any) -> Any:
            calls.append((method, args, kwargs))
            return method(*args, **kwargs)

        return heard

    entrances = [name for name in ("forward", "write") if hasattr(network, name)]
    for name in entrances:
        setattr(network, name, listening(getattr(network, name)))
    try:
        model.step(state, episode.actions[-1], camera=episode.cameras[-1])
    finally:
        for name in entrances:
            delattr(network, name)
    return calls


def tiled(value: Any, batch: int) -> Any:
    """The same with a batch axis of 1 repeated: tensors at their first axis, and in dataclasses at the axis that the
    field's shape calls B."""
    if isinstance(value, Tensor):
        return value.expand(batch, *value.shape[1:]).contiguous()
    if isinstance(value, dict):
        return {name: tiled(item, batch) for name, item in value.items()}
    if isinstance(value, (tuple, list)):
        return type(value)(tiled(item, batch) for item in value)
    if not is_dataclass(value) or isinstance(value, type):
        return value
    changed = {}
    for each in fields(value):
        item = getattr(value, each.name)
        if isinstance(item, Tensor):
            shape = re.search(r"""['"]([^'"]*)['"]""", str(each.type))
            axes = shape[1].split() if shape else []
            if "B" in axes:
                sizes = [batch if name == "B" else -1 for name in axes]
                changed[each.name] = item.expand(*sizes).contiguous()
        else:
            changed[each.name] = tiled(item, batch)
    return replace(value, **changed)


def on_device(episode: Episode, device: str) -> Episode:
    """The episode with its views, cameras and actions on a device; the oracle is not moved."""

    def view(seen: View) -> View:
        moved: dict[str, Float[Tensor, "..."]] = {
            name: value.to(device)
            for name in ("image", "right", "depth", "confidence")
            if (value := getattr(seen, name)) is not None
        }
        return replace(seen, camera=seen.camera.to(device), **moved)

    return replace(
        episode,
        views=tuple(view(seen) for seen in episode.views),
        cameras=tuple(camera.to(device) for camera in episode.cameras),
        start_actions=episode.start_actions.to(device),
        actions=episode.actions.to(device),
    )


def _now(device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()
