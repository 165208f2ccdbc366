"""Walks as latents: their frames go through the codec once, before training; renders and small frames when drawn."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..core.codec import Codec


@dataclass(frozen=True)
class Latents:
    """Frames of N walks of T frames, in half precision, and the codec that they are from."""

    frames: Float[Tensor, "N T E c h w"]
    codec: Codec

    def __getitem__(self, walks: slice) -> Latents:
        return Latents(self.frames[walks], self.codec)

    def to(self, device: torch.device) -> Latents:
        return Latents(self.frames.to(device), self.codec)

    @property
    def deviation(self) -> float:
        """Standard deviation, which the flow's noise expects near 1."""
        return self.frames.float().std().item()


@torch.no_grad()
def latents_of(rgb: Tensor, codec: Codec) -> Latents:
    """Walks [N, T, E, H, W, 3] of bytes through the codec, walk by walk. Raises ValueError for latents that are no
    numbers or far from unit variance."""
    latents = Latents(torch.stack([codec.encode(walk.float() / 255).half() for walk in rgb]), codec)
    if not 0.1 < latents.deviation < 10:  # false for nan
        raise ValueError(
            f"codec: expected latents of about unit variance; got a standard deviation of {latents.deviation:.3g}. Set "
            "scaling_factor in the autoencoder's config.json to 1 over the deviation of its latents."
        )
    return latents
