"""Validation during training: next-frame PSNR on held-out rooms, one solver step, true past as context."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ..core.network import VideoNetwork
from .clips import make_batch, step_generator
from .config import TrainConfig
from .episodes import Episodes
from .rig import Rig


@torch.no_grad()
def validate(
    network: VideoNetwork,
    average: dict[str, Tensor],
    walks: Episodes,
    config: TrainConfig,
    rig: Rig,
    *,
    batches: int = 6,
) -> dict[str, float]:
    """PSNR in dB (mean of MSE over frames) of the averaged weights, beside copying the last frame and the bare warp.

    `video` has no recalled render; `grounded` has one; `warp` is the render itself where it knows anything. Of an
    rgb-d core these are of colours; `depth` is of the depth channel, grounded.
    Of a core of latents they are of latents -1…1.
    """
    own = {k: v.detach().clone() for k, v in network.state_dict().items()}
    network.load_state_dict(average)
    whole = replace(config, context_drop=0.0, shortcut=0.0, recall=replace(config.recall, drop=0.0))
    f = config.clip
    names = ("copy", "warp", "video", "grounded", *(("depth",) if config.core.rgbd else ()))
    sums: dict[str, float] = dict.fromkeys(names, 0.0)
    colours = slice(0, 3 if config.core.rgbd else None)
    device = next(network.parameters()).device
    for i in range(batches):
        batch = make_batch(walks, whole, rig, step_generator(config.seed + 1, 10**9 + i, device), at_use=True)
        blind = replace(
            batch.conditions,
            recall=torch.zeros_like(batch.conditions.recall),
            has_recall=torch.zeros_like(batch.conditions.has_recall),
        )
        shown = batch.conditions.recall[:, f:, : config.core.channels]
        # only frames with a whole window of context
        late = slice(config.core.window, f)
        true = batch.clean[:, late]
        before = batch.clean[:, config.core.window - 1 : f - 1]
        sums["copy"] += _mse(before[:, :, colours], true[:, :, colours])
        sums["warp"] += _mse(shown[:, late, colours], true[:, :, colours])
        for name, told in (("video", blind), ("grounded", batch.conditions)):
            beside = None if batch.vectors is None else batch.vectors.noisy
            predicted = network(batch.noisy, told, batch.sight, first=f, vectors=beside).frames
            predicted = (predicted if config.core.factor > 1 else predicted.clamp(-1, 1))[:, late]
            sums[name] += _mse(predicted[:, :, colours], true[:, :, colours])
            if config.core.rgbd and name == "grounded":
                sums["depth"] += _mse(predicted[:, :, 3:], true[:, :, 3:])
    network.load_state_dict(own)
    return {name: -10 * torch.tensor(total / batches).log10().item() for name, total in sums.items()}


def _mse(a: Tensor, b: Tensor) -> float:
    """Mean squared error of frames -1…1, on the scale 0…1."""
    return ((a - b) / 2).square().mean().item()
