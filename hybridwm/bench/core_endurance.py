"""A long walk: whether a step takes and holds at its end what it did at its beginning, and what a step allocates.

Controls: uncached passes over a past that grows, and a context from which no page is ever dropped.
Memory is measured in a process of its own: the growth of its resident set after what was freed has been given back,
and its high-water mark (Linux). Tensors that a step makes are counted as torch makes them.
"""

from __future__ import annotations

import ctypes
import gc
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from ..run_folder import RunFolder
from ..study import arms
from ..study.demo_config import DemoConfig
from ..study.episodes import Episode
from ..study.measure_endurance import _uncached_seconds, held_megabytes, measure_endurance, relative_slope
from ..study.trajectories import random_walk
from ..world_model import WorldModel
from .core_cache import remembered
from .core_setup import VIEWS, CoreSetup, keep
from .memory import CLEAR, _status
from .processes import in_fresh_process

ARMS = {"video only": arms.VIDEO, "grounded": arms.STEREO}
STEPS, QUICK_STEPS = 500, 120
MEMORY_STEPS = 200
AGES = tuple(range(8, 33, 4))  # frames of the past that uncached passes work through
KEPT = 24  # frames remembered by the context that drops none


def measure(weights: str, setup: CoreSetup, folder: RunFolder | None = None) -> dict[str, Any]:
    """{"endurance": slopes of the time per frame and what states hold, "memory": megabytes by arm}."""
    steps = QUICK_STEPS if setup.quick else STEPS
    config = DemoConfig(weights=weights, first_seed=setup.first_seed, walk_views=VIEWS, long_steps=steps)
    record = measure_endurance(config, 0)
    keep(folder, area="speed", endurance=record)
    core = arms.world(weights, arms.VIDEO).core
    walk = random_walk(setup.first_seed, AGES[-1] + 1, arms.rig(weights))
    uncached = [_uncached_seconds(core, walk, age) for age in AGES]
    figures: dict[str, Any] = {
        "steps": float(steps),
        "uncached": {"slope": relative_slope(uncached)},
        "nothing dropped": {"held, end over half-way": hoarded(arms.world(weights, arms.VIDEO), walk)},
    }
    memory: dict[str, Any] = {}
    for name, arm in ARMS.items():
        held = record[arm]["megabytes"]
        figures[name] = {
            "slope": record[arm]["slope"],
            "held MB": held[-1],
            "held, end over half-way": _growth_of(held),
            "splats": float(record[arm]["splats"][-1]),
            "finite": float(record[arm]["finite"]),
        }
        memory[name] = in_fresh_process(process_memory, setup, arm, MEMORY_STEPS // (4 if setup.quick else 1))
    return {"endurance": figures, "memory": memory}


def hoarded(model: WorldModel, walk: Episode) -> float:
    """How many times the MB after half of KEPT frames a context holds after all, if nothing is dropped from it."""
    half, full = (remembered(model, walk, frames, window=KEPT) for frames in (KEPT // 2, KEPT))
    return held_megabytes(full.pages) / held_megabytes(half.pages)


def process_memory(setup: CoreSetup, arm: str, steps: int) -> dict[str, float]:
    """MB by which this process grows over the second half of a walk, its peak beyond weights, code and first state,
    and the tensors that one step makes. What the system does not say is left out."""
    torch.set_num_threads(1)
    walk = random_walk(setup.first_seed, VIEWS + steps, arms.rig(setup.weights))
    episode, model = walk.window(0, VIEWS, steps), arms.world(setup.weights, arm)
    state, resident = arms.begin(model, episode), []
    state, _ = model.step(state, episode.actions[0], camera=episode.cameras[0])  # loads what is loaded but once
    made = Made()
    with made:
        model.step(state, episode.actions[1], camera=episode.cameras[1])
    figures = {"temporary MB": made.bytes / 2**20}
    try:
        before = _resident()
        CLEAR.write_text("5")  # sets the high-water mark back to what is held
    except OSError:
        return figures
    for t in range(1, steps):
        state, _ = model.step(state, episode.actions[t], camera=episode.cameras[t])
        if t in (steps // 2, steps - 1):
            peak = _status("VmHWM")
            resident.append((peak, _resident()))
    figures |= {"peak MB": (resident[-1][0] - before) / 2**20}
    return figures | {"growth MB": (resident[1][1] - resident[0][1]) / 2**20}


class Made(TorchDispatchMode):
    """Counts the bytes of tensors that torch's operations make, views of what is there already apart."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        known = {each.untyped_storage().data_ptr() for each in _tensors((args, kwargs))}
        for each in _tensors(result):
            storage = each.untyped_storage()
            if storage.data_ptr() not in known:
                known.add(storage.data_ptr())
                self.bytes += storage.nbytes()
        return result


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        return [found for item in value.values() for found in _tensors(item)]
    return [found for item in value for found in _tensors(item)] if isinstance(value, (tuple, list)) else []


def _growth_of(held: list[float]) -> float:
    """The last over the one half-way."""
    return held[-1] / held[len(held) // 2 - 1]


def _resident() -> int:
    """Bytes that this process holds, after what was freed has been given back."""
    gc.collect()
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)
    return _status("VmRSS")
