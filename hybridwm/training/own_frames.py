"""What the network learns from itself: large solver steps from small ones, and to go on from its own frames."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..core import flow
from ..core.codec import settled
from .clips import Batch
from .config import TrainConfig


@torch.no_grad()
def with_shortcut_targets(network: nn.Module, batch: Batch) -> Float[Tensor, "B F C H W"]:
    """The clean frames to predict: true ones, and in the shortcut clips what two steps of half the size lead to."""
    clips = batch.shortcut.nonzero()[:, 0]
    if not len(clips):
        return batch.clean
    some = batch.take(clips)
    f = batch.clean.shape[1]

    def denoise(noisy: Tensor, t: Tensor, level: Tensor) -> Tensor:
        told = replace(
            some.conditions,
            t=torch.cat([some.conditions.t[:, :f], t], 1),
            level=torch.cat([some.conditions.level[:, :f], level], 1),
        )
        return network(torch.cat([some.noisy[:, :f], noisy], 1), told, some.sight, first=f).frames

    target = batch.clean.clone()
    target[clips] = flow.shortcut_target(denoise, some.noisy[:, f:], some.t, some.conditions.level[:, f:])
    return target


@torch.no_grad()
def with_own_rollouts(network: nn.Module, batch: Batch, config: TrainConfig, generator: torch.Generator) -> Batch:
    """Now and then, the batch with frames of the network's own as context, some steps into a rollout of its own.

    After k rounds, a context frame was imagined from context frames that were imagined from … k deep; all frames of
    the clip at once. A function of the generator, so that resuming is exact.
    """
    device = generator.device
    chance, rounds = torch.rand(2, generator=generator, device=device).tolist()
    if chance >= config.own_rollouts:
        return batch
    f = batch.clean.shape[1]
    t, level = torch.ones_like(batch.t), torch.zeros_like(batch.conditions.level[:, f:])
    told = replace(
        batch.conditions,
        t=torch.cat([batch.conditions.t[:, :f], t], 1),
        level=torch.cat([batch.conditions.level[:, :f], level], 1),
    )
    shown = batch
    for _ in range(1 + int(rounds * config.own_steps)):
        start = torch.cat([shown.noisy[:, :f], batch.noise[:, f:]], 1)
        own = network(start, told, batch.sight, first=f).frames
        shown = batch.showing(settled(own, config.core))
    return shown
