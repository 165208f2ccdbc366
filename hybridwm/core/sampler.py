"""From noise to a frame: Euler steps along the flow. Noise is a function of (seed, step, solver step) alone."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from .flow import velocity

CONTEXT = -1
"""The solver step that stands for the fixed noise of a context frame."""


def noise(seed: int, step: int, solver_step: int, shape: tuple[int, ...]) -> Tensor:
    """Standard normal noise, equal across arms and forks; made on the CPU so that it is equal across devices too."""
    digest = hashlib.blake2b(f"{seed} {step} {solver_step}".encode(), digest_size=8).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest) >> 1)
    return torch.randn(shape, generator=generator)


def euler(
    denoise: Callable[[Tensor, Tensor], Tensor], start: Float[Tensor, "B F C H W"], solver_steps: int
) -> Float[Tensor, "B F C H W"]:
    """Integrate from t = 1 to 0 in equal steps; `denoise(noisy, t [B, F])` gives clean frames. The last step lands on
    the predicted clean frame."""
    if solver_steps < 1:
        raise ValueError(f"euler: expected solver_steps >= 1; got {solver_steps}.")
    times = torch.linspace(1, 0, solver_steps + 1).tolist()
    x = start
    for now, after in zip(times[:-1], times[1:], strict=True):
        t = x.new_full(x.shape[:2], now)
        clean = denoise(x, t)
        x = clean if after == 0 else x + (after - now) * velocity(x, clean, t)
    return x
