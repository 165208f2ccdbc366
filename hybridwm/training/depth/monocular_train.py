"""Training of the monocular network: the median of log depth by absolute errors, their size by likelihood."""

from __future__ import annotations

import json
import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from recon.networks.monocular_unet import CANONICAL_FOCAL, DepthDistribution, MonocularUNet, pixel_places
from recon.networks.monocular_weights import PACKAGED, RIGHT, load_monocular, save_monocular
from recon.networks.weights_file import find_weights

from ...worlds.rooms.collision import generator
from ..distributed import device_of
from ..loop import optimise
from .monocular_config import MonocularTraining
from .monocular_sights import Sights, load_or_make, mirrored, recoloured


class Batch(NamedTuple):
    """What the network sees, and log depth in its canonical camera."""

    image: Float[Tensor, "B 3 H W"]
    place: Float[Tensor, "B 2 H W"]
    log_depth: Float[Tensor, "B H W"]


def train(config: MonocularTraining, folder: Path) -> Path:
    """Trains (or goes on training) in `folder` and returns the path of the published weights.

    Writes data/ (images), checkpoints/, metrics.jsonl and <name>.safetensors (averaged weights, fp16) with
    <name>.json (configuration, data seeds, steps, seconds, machine, validation).
    """
    device = device_of(config.device)
    if config.threads:
        torch.set_num_threads(config.threads)
    began = time.time()
    sights, held_out = load_or_make(folder / "data", config.sights, config.core.side)
    making = time.time() - began

    torch.manual_seed(config.seed)
    network = MonocularUNet(config.core).to(device)
    earlier: dict[str, Any] = {}
    if config.initial:
        file = find_weights(config.initial, PACKAGED)
        first_weights = load_monocular(file)
        if first_weights.config != config.core:
            raise ValueError(f"{file}: expected weights of the same sizes, {config.core}; got {first_weights.config}.")
        network.load_state_dict(first_weights.state_dict())
        network.widening.fill_(1.0)  # of the weights as they were
        earlier = json.loads(file.with_suffix(".json").read_text())["card"]

    def loss_at(model: nn.Module, step: int, unit: int) -> tuple[Tensor, dict[str, float]]:
        batch = batch_of(sights, config, step, device)
        with torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bfloat16"):
            found = network(batch.image, batch.place)
        return depth_loss(DepthDistribution(*(one.float() for one in found)), batch.log_depth, config.edges)

    def scores(average: dict[str, Tensor]) -> dict[str, float]:
        return validate(network, average, held_out)[0]

    trained = optimise(network, loss_at, scores, config, folder)
    final, widening = validate(network, trained.average, held_out)
    first = config.sights.first_seed
    card = {
        "initial": earlier or "random",
        "training_seeds": [first, first + config.sights.rooms - 1],
        "validation_seeds": [first + config.sights.rooms, first + config.sights.rooms + config.sights.validation - 1],
        "images": len(sights),
        "seconds_making_or_reading_images": round(making, 1),
        "widening": widening,
        "validation_at_the_end": final,
        **trained.card,
    }
    tensors = {**trained.average, "widening": torch.tensor(widening)}
    return save_monocular(folder, config.name, config.core, asdict(config), tensors, card)


def batch_of(sights: Sights, config: MonocularTraining, step: int, device: torch.device) -> Batch:
    """The images of a step, mirrored and recoloured by chance."""
    stream = generator(config.seed, step, 12)
    chosen = sights[torch.randint(len(sights), (config.batch,), generator=stream)]
    batch = prepared(mirrored(chosen, torch.rand(config.batch, generator=stream) < 0.5))
    image = recoloured(batch.image, config.plain, stream).contiguous(memory_format=torch.channels_last)
    return Batch(image.to(device), batch.place.to(device), batch.log_depth.to(device))


def prepared(sights: Sights) -> Batch:
    """Images as they are."""
    image = sights.rgb.permute(0, 3, 1, 2).float() / 255
    place = pixel_places(sights.principal, *sights.rgb.shape[1:3])
    return Batch(image, place, (sights.depth.float() * (CANONICAL_FOCAL / sights.focal)[:, None, None]).log())


def depth_loss(
    found: DepthDistribution, log_depth: Float[Tensor, "B H W"], edges: float
) -> tuple[Tensor, dict[str, float]]:
    """Mean absolute error of log depth and of its differences between neighbours, and the likelihood of the errors.

    The scale is fitted to the errors as they are and weighs nothing in the median's own gradient (Seitzer et al. 2022,
    equation 6 with beta = 1, for a Laplace distribution): otherwise what is easy would be learnt alone.
    """
    difference = found.log_depth - log_depth
    error = difference.abs()
    likelihood = found.scale.detach() * (error.detach() / found.scale + found.scale.log())
    steps = difference.diff(dim=1).abs().mean() + difference.diff(dim=2).abs().mean()
    loss = error.mean() + likelihood.mean() + edges * steps
    return loss, {"error": error.mean().item()}


@torch.no_grad()
def validate(network: MonocularUNet, average: dict[str, Tensor], held_out: Sights) -> tuple[dict[str, float], float]:
    """Scores in per cent of the averaged weights beside the best constant depth, and by how much wider the scale must
    be for the mean confidence to be the share that is right."""
    own = {name: value.detach().clone() for name, value in network.state_dict().items()}
    network.load_state_dict(average)
    device = network.head.weight.device
    errors, scales, truths = [], [], []
    for part in range(0, len(held_out), 64):
        batch = prepared(held_out[part : part + 64])
        found = network(batch.image.to(device), batch.place.to(device))
        truths.append(batch.log_depth.exp())
        errors.append((found.log_depth.cpu() - batch.log_depth).flatten())
        scales.append(found.scale.cpu().flatten())
    network.load_state_dict(own)
    error, scale, truth = torch.cat(errors), torch.cat(scales), torch.cat(truths).flatten()
    constant = (truth.median() / truth).log()
    scores = {
        "abs_rel": 100 * (error.exp() - 1).abs().mean().item(),
        "median": 100 * error.abs().median().item(),
        "right": 100 * right(error).mean().item(),
        "within_1.25": 100 * (error.abs() < math.log(1.25)).float().mean().item(),
        "confidence": 100 * (1 - (-RIGHT / scale).exp()).mean().item(),
        "abs_rel_constant": 100 * (constant.exp() - 1).abs().mean().item(),
    }
    return scores, widening_for(error, scale)


def right(error: Float[Tensor, "N"]) -> Float[Tensor, "N"]:
    """1 where the error of log depth is small enough to count as right."""
    return (error.abs() < RIGHT).float()


def widening_for(error: Float[Tensor, "N"], scale: Float[Tensor, "N"]) -> float:
    """The factor on the scale for which the mean confidence is the share that is right, by bisection."""
    share = float(right(error).mean())
    low, high = 0.1, 10.0
    for _ in range(40):
        middle = math.sqrt(low * high)
        confidence = float((1 - (-RIGHT / (middle * scale)).exp()).mean())
        low, high = (middle, high) if confidence > share else (low, middle)
    return math.sqrt(low * high)
