"""The chance that a depth from several views is within 5 %, from what the sweep says about it."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from .consistency import Agreement

TOLERANCE = 0.05  # of the depth: within is right

# Weights of a logistic regression on rooms, one real walk (HoloLens) and five wide-apart rendered views (ICL-NUIM); the
# features are those of features_alone() and features_confirmed().
ALONE = (0.3, -3.9, 2.9, -0.1)
CONFIRMED = (-0.6, -1.3, 1.2, -0.7, -1.9, -0.5, 2.1)
SLANTED = (1.05, -3.75, 0.85, 0.5, 1.2, -1.35, 1.2)  # on rooms alone, where the parallax is that of each pixel


def confidence_alone(
    depth: Float32[ndarray, "H W"],
    cost: Float32[ndarray, "H W"],
    margin: Float32[ndarray, "H W"],
    parallax: float,
) -> Float32[ndarray, "H W"]:
    """Of depths that no other view has confirmed, 0 where there is none. parallax in pixels at 1 m."""
    return _logistic(features_alone(depth, cost, margin, parallax), ALONE) * (depth > 0)


def features_alone(
    depth: Float32[ndarray, "H W"], cost: Float32[ndarray, "H W"], margin: Float32[ndarray, "H W"],
    parallax: float | Float32[ndarray, "H W"],
) -> Float32[ndarray, "H W F"]:
    """1, the cost 0..1, the margin (saturating), and the logarithm of the pixels that 5 % of the depth make."""
    precision = np.log(np.clip(TOLERANCE * parallax / np.maximum(depth, 1e-3), 0.05, 4.0))
    return np.stack([np.ones_like(depth), cost, np.sqrt(np.maximum(margin, 0)), precision], axis=-1).astype(np.float32)


def confidence_confirmed(
    depth: Float32[ndarray, "H W"],
    cost: Float32[ndarray, "H W"],
    margin: Float32[ndarray, "H W"],
    parallax: float | Float32[ndarray, "H W"],
    agreed: Agreement,
    sources: int,
) -> Float32[ndarray, "H W"]:
    """Of depths that were compared with those of this many neighbouring views; 0 where there is none. parallax in
    pixels at 1 m: one number for a sweep, an array after slanted_depth()."""
    features = features_confirmed(depth, cost, margin, parallax, agreed, sources)
    weights = SLANTED if isinstance(parallax, np.ndarray) else CONFIRMED
    return _logistic(features, weights) * ((depth > 0) & (agreed.agreeing > 0))


def features_confirmed(
    depth: Float32[ndarray, "H W"],
    cost: Float32[ndarray, "H W"],
    margin: Float32[ndarray, "H W"],
    parallax: float | Float32[ndarray, "H W"],
    agreed: Agreement,
    sources: int,
) -> Float32[ndarray, "H W F"]:
    """Those of features_alone(), the share of the sources that agree, of those that look through the point, and the
    logarithm of the count that agrees."""
    share = agreed.agreeing / sources
    against = agreed.contradicting / np.maximum(agreed.seen, 1)
    alone = features_alone(depth, cost, margin, parallax)
    more = np.stack([share, against, np.log1p(agreed.agreeing)], axis=-1).astype(np.float32)
    return np.concatenate([alone, more], axis=-1)


def _logistic(features: Float32[ndarray, "H W F"], weights: tuple[float, ...]) -> Float32[ndarray, "H W"]:
    return (1 / (1 + np.exp(-(features @ np.array(weights, np.float32))))).astype(np.float32)
