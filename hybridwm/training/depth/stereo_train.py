"""Training of the stereo network: which disparity, of all, is the true one (Luo et al. 2016)."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from recon.networks.stereo_network import StereoNetwork, similarities
from recon.networks.weights_file import write_weights

from ..clips import step_generator
from ..distributed import device_of
from ..loop import optimise
from .stereo_batches import StereoBatch, draw, whole
from .stereo_config import StereoPairsConfig, StereoTraining
from .stereo_worlds import StereoPairs, layered_pairs, room_pairs

EDGES, EDGE, REACH = 3.0, 2.0, 5  # further weight of pixels up to 5 from a step of 2 pixels of disparity, or a hole
NEAR = 0.6  # pixels, standard deviation of the disparities that are taught as true about the true one


def train(config: StereoTraining, folder: Path) -> Path:
    """Trains (or goes on training) in `folder` and returns the path of the published weights.

    Writes checkpoints/, metrics.jsonl and <name>.safetensors (averaged weights, fp16) with <name>.json.
    """
    device = device_of(config.device)
    if config.threads:
        torch.set_num_threads(config.threads)
    began = time.time()
    kinds, held_out = make_pairs(config.pairs)
    making = time.time() - began
    torch.manual_seed(config.seed)
    network = StereoNetwork(config.core).to(device)

    def loss_at(model: nn.Module, step: int, unit: int) -> tuple[Tensor, dict[str, float]]:
        generator = step_generator(config.seed, step, torch.device("cpu"))
        kind = int(torch.rand(1, generator=generator) < config.rooms_share)
        batch = draw(kinds[kind], config.batch, config.crop_height, config.crop_width, generator)
        return loss(network, batch, config.pairs.search)

    def scores(average: dict[str, Tensor]) -> dict[str, float]:
        judged = StereoNetwork(config.core).to(device)
        judged.load_state_dict(average)
        return validate(judged, held_out, config.pairs.search)

    trained = optimise(network, loss_at, scores, config, folder)
    first, kept = config.pairs.first_seed, config.pairs.validation_seed
    card = {
        "training_seeds": {
            "layered": [first, first + config.pairs.layered - 1],
            "rooms": [first, first + config.pairs.rooms - 1],
        },
        "validation_seeds": [kept, kept + config.pairs.validation - 1],
        "seconds_making_pairs": round(making, 1),
        **trained.card,
    }
    content = {"network": "stereo", "config": asdict(config.core), "training": asdict(config), "card": card}
    return write_weights(folder, config.name, trained.average, content)


def make_pairs(config: StereoPairsConfig) -> tuple[list[StereoPairs], list[StereoPairs]]:
    """(layered worlds, rooms) to train on, and of both those for validation."""

    def kinds(first: int, layered: int, rooms: int) -> list[StereoPairs]:
        seeds = range(first, first + layered)
        return [
            layered_pairs(seeds, config.height, config.width, config.search),
            room_pairs(range(first, first + rooms), config.search),
        ]

    return (
        kinds(config.first_seed, config.layered, config.rooms),
        kinds(config.validation_seed, config.validation, config.validation),
    )


def loss(network: StereoNetwork, batch: StereoBatch, search: int) -> tuple[Tensor, dict[str, float]]:
    """Cross entropy between the softmax over all disparities and a narrow bell about the true one, where both eyes see
    it, edges more than the rest; and the share of those pixels, in %, whose likeliest disparity is off by over a pixel.
    """
    device = next(network.parameters()).device
    left, right, disparity = (x.to(device) for x in (batch.left, batch.right, batch.disparity))
    with torch.autocast(device.type, torch.bfloat16):
        both = network(torch.cat([left, right]))
    likeness = similarities(both[: len(left)], both[len(left) :], search)
    columns = torch.arange(disparity.shape[2], device=device)
    known = (disparity > 0) & (disparity < search - 1) & (disparity <= columns)
    weight = (1 + EDGES * near_edge(disparity).float())[known]
    likeness, true = likeness[known], disparity[known]
    logs = (network.sharpness * likeness).log_softmax(-1)
    bell = target(true, search) * (likeness >= -1)  # nothing beyond the image is true
    entropy = -(weight * (bell * logs).sum(-1)).sum() / weight.sum()
    wrong = (likeness.detach().argmax(-1) - true).abs() > 1
    return entropy, {"wrong": 100 * float(wrong.float().mean())}


def near_edge(disparity: Float[Tensor, "B H W"]) -> Bool[Tensor, "B H W"]:
    """Where patches hold more than one surface: there a descriptor has to be its middle's."""
    highest, lowest = (torch.nn.functional.max_pool2d(d, 2 * REACH + 1, 1, REACH) for d in (disparity, -disparity))
    return highest + lowest > EDGE


def target(true: Float[Tensor, "P"], search: int) -> Float[Tensor, "P D"]:
    """Shares of the disparities 0..search - 1 within two pixels of the true one."""
    apart = torch.arange(search, device=true.device) - true[:, None]
    bell = torch.exp(-(apart**2) / (2 * NEAR**2)) * (apart.abs() < 2)
    return bell / bell.sum(-1, keepdim=True)


@torch.no_grad()
def validate(network: StereoNetwork, kinds: list[StereoPairs], search: int) -> dict[str, float]:
    """Loss, and the share of pixels in % that is wrong without any aggregation, of either kind of world."""
    scores = {}
    for name, pairs in zip(("layered", "rooms"), kinds, strict=True):
        values = []
        for i in range(len(pairs)):
            entropy, shown = loss(network, whole(pairs, i, torch.Generator().manual_seed(i)), search)
            values.append((float(entropy), shown["wrong"]))
        mean = torch.tensor(values).mean(0).tolist()
        scores |= {f"{name}_loss": mean[0], f"{name}_wrong": mean[1]}
    return scores
