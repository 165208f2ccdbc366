"""The video network: every frame has its own noise level, and looks at itself, a few past frames and what memory gives.

One forward pass serves training, joint sampling of several frames and cached steps. What a frame may look at is a
table (`Sight`), so that the same weights run with a clean context beside noisy targets, with fewer frames, or with
cached pages of the past.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from .blocks import Block, Written
from .carry import TYPICAL, carry
from .clip import Conditions, Page, RememberedTokens, Sight
from .config import CoreConfig
from .embeddings import RayEmbedding, TimeEmbedding, patchify, ray_map, rotary_angles, unpatchify
from .eyes import fold, from_page, to_page, told_to_both, unfold
from .finish import Finish
from .vectors import VectorTokens

# What is told of each pixel of each eye beside its colour: trust in the recalled render and in the carried frame.
TRUSTS = 2
# What is told of each quarter of a patch of each eye: inverse depth, and where else in the frame before to look.
PARALLAX = 3
FURTHEST = 6.0
"""Pixels that may be looked away from where geometry says."""


class Prediction(NamedTuple):
    """frames: clean ones. carried: the frame before, of each eye, as it is taken to be seen now; inside: where it
    shows anything. vectors: clean ones, where the configuration has any."""

    frames: Float[Tensor, "B G C H W"]
    carried: Float[Tensor, "B G E c H W"]
    inside: Bool[Tensor, "B G E H W"]
    vectors: Float[Tensor, "B G v"] | None = None


class VideoNetwork(nn.Module):
    """Predicts clean frames from noisy ones (x-prediction: with large patches ε and v fail; Li & He 2025).

    A token is narrower than its patch, so detail goes round the tokens: the head gives, for each pixel, a colour,
    and weights for the frame before (carried to the present camera) and for the recalled render.
    """

    def __init__(self, config: CoreConfig) -> None:
        super().__init__()
        self.config = config
        eyes, dim, folds = config.eyes, config.dim, config.folds
        pixels = config.patch**2
        # noisy frame, recalled render, carried frame and where it shows anything
        self.embed_frame = nn.Linear((2 * config.channels + config.recall_channels + eyes) // folds * pixels, dim)
        self.embed_rays = RayEmbedding(dim)
        self.position = nn.Parameter(torch.randn(config.patches, dim) * 0.02)
        self.embed_time = TimeEmbedding(dim)
        self.embed_previous_time = TimeEmbedding(dim)
        self.embed_level = nn.Embedding(config.levels, dim)
        self.embed_action = nn.Sequential(nn.Linear(config.action_dim, dim), nn.SiLU(), nn.Linear(dim, dim))
        self.embed_has_recall = nn.Embedding(2, dim)
        for embedding in (self.embed_level, self.embed_has_recall):
            nn.init.normal_(embedding.weight, std=0.02)
        self.eye = nn.Parameter(torch.randn(folds, 1, 1, dim) * 0.02) if folds > 1 else None
        self.vectors = VectorTokens(config) if config.vectors else None
        self.embed_remembered = nn.Linear(config.channels * config.patch**2, dim)
        self.remembered_mlp = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, 2 * dim), nn.GELU("tanh"))
        self.remembered_out = nn.Linear(2 * dim, dim)
        self.blocks = nn.ModuleList(Block(config, temporal=i % 2 == 1) for i in range(config.depth))
        self.final_modulation = nn.Linear(dim, 2 * dim)
        self.head = nn.Linear(dim, (config.channels + TRUSTS * eyes) // folds * pixels)
        self.parallax = nn.Linear(dim, PARALLAX * eyes // folds * 4)
        self.finish = Finish(config, TRUSTS) if config.finish else None
        for layer in (self.final_modulation, self.head, self.parallax):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(
        self,
        noisy: Float[Tensor, "B F C H W"],
        conditions: Conditions,
        sight: Sight | None = None,
        pages: tuple[Page, ...] = (),
        *,
        first: int = 0,
        vectors: Float[Tensor, "B F v"] | None = None,
    ) -> Prediction:
        """Clean frames, of those from `first` on. All look at each other and at the pages (the cache) as `sight` says
        (default: causal within the window, and all of the pages). vectors: the noisy ones beside the noisy frames."""
        cfg = self.config
        b, f = noisy.shape[:2]
        if sight is None:
            sight = Sight.causal(b, len(pages), f, max(cfg.window, len(pages)), noisy.device)
        previous, shown, c, tokens = self._enter(noisy, conditions, sight, pages, vectors)
        x = self._blocks(tokens, c, conditions, sight, pages)
        x = self._modulated(x[:, first:], c[:, first:])
        told, (rho, shift) = self._told(x[:, :, -cfg.patches :])
        carried, inside = carry(
            previous[:, first:],
            _each_eye(conditions.K[:, first:], cfg.eyes),
            conditions.motion[:, first:],
            TYPICAL * torch.exp(2 * torch.tanh(rho[:, :, :, 0])),
            FURTHEST * torch.tanh(shift),
        )
        inside = inside & shown[:, first:]
        recalled, alpha = conditions.recall[:, first:].split([cfg.channels, cfg.recall_channels - cfg.channels], 2)
        recalled, alpha = _by_eye(recalled, cfg), alpha[:, :, : cfg.eyes, None]
        known = inside[:, :, :, None].to(told.dtype)
        out = _blend(told, carried, known, recalled, alpha)
        if self.finish is not None:
            # what is noise alone has nothing to tell of single pixels, and would go through to them
            kept = (1 - conditions.t[:, first:])[:, :, None, None, None, None] * _by_eye(noisy[:, first:], cfg)
            planes = torch.cat([kept, told, carried, known, recalled, alpha, out], 3)
            told = told + self.finish(planes, c[:: cfg.folds, first:])
            out = _blend(told, carried, known, recalled, alpha)
        beside = None if self.vectors is None else self.vectors.told(x[:, :, 1 : -cfg.patches])
        if beside is not None and cfg.folds > 1:
            beside = unfold(beside).mean(2)
        return Prediction(out.flatten(2, 3), carried, inside, beside)

    def _modulated(self, tokens: Float[Tensor, "B F n d"], c: Float[Tensor, "B F d"]) -> Float[Tensor, "B F n d"]:
        shift, scale = self.final_modulation(c)[:, :, None].chunk(2, -1)
        return F.layer_norm(tokens, tokens.shape[-1:]) * (1 + scale) + shift

    def _told(
        self, tokens: Float[Tensor, "_B F n d"]
    ) -> tuple[Float[Tensor, "B F E o H W"], tuple[Float[Tensor, "B F E 1 H W"], Float[Tensor, "B F E 2 H W"]]]:
        """What is told of pixels, and of the parallax: in cells, and between them smoothly."""
        cfg = self.config
        b = tokens.shape[0]
        pixels = unpatchify(self.head(tokens), cfg.patch, cfg.height, cfg.width)
        rows, columns = cfg.height // cfg.patch, cfg.width // cfg.patch
        cells = unpatchify(self.parallax(tokens), 2, 2 * rows, 2 * columns)
        smooth = F.interpolate(cells.flatten(0, 1), (cfg.height, cfg.width), mode="bilinear")
        parallax = smooth.unflatten(0, (b, -1))
        if cfg.folds > 1:
            pixels, parallax = unfold(pixels), unfold(parallax)
        else:
            pixels, parallax = (each.unflatten(2, (cfg.eyes, -1)) for each in (pixels, parallax))
        rho, away = parallax.split([1, 2], 3)
        return pixels, (rho, away)

    def write(
        self,
        noisy: Float[Tensor, "B 1 C H W"],
        conditions: Conditions,
        pages: tuple[Page, ...],
        *,
        t: float,
        step: int,
        vectors: Float[Tensor, "B 1 v"] | None = None,
    ) -> Page:
        """The page of a frame that is shown at flow time t (which `conditions` tell too), after the given pages; the
        head is left out."""
        sight = Sight.causal(noisy.shape[0], len(pages), 1, len(pages), noisy.device)
        _, _, c, tokens = self._enter(noisy, conditions, sight, pages, vectors)
        written: list[Written] = []
        self._blocks(tokens, c, conditions, sight, pages, written)
        keys, values = (torch.stack([layer[i][:, 0] for layer in written]) for i in (0, 1))
        if self.config.folds > 1:
            keys, values = to_page(keys), to_page(values)
        return Page(keys, values, noisy[:, 0], t, step)

    def _enter(
        self, noisy: Tensor, conditions: Conditions, sight: Sight, pages: tuple[Page, ...], vectors: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The frame before each frame (of each eye), whether there is one, the modulation vector, the tokens."""
        cfg = self.config
        b = noisy.shape[0]
        frames = torch.cat([*(page.frame[:, None] for page in pages), noisy], 1)
        times = torch.cat([*(conditions.t.new_full((b, 1), page.t) for page in pages), conditions.t], 1)
        has = sight.has_previous(b)
        before = sight.frames[:, max(sight.frames.shape[1] - 2, 0)]
        previous, t_previous = frames[:, before], torch.where(has, times[:, before], 1.0)
        previous = _by_eye(previous, cfg)
        shown = has[:, :, None, None, None]
        K = _each_eye(conditions.K, cfg.eyes)
        h, w = noisy.shape[-2:]
        typical = noisy.new_full((*previous.shape[:3], h, w), TYPICAL)
        carried, inside = carry(previous, K, conditions.motion, typical)
        known = (inside & shown)[:, :, :, None].to(noisy.dtype)
        hint = torch.cat([carried * known, known], 3)

        # metres and radians of one step are small numbers: bring them near one
        action = self.embed_action(4 * conditions.actions)
        c = self.embed_time(conditions.t) + self.embed_previous_time(t_previous) + action
        c = c + self.embed_level(conditions.level) + self.embed_has_recall(conditions.has_recall.long())
        c = F.silu(c)
        if self.eye is None:
            planes = torch.cat([noisy, conditions.recall, hint.flatten(2, 3)], 2)
            rays = ray_map(conditions.K, conditions.motion[:, :, 0], patch=cfg.patch, width=w, height=h)
        else:
            planes = fold(torch.cat([_by_eye(noisy, cfg), _recall_by_eye(conditions.recall, cfg), hint], 3))
            rays = fold(ray_map(K, conditions.motion, patch=cfg.patch, width=w, height=h))
            c, action = (told.repeat_interleave(cfg.folds, 0) for told in (c, action))
            vectors = None if vectors is None else vectors.repeat_interleave(cfg.folds, 0)
        tokens = self.embed_frame(patchify(planes, cfg.patch)) + self.position + self.embed_rays(rays)
        if self.eye is not None:
            tokens = tokens + self.eye.repeat(b, 1, 1, 1)
        first = [action[:, :, None]]
        if self.vectors is not None:
            if vectors is None:
                raise ValueError(
                    f"VideoNetwork: expected {cfg.vector_size} numbers of vectors beside frames; got None."
                )
            first.append(self.vectors.embedded(vectors))
        return previous, shown, c, torch.cat([*first, tokens], 2)

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
        rows, columns = cfg.height // cfg.patch, cfg.width // cfg.patch
        corner = cfg.tokens - cfg.patches
        cos, sin = rotary_angles(conditions.steps, rows, columns, cfg.dim // cfg.heads, corner)
        remembered = None if conditions.remembered is None else self._remembered(conditions.remembered)
        if cfg.folds > 1:
            sight = told_to_both(sight)
            cos, sin = (angle.repeat_interleave(cfg.folds, 0) for angle in (cos, sin))
            if remembered is not None:
                remembered = tuple(part.repeat_interleave(cfg.folds, 0) for part in remembered)
        layers = len(self.blocks) // 2
        layer = 0
        for block in self.blocks:
            past = None
            if pages and block.temporal:
                past = (
                    torch.stack([page.keys[layer] for page in pages], 1),
                    torch.stack([page.values[layer] for page in pages], 1),
                )
                if cfg.folds > 1:
                    past = from_page(past[0]), from_page(past[1])
            last = written is not None and block.temporal and layer == layers - 1
            x, wrote = block(x, c, (cos, sin), sight, past, remembered, write_only=last)
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


def _blend(
    told: Float[Tensor, "B F E o H W"],
    carried: Float[Tensor, "B F E c H W"],
    known: Float[Tensor, "B F E 1 H W"],
    recalled: Float[Tensor, "B F E c H W"],
    alpha: Float[Tensor, "B F E 1 H W"],
) -> Float[Tensor, "B F E c H W"]:
    """Each pixel from the told colour, the carried frame where it is known, and the recalled render where it covers."""
    colour, weights = told.split([carried.shape[3], TRUSTS], 3)
    # sharp, so that a pixel is taken from one place rather than averaged
    trust = torch.tanh(4 * weights)
    out = colour + (trust[:, :, :, 1:] * known) * (carried - colour)
    return out + trust[:, :, :, :1] * alpha * (recalled - out)


def _by_eye(frames: Float[Tensor, "B F C H W"], config: CoreConfig) -> Float[Tensor, "B F E c H W"]:
    return frames.unflatten(2, (config.eyes, config.eye_channels))


def _recall_by_eye(recall: Float[Tensor, "B F r H W"], config: CoreConfig) -> Float[Tensor, "B F E s H W"]:
    frames, told = recall.split([config.channels, config.recall_channels - config.channels], 2)
    # alpha of each eye, then the observed share of each
    return torch.cat([_by_eye(frames, config), told.unflatten(2, (-1, config.eyes)).transpose(2, 3)], 3)


def _each_eye(K: Float[Tensor, "B F 3 3"], eyes: int) -> Float[Tensor, "B F E 3 3"]:
    return K[:, :, None].expand(-1, -1, eyes, -1, -1)
