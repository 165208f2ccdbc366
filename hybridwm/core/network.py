"""The video network: every frame has its own noise level, and looks at itself, a few past frames and what memory gives.

One forward pass serves training, joint sampling of several frames and cached steps. What a frame may look at is a
table (`Sight`), so that the same weights run with a clean context beside noisy targets, with fewer frames, or with
cached pages of the past.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from .blocks import Block, Written
from .carry import TYPICAL, carry
from .clip import Conditions, Page, RememberedTokens, Sight
from .config import CoreConfig
from .embeddings import RayEmbedding, TimeEmbedding, ray_map, rotary_angles
from .ends import ConvEnds, PatchEnds

# What the head says of each pixel of each eye: colour, trust in the recalled render and in the carried frame, inverse
# depth, and where else in the frame before to look.
TOLD = 8
FURTHEST = 6.0
"""Pixels that the head may look away from where geometry says."""


class VideoNetwork(nn.Module):
    """Predicts clean frames from noisy ones (x-prediction: with large patches ε and v fail; Li & He 2025).

    A token is narrower than its patch, so detail goes round the tokens: the head gives, for each pixel, a colour,
    and weights for the frame before (carried to the present camera) and for the recalled render.
    """

    def __init__(self, config: CoreConfig) -> None:
        super().__init__()
        self.config = config
        eyes, dim = config.eyes, config.dim
        ends = ConvEnds if config.ends == "conv" else PatchEnds
        # noisy frame, recalled render, carried frame and where it shows anything
        self.ends = ends(config, config.channels + config.recall_channels + 4 * eyes, TOLD * eyes)
        self.embed_rays = RayEmbedding(dim)
        self.position = nn.Parameter(torch.randn(config.tokens - 1, dim) * 0.02)
        self.embed_time = TimeEmbedding(dim)
        self.embed_previous_time = TimeEmbedding(dim)
        self.embed_level = nn.Embedding(config.levels, dim)
        self.embed_action = nn.Sequential(nn.Linear(config.action_dim, dim), nn.SiLU(), nn.Linear(dim, dim))
        self.embed_has_recall = nn.Embedding(2, dim)
        for embedding in (self.embed_level, self.embed_has_recall):
            nn.init.normal_(embedding.weight, std=0.02)
        self.embed_remembered = nn.Linear(config.channels * config.patch**2, dim)
        self.remembered_mlp = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, 2 * dim), nn.GELU("tanh"))
        self.remembered_out = nn.Linear(2 * dim, dim)
        self.blocks = nn.ModuleList(Block(config, temporal=i % 2 == 1) for i in range(config.depth))

    def forward(
        self,
        noisy: Float[Tensor, "B F C H W"],
        conditions: Conditions,
        sight: Sight | None = None,
        pages: tuple[Page, ...] = (),
        *,
        first: int = 0,
    ) -> Float[Tensor, "B G C H W"]:
        """Clean frames, of those from `first` on. All look at each other and at the pages (the cache) as `sight` says
        (default: causal within the window, and all of the pages)."""
        cfg = self.config
        b, f = noisy.shape[:2]
        if sight is None:
            sight = Sight.causal(b, len(pages), f, max(cfg.window, len(pages)), noisy.device)
        previous, shown, c, tokens, skip = self._enter(noisy, conditions, sight, pages)
        x = self._blocks(tokens, c, conditions, sight, pages)
        told = self.ends.decode(x[:, first:, 1:], skip if skip is None else skip[:, first:], c[:, first:])
        told = told.unflatten(2, (cfg.eyes, TOLD))
        colour, weights, rho, shift = told.split([3, 2, 1, 2], 3)
        trust = torch.tanh(weights)
        carried, inside = carry(
            previous[:, first:],
            _each_eye(conditions.K[:, first:], cfg.eyes),
            conditions.motion[:, first:],
            TYPICAL * torch.exp(2 * torch.tanh(rho[:, :, :, 0])),
            FURTHEST * torch.tanh(shift),
        )
        out = colour + (trust[:, :, :, 1:] * (inside & shown[:, first:])[:, :, :, None]) * (carried - colour)
        recalled, alpha = conditions.recall[:, first:].split([cfg.channels, cfg.recall_channels - cfg.channels], 2)
        alpha = alpha[:, :, : cfg.eyes, None]
        out = out + trust[:, :, :, :1] * alpha * (recalled.unflatten(2, (cfg.eyes, 3)) - out)
        return out.flatten(2, 3)

    def write(
        self,
        noisy: Float[Tensor, "B 1 C H W"],
        conditions: Conditions,
        pages: tuple[Page, ...],
        step: int,
    ) -> Page:
        """The page of a frame that is shown at its flow time, after the given pages; the head is left out."""
        sight = Sight.causal(noisy.shape[0], len(pages), 1, len(pages), noisy.device)
        _, _, c, tokens, _ = self._enter(noisy, conditions, sight, pages)
        written: list[Written] = []
        self._blocks(tokens, c, conditions, sight, pages, written)
        keys, values = (torch.stack([layer[i][:, 0] for layer in written]) for i in (0, 1))
        return Page(keys, values, noisy[:, 0], float(conditions.t[0, 0]), step)

    def _enter(
        self, noisy: Tensor, conditions: Conditions, sight: Sight, pages: tuple[Page, ...]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None]:
        """The frame before each frame (of each eye), whether there is one, the modulation vector, tokens, skip."""
        cfg = self.config
        b = noisy.shape[0]
        frames = torch.cat([*(page.frame[:, None] for page in pages), noisy], 1)
        times = torch.cat([*(conditions.t.new_full((b, 1), page.t) for page in pages), conditions.t], 1)
        has = sight.has_previous(b)
        before = sight.frames[:, max(sight.frames.shape[1] - 2, 0)]
        previous, t_previous = frames[:, before], torch.where(has, times[:, before], 1.0)
        previous = previous.unflatten(2, (cfg.eyes, 3))
        shown = has[:, :, None, None, None]
        K = _each_eye(conditions.K, cfg.eyes)
        h, w = noisy.shape[-2:]
        typical = noisy.new_full((*previous.shape[:3], h, w), TYPICAL)
        carried, inside = carry(previous, K, conditions.motion, typical)
        known = (inside & shown)[:, :, :, None].to(noisy.dtype)
        hint = torch.cat([carried * known, known], 3).flatten(2, 3)

        # metres and radians of one step are small numbers: bring them near one
        action = self.embed_action(4 * conditions.actions)
        c = self.embed_time(conditions.t) + self.embed_previous_time(t_previous) + action
        c = c + self.embed_level(conditions.level) + self.embed_has_recall(conditions.has_recall.long())
        c = F.silu(c)
        tokens, skip = self.ends.encode(torch.cat([noisy, conditions.recall, hint], 2), c)
        rays = ray_map(conditions.K, conditions.motion[:, :, 0], patch=cfg.patch, width=w, height=h)
        tokens = tokens + self.position + self.embed_rays(rays)
        return previous, shown, c, torch.cat([action[:, :, None], tokens], 2), skip

    def _blocks(
        self,
        x: Tensor,
        c: Tensor,
        conditions: Conditions,
        sight: Sight,
        pages: tuple[Page, ...],
        written: list[Written] | None = None,
    ) -> Tensor:
        """The tokens after the blocks. With a list to write into, stops when its last entry is written."""
        cfg = self.config
        rotary = rotary_angles(
            conditions.steps, cfg.height // cfg.patch, cfg.width // cfg.patch, cfg.dim // cfg.heads
        )
        remembered = None if conditions.remembered is None else self._remembered(conditions.remembered)
        layers = len(self.blocks) // 2
        layer = 0
        for block in self.blocks:
            past = None
            if pages and block.temporal:
                past = (
                    torch.stack([page.keys[layer] for page in pages], 1),
                    torch.stack([page.values[layer] for page in pages], 1),
                )
            last = written is not None and block.temporal and layer == layers - 1
            x, wrote = block(x, c, rotary, sight, past, remembered, write_only=last)
            if wrote is not None:
                layer += 1
                if written is not None:
                    written.append(wrote)
            if last:
                break
        return x

    def _remembered(self, told: RememberedTokens) -> tuple[Tensor, Tensor]:
        tokens = self.embed_remembered(told.patches)[:, None] + self.embed_rays(told.rays)
        return tokens + self.remembered_out(self.remembered_mlp(tokens)), told.visible


def _each_eye(K: Float[Tensor, "B F 3 3"], eyes: int) -> Float[Tensor, "B F E 3 3"]:
    return K[:, :, None].expand(-1, -1, eyes, -1, -1)
