"""Does a larger transformer do better on the same tokens? Small cores are trained here, on one thread each.

Control: the same trainings with every target exchanged for another frame, so that nothing tells what it shows: the
sizes must then come out alike. Before training, a core's output is 0 and its blocks change nothing (adaLN-zero).
"""

from __future__ import annotations

import functools
import time
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..core import flow
from ..core.config import CoreConfig
from ..core.network import VideoNetwork
from ..run_folder import RunFolder
from ..study.pool import Unit
from ..study.pool import measure as in_workers
from ..study.statistics import bootstrap, mean_statistic
from ..training.clips import Batch, make_batch, step_generator
from ..training.config import EpisodesConfig, RecallConfig, TrainConfig
from ..training.episodes import Episodes, make_episodes
from ..training.loop import rate_at
from ..worlds.rooms.rig import RoomsRig
from .core_setup import CoreSetup, described, keep

WIDTHS = (32, 64, 128)  # token widths of the three sizes
SEEDS = (0, 1, 2)
TARGETS = ("true", "shuffled")
RUNS = [(targets, width, seed) for targets in TARGETS for seed in SEEDS for width in WIDTHS]
SIZE, FRAMES = 32, 24  # pixels of a side, frames of a walk
ROOMS, HELD_OUT = 96, 24
STEPS = 600
VALIDATION = 16  # batches
LEAST = 0.01  # share of the loss by which a larger size must be better to count: less is chance


def measure(weights: str, setup: CoreSetup, folder: RunFolder | None = None) -> dict[str, Any]:
    """Validation losses by size, and the seeds on which each size is better than the one below it."""
    units = [Unit("scaling", i, one_run) for i in range(len(RUNS))]
    records = [record for _, record, _ in in_workers(units, setup, setup.workers)]
    for record in records:
        keep(folder, area="scaling", **record)
    figures: dict[str, Any] = {"seeds": float(len(SEEDS)), "steps": float(records[0]["steps"])}
    for targets in TARGETS:
        found = {(r["width"], r["seed"]): r["loss"] for r in records if r["targets"] == targets}
        losses = np.array([[found[width, seed] for width in WIDTHS] for seed in SEEDS])
        own: dict[str, Any] = {"seeds ordered": float(ordered(losses).sum())}
        for i, width in enumerate(WIDTHS):
            own[f"loss at width {width}"] = described(bootstrap(losses[:, i], mean_statistic))
        figures[targets] = own
        if targets == "true":
            parameters = {r["width"]: float(r["parameters"]) for r in records}
            slope, fit = power_law(np.array([parameters[width] for width in WIDTHS]), losses.mean(0))
            own |= {"exponent": slope, "R²": fit}
            figures["parameters"] = {f"width {width}": parameters[width] for width in WIDTHS}
    for name in ("output at first", "change by a block at first"):
        figures[name] = max(record[name] for record in records)
    figures["output after training"] = min(record["output after training"] for record in records)
    figures["change by a block after training"] = min(record["change by a block after training"] for record in records)
    return figures


def one_run(setup: CoreSetup, index: int) -> dict[str, Any]:
    """One size, one seed, true or exchanged targets: parameters, validation loss, seconds."""
    targets, width, seed = RUNS[index]
    steps = STEPS // 4 if setup.quick else STEPS
    config, begun = config_of(width, seed, steps), time.perf_counter()
    torch.manual_seed(seed)
    network = VideoNetwork(config.core)
    walks, held_out = _walks(0, ROOMS), _walks(setup.first_seed, HELD_OUT)
    first = responses(network, _batch(held_out, config, 0, held_out=True))
    train(network, walks, config, exchanged=targets == "shuffled")
    after = responses(network, _batch(held_out, config, 0, held_out=True))
    return {
        "targets": targets,
        "width": width,
        "seed": seed,
        "steps": steps,
        "parameters": sum(p.numel() for p in network.parameters()),
        "loss": validation_loss(network, held_out, config, exchanged=targets == "shuffled"),
        "seconds": round(time.perf_counter() - begun, 1),
        **{f"{name} at first": value for name, value in first.items()},
        **{f"{name} after training": value for name, value in after.items()},
    }


