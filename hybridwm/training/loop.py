"""The optimiser's loop that every training run shares: exact resume, averaged weights, metrics line by line.

A step is a function of its number and the weights before it, so a run that was killed goes on as if it had not been.
"""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from tqdm import tqdm

from . import checkpoint
from .metrics_file import MetricsFile

LossAt = Callable[[int], tuple[Tensor, dict[str, float]]]
"""step -> the loss to descend, and numbers to show beside it."""

Validate = Callable[[dict[str, Tensor]], dict[str, float]]
"""averaged weights -> scores on what is held out."""


@runtime_checkable
class Schedule(Protocol):
    """What the loop reads of a training configuration (see TrainConfig for what each means)."""

    @property
    def name(self) -> str: ...
    @property
    def steps(self) -> int: ...
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


def optimise(network: nn.Module, loss_at: LossAt, validate: Validate, schedule: Schedule, folder: Path) -> Trained:
    """Trains (or goes on training) `network` by AdamW; writes folder/checkpoints/ and folder/metrics.jsonl.

    Raises FloatingPointError where the loss is no number, ValueError for checkpoints of another configuration.
    """
    device = next(network.parameters()).device
    average = {k: v.detach().clone() for k, v in network.state_dict().items()}
    optimiser = torch.optim.AdamW(
        network.parameters(), schedule.rate, betas=(0.9, 0.99), weight_decay=schedule.weight_decay
    )
    done = checkpoint.resume(folder / "checkpoints", network, average, optimiser)
    metrics = MetricsFile(folder / "metrics.jsonl", keep_until=done)
    spent = metrics.last_seconds()
    began = time.time()
    bar = tqdm(range(done, schedule.steps), initial=done, total=schedule.steps, desc=schedule.name, unit="step")
    for step in bar:
        for group in optimiser.param_groups:
            group["lr"] = rate_at(schedule, step)
        loss, shown = loss_at(step)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(network.parameters(), schedule.clip_norm)
        optimiser.step()
        _update(average, network, min(schedule.ema, (1 + step) / (10 + step)))
        if not math.isfinite(loss.item()):
            raise FloatingPointError(
                f"step {step}: the loss is {loss.item()}; expected a number. Lower `rate`; "
                f"the last good checkpoint is in {folder / 'checkpoints'}."
            )
        now = step + 1
        bar.set_postfix({name: f"{value:.4f}" for name, value in {"loss": loss.item(), **shown}.items()})
        if now % 10 == 0 or now == schedule.steps:
            metrics.write(
                step=now,
                loss=loss.item(),
                **shown,
                norm=norm.item(),
                rate=rate_at(schedule, step),
                seconds=spent + time.time() - began,
            )
        if now % schedule.validate_every == 0 or now == schedule.steps:
            scores = validate(average)
            metrics.write(step=now, validation=scores, seconds=spent + time.time() - began)
            bar.write(f"step {now}: " + "  ".join(f"{k} {v:.2f}" for k, v in scores.items()))
        if now % schedule.checkpoint_every == 0 or now == schedule.steps:
            checkpoint.save(folder / "checkpoints", now, network, average, optimiser)
    card = {
        "steps": schedule.steps,
        "seconds_training": round(metrics.last_seconds(), 1),
        "machine": f"{device.type}, {platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}",
        "parameters": sum(p.numel() for p in network.parameters()),
        "loss_curve": metrics.curve(),
        "validation": metrics.validations(),
    }
    return Trained(average, card)


def rate_at(schedule: Schedule, step: int) -> float:
    """Learning rate of a step: linear warm-up, then cosine to a hundredth of the peak."""
    if step < schedule.warm_up:
        return schedule.rate * (step + 1) / schedule.warm_up
    progress = (step - schedule.warm_up) / max(schedule.steps - schedule.warm_up, 1)
    return schedule.rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))


def device_of(name: str) -> torch.device:
    """cpu, cuda, or for "auto" CUDA where there is one."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(name)


@torch.no_grad()
def _update(average: dict[str, Tensor], network: nn.Module, decay: float) -> None:
    for key, value in network.state_dict().items():
        if value.is_floating_point():
            average[key].lerp_(value, 1 - decay)
        else:
            average[key].copy_(value)
