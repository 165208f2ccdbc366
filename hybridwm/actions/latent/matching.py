"""Where each part of a frame was in the frame before: matching without anything learnt or labelled."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from .config import SIDE

PART = 4  # pixels of a side of a part
PARTS = SIDE // PART
REACH = 8  # pixels of the small frame
SOFT = 0.003  # squared difference at which another displacement is as good as none


def small(frames: Float[Tensor, "N h w 3"]) -> Float[Tensor, "N 3 32 32"]:
    """Frames 0…1 of any size, scaled by area."""
    return F.adaptive_avg_pool2d(frames.movedim(-1, 1), SIDE)


def matched(before: Float[Tensor, "N 3 32 32"], after: Float[Tensor, "N 3 32 32"]) -> Float[Tensor, "N 3 8 8"]:
    """Of each part of the frame after: expected displacement (x, y) since the frame before, in units of REACH, and the
    root of its smallest squared difference. Unchanged where channels are exchanged or inverted in both frames."""
    count = len(before)
    padded = F.pad(before, (REACH,) * 4, mode="replicate")
    reach = range(2 * REACH + 1)
    shifted = (padded[:, :, y : y + SIDE, x : x + SIDE] for y in reach for x in reach)
    costs = torch.stack([F.avg_pool2d((after - frame).square().mean(1, keepdim=True), PART) for frame in shifted], 1)
    costs = costs.view(count, -1, PARTS, PARTS)
    share = torch.softmax(-costs / SOFT, 1)
    steps = (torch.arange(2 * REACH + 1, dtype=share.dtype, device=share.device) - REACH) / REACH
    places = torch.stack([steps.repeat(2 * REACH + 1), steps.repeat_interleave(2 * REACH + 1)])
    moved = torch.einsum("ndhw,kd->nkhw", share, places)
    return torch.cat([moved, costs.amin(1, keepdim=True).sqrt()], 1)
