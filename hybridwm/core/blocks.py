"""DiT blocks over the tokens of frames: within a frame, over past frames, and over remembered frames."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from .clip import Sight
from .config import CoreConfig
from .embeddings import rotate
from .eyes import RowAttention

Written = tuple[Tensor, Tensor]
"""Keys and values of a clip's frames, [B, F, heads, n, head_dim] each."""


class Attention(nn.Module):
    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)
        # normalised queries and keys keep few-hundred-step, high-rate training stable (Dehghani et al. 2023)
        self.q_norm = nn.RMSNorm(dim // heads)
        self.k_norm = nn.RMSNorm(dim // heads)

    def project(self, x: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[B, F, n, d] to rotated queries, keys and values [B, F, heads, n, head_dim]."""
        b, f, n, d = x.shape
        q, k, v = self.qkv(x).view(b, f, n, 3, self.heads, d // self.heads).permute(3, 0, 1, 4, 2, 5)
        cos, sin = cos[:, :, None], sin[:, :, None]
        return rotate(self.q_norm(q), cos, sin), rotate(self.k_norm(k), cos, sin), v

    def attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
        """Queries [B, F, heads, n, h] over keys [B, F, heads, m, h]; returns [B, F, n, d]."""
        b, f = q.shape[:2]
        y = F.scaled_dot_product_attention(q.flatten(0, 1), k.flatten(0, 1), v.flatten(0, 1), attn_mask=mask)
        return self.out(y.transpose(1, 2).reshape(b, f, q.shape[3], -1))


class RecollectionAttention(nn.Module):
    """A frame's tokens look at remembered patches; a learned key that stands for none of them is always there.

    This is the inter-clip layer of Loopy (Jiang et al. 2024); the attention over recent frames is the intra-clip one.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q, self.kv, self.out = nn.Linear(dim, dim), nn.Linear(dim, 2 * dim), nn.Linear(dim, dim)
        self.q_norm = nn.RMSNorm(dim // heads)
        self.k_norm = nn.RMSNorm(dim // heads)
        self.nothing = nn.Parameter(torch.randn(2, heads, 1, dim // heads) * 0.02)

    def forward(
        self,
        x: Float[Tensor, "B F n d"],
        remembered: Float[Tensor, "B F m d"],
        visible: Bool[Tensor, "B m"],
    ) -> Float[Tensor, "B F n d"]:
        b, f, n, d = x.shape
        q = self.q_norm(self.q(x).view(b * f, n, self.heads, -1).transpose(1, 2))
        k, v = self.kv(remembered).view(b * f, -1, 2, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        none_k, none_v = (part.expand(b * f, -1, -1, -1) for part in self.nothing)
        k, v = torch.cat([none_k, self.k_norm(k)], 2), torch.cat([none_v, v], 2)
        mask = F.pad(visible, (1, 0), value=True).repeat_interleave(f, 0)[:, None, None]
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.out(y.transpose(1, 2).reshape(b, f, n, d))


class Block(nn.Module):
    """DiT block with adaLN-zero (Peebles & Xie 2023). A spatial one sees its own frame; a temporal one past frames,
    and before them remembered ones."""

    def __init__(self, config: CoreConfig, *, temporal: bool) -> None:
        super().__init__()
        self.temporal = temporal
        dim = config.dim
        self.attention = Attention(dim, config.heads)
        self.recollection = RecollectionAttention(dim, config.heads) if temporal else None
        self.cross_eye = RowAttention(config) if config.cross_eye == "rows" else None
        self.mlp = nn.Sequential(
            nn.Linear(dim, config.mlp_ratio * dim), nn.GELU("tanh"), nn.Linear(config.mlp_ratio * dim, dim)
        )
        self.modulation = nn.Linear(dim, (9 if temporal else 6) * dim)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(
        self,
        x: Float[Tensor, "B F n d"],
        c: Float[Tensor, "B F d"],
        rotary: tuple[Tensor, Tensor],
        sight: Sight,
        past: Written | None,
        remembered: tuple[Tensor, Tensor] | None,
        *,
        write_only: bool = False,
    ) -> tuple[Tensor, Written | None]:
        """The tokens after the block, and what a temporal block writes into pages.

        past: keys and values of the pages [B, P, heads, n, h]. write_only: stop when the page is written.
        """
        parts = self.modulation(c)[:, :, None].chunk(9 if self.temporal else 6, -1)
        shift, scale, gate, shift2, scale2, gate2 = parts[:6]
        dim = x.shape[-1:]
        if self.recollection is not None and remembered is not None:
            shift3, scale3, gate3 = parts[6:]
            first = x.shape[1] - remembered[0].shape[1]
            asks = F.layer_norm(x[:, first:], dim) * (1 + scale3[:, first:]) + shift3[:, first:]
            x = torch.cat([x[:, :first], x[:, first:] + gate3[:, first:] * self.recollection(asks, *remembered)], 1)
        q, k, v = self.attention.project(F.layer_norm(x, dim) * (1 + scale) + shift, *rotary)
        if self.temporal and write_only:
            return x, (k, v)
        y = self._past(q, k, v, sight, past) if self.temporal else self.attention.attend(q, k, v)
        # beside the block's own attention, so that in one block an eye tells the other of its rows and no more
        across = 0 if self.cross_eye is None else self.cross_eye(x, c)
        x = x + gate * y + across
        x = x + gate2 * self.mlp(F.layer_norm(x, dim) * (1 + scale2) + shift2)
        return x, (k, v) if self.temporal else None

    def _past(self, q: Tensor, k: Tensor, v: Tensor, sight: Sight, past: Written | None) -> Tensor:
        if past is not None:
            k, v = torch.cat([past[0], k], 1), torch.cat([past[1], v], 1)
        n, s = q.shape[3], sight.frames.shape[1]
        # [B, F, S, heads, n, h] -> [B, F, heads, S·n, h]: each frame's own table of keys
        keys = k[:, sight.frames].transpose(2, 3).flatten(3, 4)
        values = v[:, sight.frames].transpose(2, 3).flatten(3, 4)
        if sight.visible is None:
            return self.attention.attend(q, keys, values)
        mask = sight.visible.flatten(0, 1)[:, None, None, :, None].expand(-1, -1, -1, s, n).flatten(3)
        return self.attention.attend(q, keys, values, mask)
