"""Training of the video core: walks through procedural rooms, conditions that may be missing or wrong, one loss."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from ..core import flow
from ..core.codec import codec_for, signature
from ..core.network import VideoNetwork
from ..core.vectors import unpack
from ..weights.store import load_weights, save_weights
from ..worlds.rooms.rig import RoomsRig
from .clips import make_batch, step_generator
from .config import TrainConfig
from .distributed import ALONE, Ranks, device_of
from .episodes import load_or_make
from .film import film
from .loop import optimise
from .own_frames import with_own_rollouts, with_shortcut_targets
from .parallax import parallax_loss
from .placement import placement_of
from .remembering import remembers
from .scene_renders import load_or_make_renders
from .validate import validate
from .vectors import check_told, vector_loss


def train(config: TrainConfig, folder: Path, ranks: Ranks = ALONE) -> Path:
    """Trains (or goes on training) in `folder` and returns the path of the published weights.

    Writes data/ (walks, unless config.data has them), checkpoints/, metrics.jsonl and <name>.safetensors (averaged
    weights, fp16) with <name>.json (configuration, data seeds, steps, seconds, machine, losses). Of several processes,
    the first writes.
    """
    if config.core.rgbd and config.core.eyes != 1:
        raise ValueError(
            "TrainConfig.core: expected one eye with 4 channels (rgb-d), as walks keep the left eye's depth alone; got "
            "2 eyes. Set eyes to 1, or eye_channels to 3."
        )
    check_told(config.core)
    device = ranks.device or device_of(config.device)
    placement = placement_of(config, ranks, device)
    if config.threads:
        torch.set_num_threads(config.threads)
    codec = codec_for(config.core, config.codec)
    data = Path(config.data) if config.data else folder / "data"
    began = time.time()
    recorded = None
    if config.episodes.source:
        from .recorded import load_recorded  # rooms are trained on where there is no pyarrow

        recorded = load_recorded(config.episodes, config.core, recalls=config.recall.drop < 1, quiet=not ranks.first)
        walks, rig = recorded.walks, recorded.rig
    else:
        (height, width), rooms = config.core.image_size, config.episodes
        rig = RoomsRig(width, height=height, fov_x=rooms.fov_x, baseline=rooms.baseline)
        with ranks.first_before_others():
            walks = load_or_make(data, rooms, rig, device, eyes=config.core.eyes, quiet=not ranks.first)
    walks, held_out = walks.to(device).encoded(codec).split(config.episodes.validation)
    renders = None
    if config.recall.rendered:
        with ranks.first_before_others():
            renders = load_or_make_renders(data, walks, config, rig, quiet=not ranks.first).to(device)
    making = time.time() - began

    torch.manual_seed(config.seed)
    network = VideoNetwork(config.core).to(device)
    if config.initial:
        load_weights(config.initial).fill(network)

    unit_config = replace(config, batch=config.micro_batch or config.batch, micro_batch=0)

    def loss_at(model: nn.Module, step: int, unit: int) -> tuple[Tensor, dict[str, float]]:
        generator = step_generator(config.seed, step, device, unit)
        remembering = remembers(config, step)
        batch = make_batch(walks, unit_config, rig, generator, remembering=remembering, renders=renders)
        batch = with_own_rollouts(model, batch, config, generator)
        target, told = unpack(with_shortcut_targets(model, batch), batch.clean.shape[2:])
        beside = None if batch.vectors is None else batch.vectors.noisy
        predicted = model(batch.noisy, batch.conditions, batch.sight, first=config.clip, vectors=beside)
        loss, error = flow.loss(predicted.frames, target, batch.t)
        parallax = parallax_loss(predicted, batch, rgbd=config.core.rgbd)
        loss, shown = loss + config.parallax * parallax, {"error": error.mean().item(), "parallax": parallax.item()}
        if told is None:
            return loss, shown
        felt, error = vector_loss(predicted.vectors, told, batch.t)
        return loss + config.vectors * felt, {**shown, "vectors": error.mean().item()}

    def scores(average: dict[str, Tensor]) -> dict[str, float]:
        return validate(network, average, held_out, config, rig)

    def show(average: dict[str, Tensor], path: Path) -> None:
        film(average, held_out, config, rig, path)

    trained = optimise(network, loss_at, scores, config, folder, placement, show)
    if not ranks.first:
        return folder / f"{config.name}.safetensors"
    first = config.episodes.first_seed
    card = {
        "initial": config.initial or "random",
        "target_frames": config.steps * config.batch * config.clip,
        **({"training_seeds": [first, first + config.episodes.episodes - 1]} if recorded is None else recorded.card()),
        "seconds_making_episodes": round(making, 1),
        **trained.card,
    }
    if walks.latents is not None:
        card["codec_signature"] = [round(number, 5) for number in signature(codec)]
        card["deviation_of_latents"] = round(walks.latents.deviation, 4)
    return save_weights(folder, config.name, config.core, asdict(config), trained.average, card)
