"""The forward model: a frame and a code to the next frame.

From the frame alone it draws, for each number of the code, how fast each place of the image would move; the code weighs
these fields, and what they come to is followed for one unit of time. So twice a code is the motion twice, none is none,
and what a code does is not bound to the scene it was read in. What motion does not explain, a small net mends.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from .config import SIDE, LatentConfig


class Ahead(NamedTuple):
    """frame: the next one, 0…1; moved: before it was mended; flow: whence each of its places came, relative to it, (x,
    y) in half images."""

    frame: Float[Tensor, "N 3 32 32"]
    moved: Float[Tensor, "N 3 32 32"]
    flow: Float[Tensor, "N 2 32 32"]


class ForwardModel(nn.Module):
    """See above."""

    grid: Tensor

    def __init__(self, config: LatentConfig) -> None:
        super().__init__()
        self.config = config
        c = config.channels
        self.down = nn.ModuleList([_block(5, c, 2), _block(c, 2 * c, 2), _block(2 * c, 3 * c, 2)])
        self.up = nn.ModuleList([_block(5 * c, 2 * c, 1), _block(3 * c, c, 1)])
        self.fields = nn.Conv2d(c, 2 * config.dim, 3, 1, 1)
        self.mend = nn.Sequential(
            nn.Conv2d(7, 16, 3, 1, 1),
            nn.GELU(),
            nn.Conv2d(16, 16, 3, 1, 2, dilation=2),
            nn.GELU(),
            nn.Conv2d(16, 3, 3, 1, 1),
        )
        self.code = nn.Linear(config.dim, 16)
        for parameter in self.mend[-1].parameters():  # at first, nothing is mended
            nn.init.zeros_(parameter)
        self.register_buffer("grid", _grid(), persistent=False)

    def velocities(self, frame: Float[Tensor, "N 3 32 32"]) -> Float[Tensor, "N d 2 32 32"]:
        """The field of each number of a code: (x, y) of half images in a unit of time."""
        here = self.grid.movedim(-1, 1).expand(len(frame), 2, SIDE, SIDE)
        seen = [torch.cat([frame * 2 - 1, here], 1)]
        for layer in self.down:
            seen.append(layer(seen[-1]))
        x = seen[-1]
        for layer, beside in zip(self.up, (seen[2], seen[1]), strict=True):
            x = layer(torch.cat([F.interpolate(x, scale_factor=2.0), beside], 1))
        fields = F.interpolate(self.fields(x), scale_factor=2.0, mode="bilinear", align_corners=False)
        return fields.unflatten(1, (self.config.dim, 2))

    def forward(self, frame: Float[Tensor, "N 3 32 32"], code: Float[Tensor, "N d"]) -> Ahead:
        """The next frame, and how it came about."""
        flow = followed(torch.einsum("nd,ndkhw->nkhw", code, self.velocities(frame)), self.grid, self.config.squarings)
        places = self.grid + flow.movedim(1, -1)
        moved = F.grid_sample(frame, places, padding_mode="border", align_corners=False)
        seen = (places.abs().amax(-1) < 1).to(frame.dtype)[:, None]
        told = self.mend[0](torch.cat([moved * 2 - 1, frame * 2 - 1, seen], 1)) + self.code(code)[..., None, None]
        return Ahead(moved + self.mend[1:](told), moved, flow)


def followed(
    velocity: Float[Tensor, "N 2 32 32"], grid: Float[Tensor, "1 32 32 2"], squarings: int
) -> Float[Tensor, "N 2 32 32"]:
    """Whence each place of the next frame came, relative to it: the field's own flow, backwards, by scaling and
    squaring (Arsigny et al. 2006)."""
    flow = -velocity / 2**squarings
    for _ in range(squarings):
        flow = flow + F.grid_sample(flow, grid + flow.movedim(1, -1), padding_mode="border", align_corners=False)
    return flow


def _grid() -> Float[Tensor, "1 32 32 2"]:
    """Centres of pixels, -1…1, (x, y)."""
    steps = (torch.arange(SIDE) + 0.5) / SIDE * 2 - 1
    return torch.stack([steps.expand(SIDE, SIDE), steps[:, None].expand(SIDE, SIDE)], -1)[None]


def _block(inner: int, outer: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inner, outer, 3, stride, 1),
        nn.GroupNorm(4, outer),
        nn.GELU(),
        nn.Conv2d(outer, outer, 3, 1, 1),
        nn.GELU(),
    )
