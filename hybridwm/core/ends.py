"""From pixels to tokens and back: one patch a token, or a small pixel-unshuffle U-Net round the blocks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from .config import CoreConfig
from .embeddings import patchify, unpatchify


class PatchEnds(nn.Module):
    """Each patch is a token by one linear layer, and a patch again by another."""

    def __init__(self, config: CoreConfig, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.config = config
        pixels = config.patch**2
        self.embed = nn.Linear(channels_in * pixels, config.dim)
        self.final_modulation = nn.Linear(config.dim, 2 * config.dim)
        self.head = nn.Linear(config.dim, channels_out * pixels)
        for layer in (self.final_modulation, self.head):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def encode(
        self, pixels: Float[Tensor, "B F i H W"], c: Float[Tensor, "B F d"]
    ) -> tuple[Float[Tensor, "B F n d"], None]:
        return self.embed(patchify(pixels, self.config.patch)), None

    def decode(
        self, tokens: Float[Tensor, "B F n d"], skip: None, c: Float[Tensor, "B F d"]
    ) -> Float[Tensor, "B F o H W"]:
        cfg = self.config
        shift, scale = self.final_modulation(c)[:, :, None].chunk(2, -1)
        out = self.head(F.layer_norm(tokens, tokens.shape[-1:]) * (1 + scale) + shift)
        return unpatchify(out, cfg.patch, cfg.height, cfg.width)


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions, the first one's output scaled and shifted by c; begins as the identity."""

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__()
        self.norm_in, self.norm_out = nn.GroupNorm(8, channels), nn.GroupNorm(8, channels)
        self.conv_in = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv_out = nn.Conv2d(channels, channels, 3, padding=1)
        self.modulation = nn.Linear(dim, 2 * channels)
        for layer in (self.conv_out, self.modulation):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)  # pyright: ignore[reportArgumentType]

    def forward(self, x: Float[Tensor, "N c h w"], c: Float[Tensor, "N d"]) -> Float[Tensor, "N c h w"]:
        shift, scale = self.modulation(c)[..., None, None].chunk(2, 1)
        y = self.conv_in(F.silu(self.norm_in(x)))
        y = self.conv_out(F.silu(self.norm_out(y) * (1 + scale) + shift))
        return x + y


class ConvEnds(nn.Module):
    """Pixel-unshuffle by half a patch, residual blocks, unshuffle by two to tokens; the same way back, with a skip."""

    def __init__(self, config: CoreConfig, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.config = config
        self.fold = config.patch // 2
        width, pixels = config.conv_width, self.fold**2
        self.stem = nn.Conv2d(channels_in * pixels, width, 1)
        self.down = nn.ModuleList(ResidualBlock(width, config.dim) for _ in range(config.conv_depth))
        self.to_tokens = nn.Linear(4 * width, config.dim)
        self.from_tokens = nn.Linear(config.dim, 4 * width)
        self.merge = nn.Conv2d(2 * width, width, 1)
        self.up = nn.ModuleList(ResidualBlock(width, config.dim) for _ in range(config.conv_depth + 1))
        self.norm = nn.GroupNorm(8, width)
        self.head = nn.Conv2d(width, channels_out * pixels, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)  # pyright: ignore[reportArgumentType]

    def encode(
        self, pixels: Float[Tensor, "B F i H W"], c: Float[Tensor, "B F d"]
    ) -> tuple[Float[Tensor, "B F n d"], Float[Tensor, "B F c h w"]]:
        b, f = pixels.shape[:2]
        x = self.stem(F.pixel_unshuffle(pixels.flatten(0, 1), self.fold))
        for block in self.down:
            x = block(x, c.flatten(0, 1))
        tokens = rearrange(x, "(b f) c (h p) (w q) -> b f (h w) (c p q)", b=b, p=2, q=2)
        return self.to_tokens(tokens), x.unflatten(0, (b, f))

    def decode(
        self, tokens: Float[Tensor, "B F n d"], skip: Float[Tensor, "B F c h w"], c: Float[Tensor, "B F d"]
    ) -> Float[Tensor, "B F o H W"]:
        b, rows = tokens.shape[0], self.config.height // self.config.patch
        x = rearrange(
            self.from_tokens(tokens), "b f (h w) (c p q) -> (b f) c (h p) (w q)", h=rows, p=2, q=2
        )
        x = self.merge(torch.cat([x, skip.flatten(0, 1)], 1))
        for block in self.up:
            x = block(x, c.flatten(0, 1))
        out = F.pixel_shuffle(self.head(F.silu(self.norm(x))), self.fold)
        return out.unflatten(0, (b, -1))
