"""The last layers of the head: convolutions over pixels, where tokens see only their own patch.

A token tells its patch without knowing what the next one tells, and it is narrower than the patch, so it cannot say
which single pixels of a recalled render are wrong. These layers see all that a pixel may be taken from, side by side:
they mend the seams between patches, find pixels that agree with nothing around them, and carry the noisy frame's own
detail, which samplers of several steps need.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from .config import CoreConfig


class Finish(nn.Module):
    """Corrections of what the tokens told of pixels, for each eye apart; none at initialisation."""

    def __init__(self, config: CoreConfig, trusts: int) -> None:
        super().__init__()
        c, width = config.eye_channels, config.finish
        # at half of the resolution the same work reaches twice as far
        self.shrink = 2 if config.patch % 2 == 0 else 1
        area = self.shrink**2
        # noisy, told, recalled and carried colours, their blend; alpha, where carried shows anything; trusts
        self.enter = nn.Conv2d((5 * c + 2 + trusts) * area, width, 3, padding=1)
        self.modulation = nn.Linear(config.dim, 2 * width)
        self.middle = nn.Conv2d(width, width, 3, padding=1)
        self.out = nn.Conv2d(width, (c + trusts) * area, 3, padding=1)
        for layer in (self.modulation, self.out):
            assert layer.bias is not None
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(
        self, planes: Float[Tensor, "B F E n H W"], c: Float[Tensor, "B F d"]
    ) -> Float[Tensor, "B F E o H W"]:
        """What to add to the colour and to the trusts of each pixel. c: the frame's modulation vector."""
        b, f, e = planes.shape[:3]
        shift, scale = self.modulation(c).repeat_interleave(e, 1).flatten(0, 1)[:, :, None, None].chunk(2, 1)
        x = F.pixel_unshuffle(planes.flatten(0, 2), self.shrink).contiguous(memory_format=torch.channels_last)
        x = F.silu(self.enter(x) * (1 + scale) + shift)
        x = x + F.silu(self.middle(x))
        return F.pixel_shuffle(self.out(x), self.shrink).unflatten(0, (b, f, e))
