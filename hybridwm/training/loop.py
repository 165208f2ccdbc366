"""The optimiser's loop that every training run shares: exact resume, averaged weights, metrics line by line.

A step is a function of its number and the weights before it, so a run that was killed goes on as if it had not been.
What is lost by a kill: the step it was in (checkpoint says when it is more).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from tqdm import tqdm

from . import checkpoint
from .distributed import Ranks, Spread, spread, whole
from .hardware import machine, peak_memory
from .metrics_file import MetricsFile
from .placement import Placement
from .recent_checkpoint import RecentCheckpoints

LossAt = Callable[[nn.Module, int, int], tuple[Tensor, dict[str, float]]]
"""(network, step, unit) -> the loss to descend, the mean over that unit of the batch, and numbers to show beside it.
The network is to be called as it is given, once with gradients and as often as one likes without: around it, gradients
are averaged over processes."""

Validate = Callable[[dict[str, Tensor]], dict[str, float]]
"""averaged weights -> scores on what is held out."""

Show = Callable[[dict[str, Tensor], Path], None]
"""Draws what the averaged weights make of what is held out into a PNG file."""


@runtime_checkable
class Schedule(Protocol):
    """What the loop reads of a training configuration (see TrainConfig for what each means)."""

    @property
    def name(self) -> str: ...
    @property
    def seed(self) -> int: ...
    @property
    def steps(self) -> int: ...
    @property
    def batch(self) -> int: ...
    @property
    def rate(self) -> float: ...
    @property
    def warm_up(self) -> int: ...
    @property
    def weight_decay(self) -> float: ...
    @property
    def clip_norm(self) -> float: ...
    @property
    def ema(self) -> float: ...
    @property
    def checkpoint_every(self) -> int: ...
    @property
    def validate_every(self) -> int: ...


@dataclass(frozen=True)
class Trained:
    """average: the averaged weights, which are those to publish; card: steps, seconds, machine, curves."""

    average: dict[str, Tensor]
    card: dict[str, Any]


def optimise(
    network: nn.Module,
    loss_at: LossAt,
    validate: Validate,
    schedule: Schedule,
    folder: Path,
    placement: Placement | None = None,
    show: Show | None = None,
) -> Trained:
    """Trains (or goes on training) `network` by AdamW; writes folder/checkpoints/, folder/metrics.jsonl and, with
    `show`, folder/rollouts/. All processes call it; the first writes, and runs `validate` and `show`.

    Raises FloatingPointError where a loss or the gradient is no number, before the weights are touched; ValueError for
    checkpoints of another configuration.
    """
    placement = placement or Placement()
    ranks = placement.ranks
    device = next(network.parameters()).device
    over = spread(network, ranks, placement.shard_above)
    if placement.compiled:
        over.model.compile()
    average = {k: v.detach().clone() for k, v in over.holder.state_dict().items()}
    optimiser = torch.optim.AdamW(
        over.holder.parameters(), schedule.rate, betas=(0.9, 0.99), weight_decay=schedule.weight_decay
    )
    kept = folder / "checkpoints"
    done = checkpoint.resume(kept, over.holder, average, optimiser, ranks)
    recent = RecentCheckpoints(kept, ranks, sharded=over.sharded)
    metrics = MetricsFile(folder / "metrics.jsonl", keep_until=done, quiet=not ranks.first)
    spent = metrics.last_seconds()
    began = time.time()
    busy, counted = 0.0, 0  # seconds in steps, and steps, since the last line of metrics
    bar = tqdm(
        range(done, schedule.steps),
        initial=done,
        total=schedule.steps,
        desc=schedule.name,
        unit="step",
        disable=not ranks.first,
    )
    for step in bar:
        begun = time.perf_counter()
        for group in optimiser.param_groups:
            group["lr"] = rate_at(schedule, step)
        optimiser.zero_grad(set_to_none=True)
        losses, shown = _descend(over, loss_at, step, placement, device)
        norm = _clip(over.holder, schedule.clip_norm)
        if not (math.isfinite(norm) and all(map(math.isfinite, losses))):
            good = _last_good(kept, step, over, average, optimiser, ranks)
            raise FloatingPointError(_no_number(step, schedule.seed, losses, norm, good))
        optimiser.step()
        decay = min(schedule.ema, (1 + step) / (10 + step))
        _update(average, over.holder, decay)
        busy, counted = busy + time.perf_counter() - begun, counted + 1
        now, loss = step + 1, sum(losses) / len(losses)
        bar.set_postfix({name: f"{value:.4f}" for name, value in {"loss": loss, **shown}.items()})
        if now % 10 == 0 or now == schedule.steps:
            metrics.write(
                step=now,
                loss=loss,
                **shown,
                norm=norm,
                rate=rate_at(schedule, step),
                ema=decay,
                samples_per_second=schedule.batch * counted / busy,
                peak_memory_mb=peak_memory(device),
                seconds=spent + time.time() - began,
            )
            busy, counted = 0.0, 0
        if now % schedule.validate_every == 0 or now == schedule.steps:
            complete = whole(average)
            if ranks.first:
                scores = validate(complete)
                metrics.write(step=now, validation=scores, seconds=spent + time.time() - began)
                bar.write(f"step {now}: " + "  ".join(f"{k} {v:.2f}" for k, v in scores.items()))
                if show is not None:
                    show(complete, folder / "rollouts" / f"step-{now:08d}.png")
            ranks.wait()
        if now % schedule.checkpoint_every == 0 or now == schedule.steps:
            checkpoint.save(kept, now, over.holder, average, optimiser, ranks=ranks)
        elif recent.due():
            recent.write(now, checkpoint.state_of(over.holder, average, optimiser))
    recent.remove()
    card = {
        "steps": schedule.steps,
        "seconds_training": round(metrics.last_seconds(), 1),
        "machine": machine(device, ranks.world),
        "parameters": sum(p.numel() for p in network.parameters()),
        "loss_curve": metrics.curve(),
        "validation": metrics.validations(),
    }
    return Trained(whole(average), card)


def _descend(
    over: Spread, loss_at: LossAt, step: int, placement: Placement, device: torch.device
) -> tuple[list[float], dict[str, float]]:
    """Leaves the gradient of the mean over all units, of all processes; returns each unit's loss, and the means of the
    numbers beside it."""
    own = placement.ranks.own_units(placement.units)
    over.gather()
    losses = torch.zeros(placement.units, dtype=torch.float64)
    sums: dict[str, float] = {}
    for unit in own:
        with over.accumulating(last=unit == own[-1]):
            with torch.autocast(device.type, torch.bfloat16, enabled=placement.bf16):
                loss, shown = loss_at(over.model, step, unit)
            (loss / len(own)).backward()
        losses[unit] = loss.item()
        sums = {name: sums.get(name, 0.0) + value for name, value in shown.items()}
    numbers = torch.cat([losses, torch.tensor(list(sums.values()), dtype=torch.float64)])
    numbers = placement.ranks.summed(numbers).tolist()
    means = (value / placement.units for value in numbers[placement.units :])
    return numbers[: placement.units], dict(zip(sums, means, strict=True))


def _clip(holder: nn.Module, most: float) -> float:
    """Scales the gradients down to the norm `most`; returns what it was."""
    norm = nn.utils.clip_grad_norm_(holder.parameters(), most)
    return whole({"norm": norm})["norm"].item()


def _last_good(
    kept: Path,
    step: int,
    over: Spread,
    average: dict[str, Tensor],
    optimiser: torch.optim.AdamW,
    ranks: Ranks,
) -> Path | None:
    """The newest durable checkpoint, made now of the weights as they are unless this is the first step."""
    if step:
        return checkpoint.save(kept, step, over.holder, average, optimiser, keep=3, ranks=ranks)
    return None


def _no_number(step: int, seed: int, losses: list[float], norm: float, good: Path | None) -> str:
    odd = [unit for unit, loss in enumerate(losses) if not math.isfinite(loss)]
    what = f"the loss is {losses[odd[0]]}" if odd else f"the gradient's norm is {norm}"
    where = f"the last good checkpoint is {good}" if good else "no step was taken before it"
    return (
        f"step {step}: {what}; expected a number. Its batch is that of (seed, step, units) = "
        f"({seed}, {step}, {odd or list(range(len(losses)))}); the weights were not touched, {where}. Lower `rate`."
    )


def rate_at(schedule: Schedule, step: int) -> float:
    """Learning rate of a step: linear warm-up, then cosine to a hundredth of the peak."""
    if step < schedule.warm_up:
        return schedule.rate * (step + 1) / schedule.warm_up
    progress = (step - schedule.warm_up) / max(schedule.steps - schedule.warm_up, 1)
    return schedule.rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))


@torch.no_grad()
def _update(average: dict[str, Tensor], network: nn.Module, decay: float) -> None:
    for key, value in network.state_dict().items():
        if value.is_floating_point():
            average[key].lerp_(value, 1 - decay)
        else:
            average[key].copy_(value)
