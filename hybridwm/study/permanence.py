"""Is it still there? What was hidden, or behind one's back, judged by its colours where it has to be (row 18).

The truth comes twice, with the thing and without it (rooms' scenarios with either outcome), so that where it is and
which colours are its own need no threshold of hue.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

DIFFERS = 24 / 255  # in some channel: a pixel that the thing changes
SMALLEST = 4  # pixels: a smaller thing is not judged
REACH = 2  # pixels that it may be away from where it has to be
FOUND = 0.5  # share of its area


def expected_pixels(with_it: Float[Tensor, "H W 3"], without: Float[Tensor, "H W 3"]) -> Bool[Tensor, "H W"]:
    """The pixels that show the thing: max over channels |with − without| > 24/255."""
    return (with_it - without).abs().amax(-1) > DIFFERS


def share_found(
    frame: Float[Tensor, "H W 3"],
    with_it: Float[Tensor, "H W 3"],
    without: Float[Tensor, "H W 3"],
    reach: int = REACH,
) -> float:
    """Area with the thing's colours where it has to be / its true area (about 0…1); nan where it is hardly in view.

    Within `reach` pixels of the thing, a pixel is its own when the nearest of the thing's true colours is nearer
    (Euclid, rgb) than the nearest of the true colours that are there without it.
    """
    expected = expected_pixels(with_it, without)
    area = int(expected.sum())
    if area < SMALLEST:
        return math.nan
    near = F.max_pool2d(expected[None, None].float(), 2 * reach + 1, 1, reach)[0, 0] > 0
    shown, own, others = frame[near], with_it[expected], without[near]
    return float((torch.cdist(shown, own).amin(1) < torch.cdist(shown, others).amin(1)).sum()) / area


def is_there(
    frames: Float[Tensor, "T H W 3"], with_it: Float[Tensor, "T H W 3"], without: Float[Tensor, "T H W 3"]
) -> bool | None:
    """Whether at least half of the thing's area is found in the median frame; None where no frame can tell."""
    shares = [share_found(*three) for three in zip(frames, with_it, without, strict=True)]
    known = [s for s in shares if not math.isnan(s)]
    return bool(np.median(known) >= FOUND) if known else None


def precision_recall(found: list[bool], truth: list[bool]) -> tuple[float, float]:
    """Of what was found, the share that is there; of what is there, the share found. nan where there is none."""
    if len(found) != len(truth):
        raise ValueError(f"expected one answer for each case; got {len(found)} for {len(truth)}; do pair them")
    both = sum(f and t for f, t in zip(found, truth, strict=True))
    return (both / sum(found) if any(found) else math.nan, both / sum(truth) if any(truth) else math.nan)
