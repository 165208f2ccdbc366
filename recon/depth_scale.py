"""From relative depth to metres: the scale, and the shift, that fit what the scene already knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

Kind = Literal["metric", "inverse"]
LEAST_KNOWN = 64  # pixels that a fit needs
LEAST_SPREAD = 0.02  # relative spread of the prediction over them, below which a shift cannot be told from a scale
ROUNDS = 10
HUBER = 1.345  # residuals, in robust standard deviations, from which they count less (95 % efficiency)
LARGEST_ERROR = 0.3  # relative error of the fit above which nothing is trusted


@dataclass(frozen=True)
class DepthScale:
    """depth = 1 / (scale * prediction + shift) for inverse predictions, scale * prediction for metric ones.

    error: robust relative standard deviation of the fit; known: the share of pixels it was fitted to.
    """

    kind: Kind
    scale: float
    shift: float
    error: float
    known: float

    def apply(self, prediction: Float[Tensor, "H W"]) -> Float[Tensor, "H W"]:
        """Depth [H, W] in metres, 0 where it would be negative or infinitely far."""
        if self.kind == "metric":
            return (self.scale * prediction).clamp(min=0)
        inverse = self.scale * prediction + self.shift
        return torch.where(inverse > 1e-3, 1 / inverse.clamp(min=1e-3), torch.zeros_like(inverse))


def fit_depth_scale(
    prediction: Float[Tensor, "H W"], known: Float[Tensor, "H W"], kind: Kind
) -> tuple[DepthScale | None, str]:
    """The scale (and shift) by which a prediction agrees best with known depth (metres, 0 = not known), or None and
    the reason.

    Inverse predictions are fitted in inverse depth, by least squares whose outliers are weighted down again and again
    (Huber); metric ones by the median ratio. As for MiDaS (Ranftl et al. 2022), section 5, but robust.
    """
    where = (known > 0) & prediction.isfinite() & known.isfinite()
    if kind == "metric":
        where = where & (prediction > 0)
    count = int(where.sum())
    if count < LEAST_KNOWN:
        return None, f"only {count} pixels with known depth; {LEAST_KNOWN} are needed"
    x, z = prediction[where].double(), known[where].double()
    if kind == "metric":
        scale, shift = float((z / x).median()), 0.0
        error = _spread(scale * x / z - 1)
    else:
        if float(x.std()) < LEAST_SPREAD * float(x.abs().mean()):
            return None, "the prediction is flat where depth is known"
        scale, shift = _robust_line(x, 1 / z)
        if scale <= 0:
            return None, "the prediction runs against the known depth"
        error = _spread((scale * x + shift) * z - 1)
    if error > LARGEST_ERROR:
        return None, f"the best fit is off by {100 * error:.0f} %"
    return DepthScale(kind, scale, shift, error, count / prediction.numel()), ""


def _robust_line(x: Tensor, y: Tensor) -> tuple[float, float]:
    """Slope and offset of y over x."""
    weight = torch.ones_like(x)
    slope = offset = 0.0
    for _ in range(ROUNDS):
        total = weight.sum()
        mean_x, mean_y = (weight * x).sum() / total, (weight * y).sum() / total
        variance = (weight * (x - mean_x).square()).sum().clamp(min=1e-30)
        slope = float((weight * (x - mean_x) * (y - mean_y)).sum() / variance)
        offset = float(mean_y) - slope * float(mean_x)
        # Errors of inverse depth relative to it: a centimetre counts more near than far.
        residual = (slope * x + offset - y) / y
        limit = HUBER * max(_spread(residual), 1e-9)
        weight = (limit / residual.abs().clamp(min=limit)) / y.square()
    return slope, offset


def _spread(residual: Tensor) -> float:
    """Standard deviation of a normal distribution with this median absolute value."""
    return 1.4826 * float(residual.abs().median())

