"""What walks tell beside images, and how a batch holds it: the walker's own motion, and the free distance ahead."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..core import flow
from ..core.conditioning import depth_channel
from ..core.config import CoreConfig

TOLD = {"odometry": 4, "clearance": 1}
"""odometry: the motion that led to the frame, in quarters of a metre and of a radian, as actions have it. clearance:
free distance ahead, as depth is shown (see core.conditioning.NEAR)."""


def check_told(core: CoreConfig) -> None:
    """Raises ValueError for vectors that walks do not have."""
    if any(TOLD.get(name) != size for name, size in core.vectors):
        raise ValueError(f"CoreConfig.vectors: expected some of {tuple(TOLD.items())} to train on; got {core.vectors}.")


def odometry(actions: Float[Tensor, "*B a"]) -> Float[Tensor, "*B a"]:
    return 4 * actions


def clearance(depth: Float[Tensor, "*B H W"]) -> Float[Tensor, "*B 1"]:
    """From depth in metres: of the middle of the image, a low percentile of what is measured."""
    h, w = depth.shape[-2:]
    middle = depth_channel(depth[..., h // 3 : 2 * h // 3, w // 3 : 2 * w // 3])
    return middle.flatten(-2).quantile(0.9, -1, keepdim=True)  # near is high, and not measured is lowest


@dataclass(frozen=True)
class ClipVectors:
    """The vectors of F context frames, then of the same F frames as targets, noised as the frames are; clean: once."""

    noisy: Float[Tensor, "B G v"]
    noise: Float[Tensor, "B G v"]
    clean: Float[Tensor, "B F v"]

    @staticmethod
    def noised(clean: Float[Tensor, "B F v"], times: Float[Tensor, "B G"], generator: torch.Generator) -> ClipVectors:
        b, f, v = clean.shape
        noise = torch.randn((b, 2 * f, v), generator=generator, device=clean.device)
        return ClipVectors(_mixed(torch.cat([clean, clean], 1), noise, times), noise, clean)

    def take(self, clips: Tensor) -> ClipVectors:
        return ClipVectors(self.noisy[clips], self.noise[clips], self.clean[clips])

    def showing(self, vectors: Float[Tensor, "B F v"], t: Float[Tensor, "B F"]) -> ClipVectors:
        """With other vectors as context, at the same noise."""
        f = vectors.shape[1]
        context = _mixed(vectors, self.noise[:, :f], t)
        return ClipVectors(torch.cat([context, self.noisy[:, f:]], 1), self.noise, self.clean)


def vector_loss(
    predicted: Float[Tensor, "B F v"], clean: Float[Tensor, "B F v"], t: Float[Tensor, "B F"]
) -> tuple[Float[Tensor, ""], Float[Tensor, "B F"]]:
    """As `flow.loss` for frames: the weighted mean, and the plain squared error of each frame's vectors."""
    return flow.loss(predicted[..., None, None], clean[..., None, None], t)


def _mixed(clean: Tensor, noise: Tensor, t: Tensor) -> Tensor:
    return flow.mix(clean[..., None, None], noise[..., None, None], t)[..., 0, 0]
