"""The frame before, carried to where the camera is now: the way of detail round the tokens, for want of a scene.

A pixel of the new frame with inverse depth ρ is seen in the frame before at K (R K⁻¹ p + ρ τ), with (R, τ) the
motion between the two. The network tells ρ, as SfMLearner does (Zhou et al. 2017), and what is left of the motion
(things that move, cameras that are not known). No depth is measured or supervised: the frames' own loss teaches it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

TYPICAL = 0.4
"""Inverse depth (1/m) that is assumed before anything is told."""

NEAREST = 0.05
"""Metres before the camera that a point must be to be seen."""


def carry(
    previous: Float[Tensor, "*B c H W"],
    K: Float[Tensor, "*B 3 3"],
    motion: Float[Tensor, "*B 4 4"],
    inverse_depth: Float[Tensor, "*B H W"],
    shift: Float[Tensor, "*B 2 H W"] | None = None,
) -> tuple[Float[Tensor, "*B c H W"], Bool[Tensor, "*B H W"]]:
    """The previous frame as the current camera would see it, and where it shows anything.

    motion: previous_from_current, metres. inverse_depth: of each pixel of the current frame, 1/m. shift: further
    pixels (u, v) to look at, in the previous frame.
    """
    h, w = previous.shape[-2:]
    v, u = torch.meshgrid(
        torch.arange(h, dtype=K.dtype, device=K.device) + 0.5,
        torch.arange(w, dtype=K.dtype, device=K.device) + 0.5,
        indexing="ij",
    )
    pixels = torch.stack([u, v, torch.ones_like(u)], 0).flatten(1)
    # previous pixel = K (R K⁻¹ p + ρ τ)
    turned = K @ motion[..., :3, :3] @ torch.linalg.inv(K) @ pixels
    moved = (K @ motion[..., :3, 3:]) * inverse_depth.flatten(-2)[..., None, :]
    seen = turned + moved
    z = seen[..., 2, :]
    place = seen[..., :2, :] / z.clamp(min=NEAREST)[..., None, :]
    place = place.unflatten(-1, (h, w))
    if shift is not None:
        place = place + shift
    x, y = place[..., 0, :, :], place[..., 1, :, :]
    inside = (z.unflatten(-1, (h, w)) > NEAREST) & (x > 0) & (x < w) & (y > 0) & (y < h)
    grid = torch.stack([x * (2 / w) - 1, y * (2 / h) - 1], -1).clamp(-2, 2)
    flat, grid = previous.reshape(-1, previous.shape[-3], h, w), grid.reshape(-1, h, w, 2)
    # bicubic: what a rollout carries from frame to frame is resampled at each, and linear weights blur it away
    shown = F.grid_sample(flat, grid, mode="bicubic", padding_mode="border", align_corners=False)
    return shown.view(previous.shape), inside
