"""Where refinement puts its Gaussians: dead ones move to where they are needed, new ones come up to a hard budget."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from render.transforms import matrix_from_quats

from .raw_splats import MAX_OPACITY, RawSplats

DEAD = 0.005  # opacity below which a Gaussian shows nothing
GROWTH = 0.05  # new Gaussians at most, as a share of those there are, each time
MOST_COPIES = 20  # of one Gaussian at a time; the sum below cancels ever more digits


def relocate(splats: RawSplats, max_gaussians: int, generator: torch.Generator) -> int:
    """Dead Gaussians become copies of living ones and, within the budget, new copies come; how many were moved or made.

    Gaussians are chosen by their opacity, and copies share it so that the image stays (Kheradmand et al. 2024, 3D
    Gaussian Splatting as Markov Chain Monte Carlo, equation 9). Copies keep the source of what they copy.
    """
    opacities = splats.opacities()
    dead = (opacities <= DEAD).nonzero().squeeze(1)
    living = (opacities > DEAD).nonzero().squeeze(1)
    new = max(0, min(max_gaussians, int((1 + GROWTH) * len(splats))) - len(splats))
    if len(living) == 0 or len(dead) + new == 0:
        return 0
    chosen = living[_sample(opacities[living], len(dead) + new, generator)]
    share_opacity(splats, chosen)
    splats.overwrite(dead, chosen[: len(dead)])
    splats.append(chosen[len(dead) :])
    return len(dead) + new


def share_opacity(splats: RawSplats, chosen: Int[Tensor, "M"]) -> None:
    """Opacity and size for Gaussians that are about to be copied once for each mention in `chosen`, so that all the
    copies together show what one did."""
    rows, times = chosen.unique(return_counts=True)
    copies = (times + 1).clamp(max=MOST_COPIES)
    old = splats.opacities()[rows].to(torch.float64)
    new = 1 - (1 - old) ** (1 / copies)
    total = torch.zeros_like(old)
    for i in range(1, int(copies.max()) + 1):
        terms = [math.comb(i - 1, k) * (-1) ** k * new ** (k + 1) / math.sqrt(k + 1) for k in range(i)]
        total = total + torch.where(copies >= i, torch.stack(terms).sum(0), 0)
    with torch.no_grad():
        logits, log_scales = splats.tensors["logits"], splats.tensors["log_scales"]
        logits[rows] = torch.logit(new.clamp(DEAD, MAX_OPACITY)).to(logits.dtype)
        log_scales[rows] += (old / total).log().to(log_scales.dtype)[:, None]
    splats.forget(rows)


def jitter(splats: RawSplats, amount: float, generator: torch.Generator) -> None:
    """Moves faint Gaussians at random within their own shape (the noise term of the same paper): those that explain
    nothing look around, solid ones stay. amount: standard deviations that the faintest move."""
    with torch.no_grad():
        means, opacities = splats.tensors["means"], splats.opacities()
        faint = (opacities < 0.1).nonzero().squeeze(1)
        if len(faint) == 0:
            return
        noise = torch.randn(len(faint), 3, generator=generator, dtype=means.dtype).to(means.device)
        weight = torch.sigmoid(100 * (DEAD - opacities[faint])) * 2
        local = noise * splats.tensors["log_scales"][faint].exp() * (amount * weight)[:, None]
        rotation = matrix_from_quats(splats.tensors["quats"][faint])
        means[faint] += (rotation @ local[..., None]).squeeze(-1)


def _sample(weights: Float[Tensor, "N"], count: int, generator: torch.Generator) -> Int[Tensor, "M"]:
    """Rows drawn with these weights, with replacement; torch.multinomial takes no more than 2^24 of them."""
    total = weights.to("cpu", torch.float64).cumsum(0)
    drawn = torch.rand(count, generator=generator, dtype=torch.float64) * total[-1]
    return torch.searchsorted(total, drawn, right=True).clamp(max=len(weights) - 1).to(weights.device)
