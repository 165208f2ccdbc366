"""How well the carried frame fits, for the network's inverse depth to be learned sooner than by its share in frames."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ..core.network import Prediction
from .clips import Batch

COARSE = 4
"""Pixels of the averages that are compared beside the pixels: they draw a point that is further off than texture is."""
NOISIEST = 0.3
"""Frames shown at more noise than this tell nothing of where they should be carried."""


def parallax_loss(predicted: Prediction, batch: Batch, *, rgbd: bool = False) -> Float[Tensor, ""]:
    """Squared difference of the carried frame and the true one, fine and coarse, where it shows anything
    (photometric consistency; Zhou et al. 2017). Depth is not looked at."""
    f = batch.clean.shape[1]
    t_context = batch.conditions.t[:, :f]
    t_previous = torch.cat([torch.ones_like(t_context[:, :1]), t_context[:, :-1]], 1)
    clean, carried = batch.clean.unflatten(2, predicted.carried.shape[2:4]), predicted.carried
    if rgbd:
        # the colours of a point stay as the camera moves, its depth does not
        clean, carried = clean[:, :, :, :3], carried[:, :, :, :3]
    known = (predicted.inside & (t_previous < NOISIEST)[:, :, None, None, None]).float()[:, :, :, None]
    difference = ((carried - clean) * known).flatten(0, 2)
    coarse = F.avg_pool2d(difference, COARSE)
    share = known.mean().clamp(min=1e-3)
    return (difference.square().mean() + coarse.square().mean()) / share
