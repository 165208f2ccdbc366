"""What the network learns from itself: large solver steps from small ones, and to go on from its own frames."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..core import flow
from ..core.codec import settled
from ..core.vectors import pack, unpack
from .clips import Batch
from .config import TrainConfig


@torch.no_grad()
def with_shortcut_targets(network: nn.Module, batch: Batch) -> Float[Tensor, "B F c h w"]:
    """The clean frames to predict (packed with their vectors): true ones, and in the shortcut clips what two steps of
    half the size lead to."""
    clips = batch.shortcut.nonzero()[:, 0]
    target = pack(batch.clean, None if batch.vectors is None else batch.vectors.clean)
    if not len(clips):
        return target
    some = batch.take(clips)
    f, beside = batch.clean.shape[1], some.vectors

    def denoise(noisy: Tensor, t: Tensor, level: Tensor) -> Tensor:
        told = replace(
            some.conditions,
            t=torch.cat([some.conditions.t[:, :f], t], 1),
            level=torch.cat([some.conditions.level[:, :f], level], 1),
        )
        frames, vectors = unpack(noisy, batch.clean.shape[2:])
        if beside is not None and vectors is not None:
            vectors = torch.cat([beside.noisy[:, :f], vectors], 1)
        frames = torch.cat([some.noisy[:, :f], frames], 1)
        predicted = network(frames, told, some.sight, first=f, vectors=vectors)
        return pack(predicted.frames, predicted.vectors)

    start = pack(some.noisy[:, f:], None if beside is None else beside.noisy[:, f:])
    target = target.clone()
    target[clips] = flow.shortcut_target(denoise, start, some.t, some.conditions.level[:, f:])
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
        vectors = None
        if shown.vectors is not None:
            vectors = torch.cat([shown.vectors.noisy[:, :f], shown.vectors.noise[:, f:]], 1)
        own = network(start, told, batch.sight, first=f, vectors=vectors)
        shown = batch.showing(settled(own.frames, config.core), own.vectors)
    return shown
