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


def level_of(solver_steps: int, levels: int) -> int:
    """The level that was trained for steps of 1 / solver_steps; the infinitesimal one where there is none."""
    level = solver_steps.bit_length() - 1
    return level if solver_steps == 2**level and level < levels else levels - 1


def step_down(
    noisy: Float[Tensor, "B F C H W"],
    clean: Float[Tensor, "B F C H W"],
    now: Float[Tensor, "B F"],
    after: Float[Tensor, "B F"],
) -> Float[Tensor, "B F C H W"]:
    """One Euler step from time `now` to `after`; what arrives at 0 is the predicted clean frame itself."""
    moved = noisy + (after - now)[..., None, None, None] * velocity(noisy, clean, now)
    return torch.where((after == 0)[..., None, None, None], clean, moved)


def euler(
    denoise: Callable[[Tensor, Tensor], Tensor], start: Float[Tensor, "B F C H W"], solver_steps: int
) -> Float[Tensor, "B F C H W"]:
    """Integrate from t = 1 to 0 in equal steps; `denoise(noisy, t [B, F])` gives clean frames."""
    if solver_steps < 1:
        raise ValueError(f"euler: expected solver_steps >= 1; got {solver_steps}.")
    times = torch.linspace(1, 0, solver_steps + 1, device=start.device)
    x = start
    for now, after in zip(times[:-1], times[1:], strict=True):
        t = now.expand(x.shape[:2])
        x = step_down(x, denoise(x, t), t, after.expand(x.shape[:2]))
    return x
