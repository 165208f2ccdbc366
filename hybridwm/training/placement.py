"""Where and how a step is computed: over which processes, in how many parts, with which arithmetic."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .config import TrainConfig
from .distributed import ALONE, Ranks


@dataclass(frozen=True)
class Placement:
    """units: equal parts of a batch, whose gradients are averaged. shard_above: parameters (see TrainConfig)."""

    ranks: Ranks = ALONE
    units: int = 1
    bf16: bool = False
    compiled: bool = False
    shard_above: int = 1_000_000_000


def placement_of(config: TrainConfig, ranks: Ranks, device: torch.device) -> Placement:
    """The configuration's placement. Raises ValueError for what only CUDA has, or a batch that cannot be shared."""
    cuda = device.type == "cuda"
    for name, asked in (("precision: bf16", config.precision == "bf16"), ("compile: true", config.compile)):
        if asked and not cuda:
            raise ValueError(
                f"{name}: expected a CUDA device; got {device.type}. Leave it out: the CPU trains in fp32."
            )
    ranks.own_units(config.units)
    bf16 = cuda and config.precision != "fp32"
    return Placement(ranks, config.units, bf16, config.compile, config.shard_above)
