"""The block-causal video transformer: every frame has its own noise level, and looks at itself and a few past frames.

One forward pass serves training, full-sequence sampling and cached steps. What a frame may look at is a table
(`Sight`), so that the same weights run with a clean context beside noisy targets, with fewer frames, or with a cache.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from .config import CoreConfig
from .embeddings import RayEmbedding, TimeEmbedding, patchify, rotary_angles, rotate, unpatchify


@dataclass(frozen=True)
class Page:
    """One past frame as the temporal layers see it: keys and values, written once, shared by forks.

    keys, values: [L, B, heads, n, head_dim], L temporal layers. step: the frame's place in time.
    """

    keys: Float[Tensor, "L B h n d"]
    values: Float[Tensor, "L B h n d"]
    step: int


@dataclass(frozen=True)
class Sight:
    """For each frame of a clip, which frames of the clip it may look at (itself among them).

    frames: [F, S] indices into the clip. visible: [B, F, S] false where an entry is not to be used.
    """

    frames: Int[Tensor, "F S"]
    visible: Bool[Tensor, "B F S"]

    @staticmethod
    def causal(batch: int, length: int, window: int, device: torch.device | None = None) -> Sight:
        """Each frame sees itself and the `window` frames before it."""
        index = torch.arange(length, device=device)[:, None] + torch.arange(-window, 1, device=device)
        return Sight(index.clamp(min=0), (index >= 0).expand(batch, -1, -1))


@dataclass(frozen=True)
class Conditions:
    """What each frame of a clip is told. Dropped conditions are zeros with `has_recall` false.

    t: flow time of each frame. steps: place in time. actions: the action that led to the frame. rays: each patch's
    ray seen from the camera of the frame before. recall: the scene rendered from the frame's camera, as
    (rgb for each eye in -1…1, alpha for each eye, observed share for each eye).
    """

    t: Float[Tensor, "B F"]
    steps: Int[Tensor, "B F"]
    actions: Float[Tensor, "B F a"]
    rays: Float[Tensor, "B F p 6"]
    recall: Float[Tensor, "B F r H W"]
    has_recall: Bool[Tensor, "B F"]


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


class Block(nn.Module):
    """DiT block with adaLN-zero. A temporal block also sees past frames; a spatial one sees its own frame."""

    def __init__(self, config: CoreConfig, *, temporal: bool) -> None:
        super().__init__()
        self.temporal = temporal
        dim = config.dim
        self.attention = Attention(dim, config.heads)
        self.mlp = nn.Sequential(
            nn.Linear(dim, config.mlp_ratio * dim), nn.GELU("tanh"), nn.Linear(config.mlp_ratio * dim, dim)
        )
        self.modulation = nn.Linear(dim, 6 * dim)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(
        self,
        x: Float[Tensor, "B F n d"],
        c: Float[Tensor, "B F d"],
        rotary: tuple[Tensor, Tensor],
        sight: Sight,
        past: tuple[Tensor, Tensor] | None,
    ) -> tuple[Tensor, tuple[Tensor, Tensor] | None]:
        shift, scale, gate, shift2, scale2, gate2 = self.modulation(c)[:, :, None].chunk(6, -1)
        dim = x.shape[-1:]
        q, k, v = self.attention.project(F.layer_norm(x, dim) * (1 + scale) + shift, *rotary)
        written = None
        if not self.temporal:
            y = self.attention.attend(q, k, v)
        elif past is not None:
            written = (k, v)
            y = self.attention.attend(q, torch.cat([past[0], k], 3), torch.cat([past[1], v], 3))
        else:
            written = (k, v)
            n, s = x.shape[2], sight.frames.shape[1]
            # [B, F, S, heads, n, h] -> [B, F, heads, S·n, h]: each frame's own table of keys
            keys = k[:, sight.frames].transpose(2, 3).flatten(3, 4)
            values = v[:, sight.frames].transpose(2, 3).flatten(3, 4)
            mask = sight.visible.flatten(0, 1)[:, None, None, :, None].expand(-1, -1, -1, s, n).flatten(3)
            y = self.attention.attend(q, keys, values, mask)
        x = x + gate * y
        x = x + gate2 * self.mlp(F.layer_norm(x, dim) * (1 + scale2) + shift2)
        return x, written


class VideoTransformer(nn.Module):
    """Predicts clean frames from noisy ones (x-prediction: with large patches ε and v fail; Li & He 2025).

    The head gives, for each pixel, a colour and a weight for the recalled render: a token is narrower than its patch,
    so detail that the scene remembers goes round the bottleneck, and what the scene gets wrong is painted over.
    """

    def __init__(self, config: CoreConfig) -> None:
        super().__init__()
        self.config = config
        pixels = config.patch**2
        self.embed_frame = nn.Linear(config.channels * pixels, config.dim)
        self.embed_recall = nn.Linear(config.recall_channels * pixels, config.dim)
        self.embed_rays = RayEmbedding(config.dim)
        self.position = nn.Parameter(torch.randn(config.tokens - 1, config.dim) * 0.02)
        self.embed_time = TimeEmbedding(config.dim)
        self.embed_action = nn.Sequential(
            nn.Linear(config.action_dim, config.dim), nn.SiLU(), nn.Linear(config.dim, config.dim)
        )
        self.embed_has_recall = nn.Embedding(2, config.dim)
        nn.init.normal_(self.embed_has_recall.weight, std=0.02)
        self.blocks = nn.ModuleList(Block(config, temporal=i % 2 == 1) for i in range(config.depth))
        self.final_modulation = nn.Linear(config.dim, 2 * config.dim)
        self.head = nn.Linear(config.dim, (config.channels + config.eyes) * pixels)
        for layer in (self.final_modulation, self.head):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(
        self,
        noisy: Float[Tensor, "B F C H W"],
        conditions: Conditions,
        sight: Sight | None = None,
        pages: tuple[Page, ...] | None = None,
    ) -> tuple[Float[Tensor, "B F C H W"], tuple[Tensor, Tensor]]:
        """Clean frames, and the keys and values [L, B, F, heads, n, h] that the temporal layers wrote.

        Without pages, frames look at each other as `sight` says (default: causal within the window). With pages
        (the cache; may be empty), F must be 1 and the frame looks at the pages and itself.
        """
        cfg = self.config
        b, f = noisy.shape[:2]
        if sight is None:
            sight = Sight.causal(b, f, cfg.window, noisy.device)
        tokens = self.embed_frame(patchify(noisy, cfg.patch)) + self.position
        tokens = tokens + self.embed_recall(patchify(conditions.recall, cfg.patch))
        tokens = tokens + self.embed_rays(conditions.rays)
        # metres and radians of one step are small numbers: bring them near one
        action = self.embed_action(4 * conditions.actions)
        c = self.embed_time(conditions.t) + action + self.embed_has_recall(conditions.has_recall.long())
        c = F.silu(c)
        x = torch.cat([action[:, :, None], tokens], 2)
        rotary = rotary_angles(
            conditions.steps, cfg.height // cfg.patch, cfg.width // cfg.patch, cfg.dim // cfg.heads
        )
        keys, values = [], []
        for block in self.blocks:
            past = None
            if pages is not None and block.temporal:
                past = self._past(pages, len(keys), x)
            x, written = block(x, c, rotary, sight, past)
            if written is not None:
                keys.append(written[0])
                values.append(written[1])
        shift, scale = self.final_modulation(c)[:, :, None].chunk(2, -1)
        out = self.head(F.layer_norm(x[:, :, 1:], x.shape[-1:]) * (1 + scale) + shift)
        colour, weight = unpatchify(out, cfg.patch, cfg.height, cfg.width).split([cfg.channels, cfg.eyes], 2)
        recalled, alpha = conditions.recall[:, :, : cfg.channels], conditions.recall[:, :, cfg.channels :]
        trust = (torch.tanh(weight) * alpha[:, :, : cfg.eyes]).repeat_interleave(3, 2)
        return colour + trust * (recalled - colour), (torch.stack(keys), torch.stack(values))

    def _past(self, pages: tuple[Page, ...], layer: int, x: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of the pages for one temporal layer, [B, 1, heads, pages·n, h]."""
        if not pages:
            cfg = self.config
            empty = x.new_zeros(x.shape[0], 1, cfg.heads, 0, cfg.dim // cfg.heads)
            return empty, empty
        return (
            torch.cat([page.keys[layer] for page in pages], 2)[:, None],
            torch.cat([page.values[layer] for page in pages], 2)[:, None],
        )

    def write_page(self, written: tuple[Tensor, Tensor], step: int) -> Page:
        """The page of a one-frame pass."""
        return Page(written[0][:, :, 0], written[1][:, :, 0], step)
