"""The inverse model: two successive frames to a code of what was done between them, as a bell in the latent space."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .config import LatentConfig
from .matching import PARTS

LEAST, MOST = -8.0, 2.0  # bounds of the log variance of a code


class InverseModel(nn.Module):
    """Sees the frames themselves and how their parts match. Returns (mean, log variance) of the code.

    That it could tell the scene is intended: the bottleneck has to keep the scene out, not blindness.
    """

    def __init__(self, config: LatentConfig) -> None:
        super().__init__()
        self.config = config
        self.frames = nn.Sequential(
            nn.Conv2d(6, 24, 5, 2, 2), nn.GELU(), nn.Conv2d(24, 32, 3, 2, 1), nn.GELU(), nn.Conv2d(32, 16, 3, 1, 1)
        )
        self.parts = nn.Sequential(
            nn.Conv2d(16 + 3, 32, 3, 1, 1), nn.GELU(), nn.Conv2d(32, 16, 3, 1, 1), nn.GELU(), nn.Flatten()
        )
        self.head = nn.Sequential(
            nn.Linear((16 + 3) * PARTS**2, config.hidden), nn.GELU(), nn.Linear(config.hidden, 2 * config.dim)
        )

    def forward(
        self, before: Float[Tensor, "N 3 32 32"], after: Float[Tensor, "N 3 32 32"], match: Float[Tensor, "N 3 8 8"]
    ) -> tuple[Float[Tensor, "N d"], Float[Tensor, "N d"]]:
        seen = self.frames(torch.cat([before, after - before], 1))
        parts = self.parts(torch.cat([seen, match], 1))
        mean, spread = self.head(torch.cat([parts, match.flatten(1)], 1)).chunk(2, -1)
        return mean, spread.clamp(LEAST, MOST)


def drawn(
    mean: Float[Tensor, "N d"], spread: Float[Tensor, "N d"], noise: Float[Tensor, "N d"]
) -> Float[Tensor, "N d"]:
    """A code of the bell, by unit noise."""
    return mean + (spread / 2).exp() * noise


def rounded(mean: Float[Tensor, "N d"], grid: Float[Tensor, "d"]) -> Float[Tensor, "N d"]:
    """Codes without what training's noise hid: to whole multiples of each number's usual spread; where that is 0, as
    they are. Numbers that say nothing have a spread of about 1, and become 0."""
    step = torch.where(grid > 0, grid, 1.0)
    return torch.where(grid > 0, (mean / step).round() * step, mean)


def divergence(mean: Float[Tensor, "N d"], spread: Float[Tensor, "N d"]) -> Float[Tensor, "N"]:
    """Nats that a code tells: the bell's divergence from the unit one (Kingma & Welling 2014, appendix B)."""
    return 0.5 * (mean.square() + spread.exp() - 1 - spread).sum(-1)
