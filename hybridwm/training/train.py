"""The training loop: a step is a function of (configuration, step) and the weights before it, so resuming is exact."""

from __future__ import annotations

import json
import math
import platform
import time
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from ..core import flow
from ..core.transformer import VideoTransformer
from ..weights.store import load_weights, save_weights
from ..worlds.rooms.rig import RoomsRig
from . import checkpoint
from .clips import make_batch, step_generator
from .config import TrainConfig
from .episodes import load_or_make
from .validate import validate


def train(config: TrainConfig, folder: Path) -> Path:
    """Trains (or goes on training) in `folder` and returns the path of the published weights.

    Writes data/ (walks), checkpoints/, metrics.jsonl and <name>.safetensors (averaged weights, fp16) with
    <name>.json (configuration, data seeds, steps, seconds, machine, losses).
    """
    device = _device(config.device)
    if config.threads:
        torch.set_num_threads(config.threads)
    rig = RoomsRig(size=config.core.width, fov_x=config.episodes.fov_x, baseline=config.episodes.baseline)
    began = time.time()
    walks = load_or_make(folder / "data", config.episodes, rig, device, eyes=config.core.eyes).to(device)
    making = time.time() - began
    walks, held_out = walks.split(config.episodes.validation)

    torch.manual_seed(config.seed)
    network = VideoTransformer(config.core).to(device)
    if config.initial:
        load_weights(config.initial).fill(network)
    average = {k: v.detach().clone() for k, v in network.state_dict().items()}
    optimiser = torch.optim.AdamW(
        network.parameters(), config.rate, betas=(0.9, 0.99), weight_decay=config.weight_decay
    )
    done = checkpoint.resume(folder / "checkpoints", network, average, optimiser)
    metrics = _Metrics(folder / "metrics.jsonl", keep_until=done)
    spent = metrics.last_seconds()
    began = time.time()
    bar = tqdm(range(done, config.steps), initial=done, total=config.steps, desc=config.name, unit="step")
    for step in bar:
        for group in optimiser.param_groups:
            group["lr"] = rate_at(config, step)
        batch = make_batch(walks, config, rig, step_generator(config.seed, step, device))
        predicted, _ = network(batch.noisy, batch.conditions, batch.sight)
        loss, error = flow.loss(predicted[:, config.clip :], batch.clean, batch.t)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(network.parameters(), config.clip_norm)
        optimiser.step()
        _update(average, network, min(config.ema, (1 + step) / (10 + step)))
        if not math.isfinite(loss.item()):
            raise FloatingPointError(
                f"step {step}: the loss is {loss.item()}; expected a number. Lower `rate`; "
                f"the last good checkpoint is in {folder / 'checkpoints'}."
            )
        now = step + 1
        bar.set_postfix(loss=f"{loss.item():.4f}", error=f"{error.mean().item():.4f}")
        if now % 10 == 0 or now == config.steps:
            metrics.write(
                step=now,
                loss=loss.item(),
                error=error.mean().item(),
                norm=norm.item(),
                rate=rate_at(config, step),
                seconds=spent + time.time() - began,
            )
        if now % config.validate_every == 0 or now == config.steps:
            scores = validate(network, average, held_out, config, rig)
            metrics.write(step=now, validation=scores, seconds=spent + time.time() - began)
            bar.write(f"step {now}: " + "  ".join(f"{k} {v:.2f}" for k, v in scores.items()))
        if now % config.checkpoint_every == 0 or now == config.steps:
            checkpoint.save(folder / "checkpoints", now, network, average, optimiser)
    card = {
        "steps": config.steps,
        "initial": config.initial or "random",
        "target_frames": config.steps * config.batch * config.clip,
        "training_seeds": [
            config.episodes.first_seed,
            config.episodes.first_seed + config.episodes.episodes - 1,
        ],
        "seconds_training": round(metrics.last_seconds(), 1),
        "seconds_making_episodes": round(making, 1),
        "machine": f"{device.type}, {platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}",
        "parameters": sum(p.numel() for p in network.parameters()),
        "loss_curve": metrics.curve(),
        "validation": metrics.validations(),
    }
    return save_weights(folder, config.name, config.core, asdict(config), average, card)


def rate_at(config: TrainConfig, step: int) -> float:
    """Learning rate of a step: linear warm-up, then cosine to a hundredth of the peak."""
    if step < config.warm_up:
        return config.rate * (step + 1) / config.warm_up
    progress = (step - config.warm_up) / max(config.steps - config.warm_up, 1)
    return config.rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))


@torch.no_grad()
def _update(average: dict[str, Tensor], network: VideoTransformer, decay: float) -> None:
    for key, value in network.state_dict().items():
        average[key].lerp_(value, 1 - decay)


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(name)


class _Metrics:
    """metrics.jsonl; on resuming, lines past the checkpoint are dropped so that none is there twice."""

    def __init__(self, path: Path, keep_until: int) -> None:
        self.path = path
        self.lines: list[dict] = []
        if path.exists():
            for line in path.read_text().splitlines():
                try:
                    entry = json.loads(line)
                except ValueError:
                    continue  # a kill can cut the last line short
                if entry.get("step", 0) <= keep_until:
                    self.lines.append(entry)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(entry) + "\n" for entry in self.lines))

    def write(self, **entry: object) -> None:
        self.lines.append(entry)
        with open(self.path, "a") as file:
            file.write(json.dumps(entry) + "\n")

    def last_seconds(self) -> float:
        return float(self.lines[-1]["seconds"]) if self.lines else 0.0

    def curve(self, points: int = 40) -> list[list[float]]:
        """[step, mean loss] over equal stretches of the run."""
        losses = [(e["step"], e["loss"]) for e in self.lines if "loss" in e]
        size = max(1, len(losses) // points)
        chunks = [losses[i : i + size] for i in range(0, len(losses), size)]
        return [[c[-1][0], round(sum(loss for _, loss in c) / len(c), 5)] for c in chunks]

    def validations(self) -> list[dict]:
        return [{"step": e["step"], **e["validation"]} for e in self.lines if "validation" in e]