def config_of(width: int, seed: int, steps: int) -> TrainConfig:
    """Video only, one eye, no shortcuts: the flow's own loss and nothing beside it, equal but for the width."""
    return TrainConfig(
        core=CoreConfig(height=SIZE, width=SIZE, eyes=1, dim=width, depth=4, heads=width // 16),
        episodes=EpisodesConfig(episodes=ROOMS, steps=FRAMES, validation=HELD_OUT),
        recall=RecallConfig(drop=1.0),
        seed=seed,
        steps=steps,
        batch=8,
        clip=6,
        warm_up=max(1, steps // 12),
        shortcut=0.0,
        remembered=0.0,
        own_rollouts=0.0,
    )


def train(network: nn.Module, walks: Episodes, config: TrainConfig, *, exchanged: bool) -> None:
    """By AdamW on batches that are functions of (seed, step), equal for every size."""
    optimiser = torch.optim.AdamW(
        network.parameters(), config.rate, betas=(0.9, 0.99), weight_decay=config.weight_decay
    )
    for step in range(config.steps):
        for group in optimiser.param_groups:
            group["lr"] = rate_at(config, step)
        optimiser.zero_grad(set_to_none=True)
        _loss(network, _batch(walks, config, step), exchanged, step).backward()
        nn.utils.clip_grad_norm_(network.parameters(), config.clip_norm)
        optimiser.step()


@torch.no_grad()
def validation_loss(network: nn.Module, walks: Episodes, config: TrainConfig, *, exchanged: bool) -> float:
    """Mean loss over batches that are the same for all sizes and seeds."""
    batches = [_batch(walks, config, i, held_out=True) for i in range(VALIDATION)]
    return float(np.mean([_loss(network, batch, exchanged, i).item() for i, batch in enumerate(batches)]))


@torch.no_grad()
def responses(network: VideoNetwork, batch: Batch) -> dict[str, float]:
    """Largest number of the output, and largest change that a block makes to its tokens."""
    changes: list[float] = []

    def look(block: nn.Module, given: tuple[Any, ...], made: tuple[Tensor, Any]) -> None:
        changes.append(float((made[0] - given[0]).abs().max()))

    hooks = [block.register_forward_hook(look) for block in network.blocks]
    frames = network(batch.noisy, batch.conditions, batch.sight).frames
    for hook in hooks:
        hook.remove()
    return {"output": float(frames.abs().max()), "change by a block": max(changes)}


def exchange(frames: Float[Tensor, "B F C H W"], seed: int) -> Float[Tensor, "B F C H W"]:
    """Every frame in another one's place, of any clip; none stays."""
    count = frames.shape[0] * frames.shape[1]
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    moved = torch.empty_like(order)
    moved[order] = order.roll(1)
    return frames.flatten(0, 1)[moved].unflatten(0, frames.shape[:2])


def ordered(losses: Float[np.ndarray, "S N"]) -> np.ndarray:
    """For each seed, whether each size is better than the one before it, by LEAST of its loss."""
    return np.asarray((losses[:, 1:] <= (1 - LEAST) * losses[:, :-1]).all(1))


def power_law(parameters: Float[np.ndarray, " N"], losses: Float[np.ndarray, " N"]) -> tuple[float, float]:
    """Exponent of loss over parameters, and R² of the straight line in logarithms."""
    x, y = np.log(parameters), np.log(losses)
    slope, intercept = np.polyfit(x, y, 1)
    left = ((y - slope * x - intercept) ** 2).sum()
    return float(slope), float(1 - left / ((y - y.mean()) ** 2).sum())


def _loss(network: nn.Module, batch: Batch, exchanged: bool, seed: int) -> Tensor:
    clean = exchange(batch.clean, seed) if exchanged else batch.clean
    predicted = network(batch.noisy, batch.conditions, batch.sight, first=batch.clean.shape[1])
    return flow.loss(predicted.frames, clean, batch.t)[0]


def _batch(walks: Episodes, config: TrainConfig, step: int, *, held_out: bool = False) -> Batch:
    generator = step_generator(10**6 if held_out else config.seed, step, torch.device("cpu"))
    return make_batch(walks, config, RoomsRig(size=SIZE), generator)


@functools.lru_cache(maxsize=2)
def _walks(first: int, rooms: int) -> Episodes:
    """One eye's walks, made once in each process."""
    last = first + rooms
    made = [
        make_episodes(list(range(i, min(i + 12, last))), FRAMES, RoomsRig(size=SIZE), torch.device("cpu"), eyes=1)
        for i in range(first, last, 12)
    ]
    parts = ("rgb", "depth", "w2c", "actions")
    rgb, depth, w2c, actions = (torch.cat([getattr(walks, part) for walks in made]) for part in parts)
    return Episodes(rgb, depth, w2c, actions)
