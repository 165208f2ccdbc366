"""Is a generated view closest to the true view of its own scene, among views of scenes that look alike?"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

CANDIDATES = 16  # chance is 1/16 = 6.25 %
BLUR = 1.0  # pixels: forgives a sub-pixel shift, keeps objects apart


def view_distances(query: Float[Tensor, "H W 3"], candidates: Float[Tensor, "N H W 3"]) -> Float[Tensor, " N"]:
    """d(a, b) = mean |G ∗ a − G ∗ b| over pixels and channels, G a Gaussian of σ = 1 pixel (0…1).

    The mean of absolute values is less swayed than L2 by a few wrong pixels, and the blur by small shifts.
    """
    return (blurred(candidates) - blurred(query[None])).abs().mean(dim=(1, 2, 3))


def pairwise_distances(
    views: Float[Tensor, "M H W 3"], candidates: Float[Tensor, "N H W 3"]
) -> Float[Tensor, "M N"]:
    """`view_distances` of each view to each candidate, each blurred once."""
    a, b = blurred(views).flatten(1), blurred(candidates).flatten(1)
    return torch.cdist(a, b, p=1.0) / a.shape[1]


def palette(views: Float[Tensor, "N H W 3"], bins: int = 6) -> Float[Tensor, "N B"]:
    """A view's share of pixels in each of bins³ colours: what it is painted in, with nothing of where."""
    cells = (views.clamp(0, 1) * bins).long().clamp(max=bins - 1)
    index = (cells[..., 0] * bins + cells[..., 1]) * bins + cells[..., 2]
    counts = torch.zeros(len(views), bins**3, device=views.device)
    flat: Int[Tensor, "N P"] = index.reshape(len(views), -1)
    counts.scatter_add_(1, flat, torch.ones_like(flat, dtype=counts.dtype))
    return counts / flat.shape[1]


def palette_distances(shown: Float[Tensor, "M H W 3"], candidates: Float[Tensor, "N H W 3"]) -> Float[Tensor, " N"]:
    """L1 distance of each candidate's palette from the pooled palette of the frames that were last in view.

    The control for retrieval: if this matcher beats chance, what is still in view gives the answer away.
    """
    return (palette(candidates) - palette(shown).mean(dim=0, keepdim=True)).abs().sum(dim=1)


def retrieved(distances: Float[Tensor, " N"], right: int = 0) -> float:
    """1 when the right candidate alone is nearest, a fair share of 1 when it ties, else 0."""
    if not 0 <= right < len(distances):
        raise ValueError(f"expected right within 0…{len(distances) - 1}; got {right}; do pass an index")
    nearest = distances == distances.min()
    return float(nearest[right]) / float(nearest.sum())


def blurred(views: Float[Tensor, "N H W 3"]) -> Float[Tensor, "N H W 3"]:
    """Each view after a Gaussian of σ = 1 pixel."""
    radius = 3
    offsets = torch.arange(-radius, radius + 1, dtype=views.dtype, device=views.device)
    line = torch.exp(-(offsets**2) / (2 * BLUR**2))
    line = line / line.sum()
    x = F.pad(views.permute(0, 3, 1, 2), (radius,) * 4, mode="replicate").reshape(
        -1, 1, views.shape[1] + 2 * radius, views.shape[2] + 2 * radius
    )
    x = F.conv2d(F.conv2d(x, line[None, None, None, :]), line[None, None, :, None])
    return x.reshape(len(views), 3, views.shape[1], views.shape[2]).permute(0, 2, 3, 1)
