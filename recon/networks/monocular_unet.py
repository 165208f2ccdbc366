"""A small U-Net from one image to log depth and how sure it is of it, for a canonical camera.

It sees pixels and where they lie about the principal point, counted in pixels, but not the focal length: what it
predicts is depth for a focal length of CANONICAL_FOCAL pixels, and depth is in proportion to the focal length (Yin et
al. 2023, Metric3D, section 3.1, the label transformation). So its scale follows the camera's exactly.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate, relu, scaled_dot_product_attention

from .monocular_config import NORM_GROUPS, MonocularConfig

CANONICAL_FOCAL = 40.0  # pixels
MIDDLE_DEPTH = 2.0  # metres, what zero weights predict at the canonical focal length
LEAST_SCALE, LARGEST_SCALE = 0.005, 1.0  # of the Laplace distribution of log depth
LEAST_DEPTH, LARGEST_DEPTH = 0.02, 100.0  # metres at the canonical focal length
HEADS = 4


class DepthDistribution(NamedTuple):
    """Of log depth at each pixel: the median, and the scale of a Laplace distribution about it."""

    log_depth: Float[Tensor, "*S"]
    scale: Float[Tensor, "*S"]


class MonocularUNet(nn.Module):
    """Images [B, 3, H, W] of 0..1 and pixel coordinates to the distribution of log depth in the canonical camera."""

    def __init__(self, config: MonocularConfig) -> None:
        super().__init__()
        self.config = config
        half, quarter, eighth = config.width, 2 * config.width, 4 * config.width
        self.stem = nn.Conv2d(5, half, 4, stride=2, padding=1)
        self.at_half = Block(half)
        self.to_quarter = nn.Conv2d(half, quarter, 2, stride=2)
        self.at_quarter = Block(quarter)
        self.to_eighth = nn.Conv2d(quarter, eighth, 2, stride=2)
        self.at_eighth = nn.Sequential(*(Block(eighth) for _ in range(config.blocks)))
        self.everywhere = Attention(eighth)
        self.back_to_quarter = nn.Conv2d(eighth, quarter, 1)
        self.again_at_quarter = Block(quarter)
        self.back_to_half = nn.Conv2d(quarter, half, 1)
        self.again_at_half = Block(half)
        self.back_to_full = nn.Conv2d(half, half // 2, 1)
        self.pixels = nn.Conv2d(5, half // 2, 3, padding=1)
        self.at_full = nn.Conv2d(half // 2, half // 2, 3, padding=1)
        self.head = nn.Conv2d(half // 2, 2, 3, padding=1)
        self.widening: Tensor
        self.register_buffer("widening", torch.ones(()))  # of the scale, fitted after training to held-out rooms
        nn.init.zeros_(self.head.weight)
        assert self.head.bias is not None
        self.head.bias.data.copy_(torch.tensor([0.0, math.log(0.2)]))

    def forward(self, image: Float[Tensor, "B 3 H W"], place: Float[Tensor, "B 2 H W"]) -> DepthDistribution:
        """place: pixels right of and below the principal point, over CANONICAL_FOCAL. H and W: multiples of STEP."""
        seen = torch.cat([2 * image - 1, place], dim=1)
        half = self.at_half(self.stem(seen))
        quarter = self.at_quarter(self.to_quarter(half))
        eighth = self.everywhere(self.at_eighth(self.to_eighth(quarter)))
        quarter = self.again_at_quarter(quarter + twice(self.back_to_quarter(eighth)))
        half = self.again_at_half(half + twice(self.back_to_half(quarter)))
        full = relu(twice(self.back_to_full(half)) + self.pixels(seen))
        out = self.head(full + relu(self.at_full(full)))
        low, high = math.log(LEAST_DEPTH), math.log(LARGEST_DEPTH)
        log_depth = (out[:, 0] + math.log(MIDDLE_DEPTH)).clamp(low, high)
        scale = (self.widening * out[:, 1].exp()).clamp(LEAST_SCALE, LARGEST_SCALE)
        return DepthDistribution(log_depth, scale)


class Block(nn.Module):
    """Two convolutions beside the identity, normalised before each (He et al. 2016, identity mappings)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm_1, self.conv_1 = nn.GroupNorm(NORM_GROUPS, width), nn.Conv2d(width, width, 3, padding=1)
        self.norm_2, self.conv_2 = nn.GroupNorm(NORM_GROUPS, width), nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        return x + self.conv_2(relu(self.norm_2(self.conv_1(relu(self.norm_1(x))))))


class Attention(nn.Module):
    """Every place asks all others: the size of a room is seen at its far end."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(NORM_GROUPS, width)
        self.ask, self.answer = nn.Conv2d(width, 3 * width, 1), nn.Conv2d(width, width, 1)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        split = self.ask(self.norm(x)).flatten(2).unflatten(1, (3, HEADS, -1)).transpose(-1, -2)
        query, key, value = split.unbind(1)
        found = scaled_dot_product_attention(query, key, value)
        return x + self.answer(found.transpose(-1, -2).flatten(1, 2).reshape(x.shape))


def twice(x: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C H W"]:
    """The same at twice the resolution."""
    return interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def pixel_places(principal: Float[Tensor, "B 2"], height: int, width: int) -> Float[Tensor, "B 2 H W"]:
    """Pixels right of and below the principal point [x, y], over CANONICAL_FOCAL."""
    right = (torch.arange(width).to(principal) + 0.5 - principal[:, :1]) / CANONICAL_FOCAL
    below = (torch.arange(height).to(principal) + 0.5 - principal[:, 1:]) / CANONICAL_FOCAL
    shape = (len(principal), height, width)
    return torch.stack([right[:, None, :].expand(shape), below[:, :, None].expand(shape)], dim=1)
