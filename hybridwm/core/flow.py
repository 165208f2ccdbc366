"""Flow matching with a noise level for every frame: t = 0 is data, 1 is noise, and a straight line between them.

Sources: Lipman et al. 2023 (flow matching), Chen et al. 2024 (diffusion forcing).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor


def mix(
    clean: Float[Tensor, "B F C H W"], noise: Float[Tensor, "B F C H W"], t: Float[Tensor, "B F"]
) -> Float[Tensor, "B F C H W"]:
    """The point at flow time t on the line from data to noise: (1 - t) · clean + t · noise."""
    t = t[..., None, None, None]
    return (1 - t) * clean + t * noise


def velocity(
    noisy: Float[Tensor, "B F C H W"], clean: Float[Tensor, "B F C H W"], t: Float[Tensor, "B F"]
) -> Float[Tensor, "B F C H W"]:
    """d noisy / dt = noise - clean, from the predicted clean frame: (noisy - clean) / t."""
    return (noisy - clean) / t[..., None, None, None].clamp(min=1e-4)


def loss(
    predicted: Float[Tensor, "B F C H W"], clean: Float[Tensor, "B F C H W"], t: Float[Tensor, "B F"]
) -> tuple[Float[Tensor, ""], Float[Tensor, "B F"]]:
    """Velocity loss written in the clean frame, weight 1 / max(t, ½)² (the clip keeps easy, near-clean frames from
    taking over). Returns the weighted mean and the plain squared error of each frame."""
    error = (predicted - clean).square().mean((2, 3, 4))
    return (error / t.clamp(min=0.5).square()).mean(), error


def shortcut_target(
    denoise: Callable[[Tensor, Tensor, Tensor], Tensor],
    noisy: Float[Tensor, "B F C H W"],
    t: Float[Tensor, "B F"],
    level: Int[Tensor, "B F"],
) -> Float[Tensor, "B F C H W"]:
    """The clean frame whose one step of 2 ** -level is what two steps of half that size give (Frans et al. 2024,
    eq. 5, written in the clean frame). `denoise(noisy, t, level)` gives clean frames; t ≥ 2 ** -level."""
    half = 0.5 ** (level + 1).to(t.dtype)
    first = velocity(noisy, denoise(noisy, t, level + 1), t)
    midway = noisy - half[..., None, None, None] * first
    second = velocity(midway, denoise(midway, t - half, level + 1), t - half)
    return noisy - t[..., None, None, None] * (first + second) / 2


def shortcut_times(
    shape: tuple[int, int], levels: int, generator: torch.Generator
) -> tuple[Float[Tensor, "B F"], Int[Tensor, "B F"]]:
    """Flow times and levels for shortcut steps: a level for each clip, its times on that level's grid; half of the
    time the first one, where every sampler begins."""
    device = generator.device
    level = torch.randint(levels - 1, (shape[0], 1), generator=generator, device=device).expand(shape)
    step = 0.5**level
    n = (torch.rand(shape, generator=generator, device=device) / step).floor() + 1
    t = torch.where(torch.rand(shape, generator=generator, device=device) < 0.5, 1.0, n * step)
    return t.clamp(max=1), level


def target_times(shape: tuple[int, int], generator: torch.Generator) -> Float[Tensor, "B F"]:
    """Independent flow times for the frames to be denoised: half logit-normal, a quarter uniform, a quarter pure noise
    (few-step samplers start there, so it is trained more than a smooth density would)."""
    device = generator.device
    kind = torch.rand(shape, generator=generator, device=device)
    bell = torch.sigmoid(0.6 + torch.randn(shape, generator=generator, device=device))
    flat = torch.rand(shape, generator=generator, device=device)
    t = torch.where(kind < 0.5, bell, flat)
    return torch.where(kind > 0.75, torch.ones_like(t), t).clamp(min=1e-3)


def context_times(shape: tuple[int, int], generator: torch.Generator) -> Float[Tensor, "B F"]:
    """Independent flow times for the frames shown as context: mostly near clean; a tenth of the frames, and all frames
    of an eighth of the clips, anything up to noise (diffusion forcing)."""
    device = generator.device
    low = 0.2 * torch.rand(shape, generator=generator, device=device) ** 2
    any_level = torch.rand(shape, generator=generator, device=device)
    pick = torch.rand(shape, generator=generator, device=device) < 0.1
    clips = torch.rand((shape[0], 1), generator=generator, device=device) < 0.125
    return torch.where(pick | clips, any_level, low)


def dropped_times(shape: tuple[int, int], generator: torch.Generator) -> Float[Tensor, "B F"]:
    """Context frames that are there, clean, or not there at all, pure noise, and nothing between (binary dropout)."""
    return (torch.rand(shape, generator=generator, device=generator.device) < 0.2).float()
