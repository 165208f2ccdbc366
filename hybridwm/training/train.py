"""Training of the video core: walks through procedural rooms, conditions that may be missing or wrong, one loss."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from ..core import flow
from ..core.network import VideoNetwork
from ..weights.store import load_weights, save_weights
from ..worlds.rooms.rig import RoomsRig
from .clips import make_batch, step_generator
from .config import TrainConfig
from .episodes import load_or_make
from .loop import device_of, optimise
from .own_frames import with_own_rollouts, with_shortcut_targets
from .validate import validate


def train(config: TrainConfig, folder: Path) -> Path:
    """Trains (or goes on training) in `folder` and returns the path of the published weights.

    Writes data/ (walks), checkpoints/, metrics.jsonl and <name>.safetensors (averaged weights, fp16) with
    <name>.json (configuration, data seeds, steps, seconds, machine, losses).
    """
    device = device_of(config.device)
    if config.threads:
        torch.set_num_threads(config.threads)
    rig = RoomsRig(size=config.core.width, fov_x=config.episodes.fov_x, baseline=config.episodes.baseline)
    began = time.time()
    walks = load_or_make(folder / "data", config.episodes, rig, device, eyes=config.core.eyes).to(device)
    making = time.time() - began
    walks, held_out = walks.split(config.episodes.validation)

    torch.manual_seed(config.seed)
    network = VideoNetwork(config.core).to(device)
    if config.initial:
        load_weights(config.initial).fill(network)

    def loss_at(step: int) -> tuple[Tensor, dict[str, float]]:
        generator = step_generator(config.seed, step, device)
        batch = with_own_rollouts(network, make_batch(walks, config, rig, generator), config, generator)
        predicted = network(batch.noisy, batch.conditions, batch.sight, first=config.clip)
        loss, error = flow.loss(predicted, with_shortcut_targets(network, batch), batch.t)
        return loss, {"error": error.mean().item()}

    def scores(average: dict[str, Tensor]) -> dict[str, float]:
        return validate(network, average, held_out, config, rig)

    trained = optimise(network, loss_at, scores, config, folder)
    first = config.episodes.first_seed
    card = {
        "initial": config.initial or "random",
        "target_frames": config.steps * config.batch * config.clip,
        "training_seeds": [first, first + config.episodes.episodes - 1],
        "seconds_making_episodes": round(making, 1),
        **trained.card,
    }
    return save_weights(folder, config.name, config.core, asdict(config), trained.average, card)
