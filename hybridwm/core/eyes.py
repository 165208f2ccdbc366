"""Eyes with tokens of their own: folded into the batch, apart from an attention along the rows that they share.

In a rectified pair what one eye sees lies in the same row of the other one, so a token has but a row to look through
(horizontal row attention, as StereoWorld 2026 has it).
"""

from __future__ import annotations

import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from .clip import Sight
from .config import CoreConfig

EYES = 2


def fold(frames: Float[Tensor, "B F E *s"]) -> Float[Tensor, "BE F *s"]:
    """Eyes into the batch, the eyes of a clip side by side."""
    return frames.transpose(1, 2).flatten(0, 1)


def unfold(frames: Float[Tensor, "BE F *s"]) -> Float[Tensor, "B F E *s"]:
    """Inverse of `fold`."""
    return frames.unflatten(0, (-1, EYES)).transpose(1, 2)


def told_to_both(sight: Sight) -> Sight:
    """What each eye's frames may look at: what the clip's may."""
    return Sight(sight.frames, None if sight.visible is None else sight.visible.repeat_interleave(EYES, 0))


def to_page(keys: Float[Tensor, "L BE h n d"]) -> Float[Tensor, "L B h En d"]:
    """Keys or values of folded eyes as a page holds them, the left eye's first."""
    return rearrange(keys, "l (b e) h n d -> l b h (e n) d", e=EYES)


def from_page(keys: Float[Tensor, "B P h En d"]) -> Float[Tensor, "BE P h n d"]:
    """Inverse of `to_page`, for one layer of some pages."""
    return rearrange(keys, "b p h (e n) d -> (b e) p h n d", e=EYES)


class RowAttention(nn.Module):
    """Patches of one row of both eyes look at each other; the other tokens and rows are left alone."""

    def __init__(self, config: CoreConfig) -> None:
        super().__init__()
        self.rows, self.patches, self.heads = config.height // config.patch, config.patches, config.heads
        self.qkv, self.out = nn.Linear(config.dim, 3 * config.dim), nn.Linear(config.dim, config.dim)
        self.q_norm = nn.RMSNorm(config.dim // config.heads)
        self.k_norm = nn.RMSNorm(config.dim // config.heads)
        self.modulation = nn.Linear(config.dim, 3 * config.dim)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(self, x: Float[Tensor, "BE F n d"], c: Float[Tensor, "BE F d"]) -> Float[Tensor, "BE F n d"]:
        """What is to be added to x; zero before training."""
        shift, scale, gate = self.modulation(c)[:, :, None].chunk(3, -1)
        asks = F.layer_norm(x, x.shape[-1:]) * (1 + scale) + shift
        b, f = x.shape[0] // EYES, x.shape[1]
        q, k, v = rearrange(
            self.qkv(asks[:, :, -self.patches :]),
            "(b e) f (r w) (three h d) -> three (b f r) h (e w) d",
            e=EYES,
            r=self.rows,
            three=3,
            h=self.heads,
        )
        y = F.scaled_dot_product_attention(self.q_norm(q), self.k_norm(k), v)
        y = rearrange(y, "(b f r) h (e w) d -> (b e) f (r w) (h d)", b=b, f=f, e=EYES)
        return F.pad(gate * self.out(y), (0, 0, x.shape[2] - self.patches, 0))
