"""Normalised memory recall: is a place that comes into view again more like itself than chance and time would make it?

NMR = mean(R - B) / mean(S - B) over pairs of frames of one rollout: R pairs of the same camera, B pairs of as long a
gap and of other cameras, S pairs of neighbours (R2M-Bench, arXiv 2608.27328; its sampling, with constants fixed here).
1: as like as neighbours are, which are a step apart, so that the truth has 2 to 6; 0: no more alike than any two frames
so far apart. A frozen rollout, in which everything
is alike, has no range and so no score. The likeness of two frames is -d, d their mean absolute difference after a blur
of one pixel (retrieval.view_distances).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from render.camera import Camera

from .retrieval import blurred
from .revisits import DEGREES, METRES, apart

LEAST_GAP = 0.2  # of the rollout, between the two frames of a revisit
MOST_PAIRS = 100
SHORT_PAIRS = (20, 100)  # as many as revisits, within these
SHORT_GAPS = (1, 1)  # frames; theirs is 2 and more of a video, a step here is 15 degrees or a quarter of a metre
GAP_TOLERANCE = (10, 0.3)  # frames, and of the gap; whichever is more
BINS = 10  # of time, in which the anchors of B are those of R
NEIGHBOURHOOD = 20  # frames are N / 20 and at least 2 from a revisit, at both ends, to be none
SEED = 42
LEAST_RANGE = 2 / 255  # mean |S - B|; below, nothing can be told


def normalised_recall(frames: Float[Tensor, "T H W 3"], cameras: Sequence[Camera]) -> float:
    """Of one rollout, its observed beginning left out or in; nan without revisits, other pairs, or range.

    Raises ValueError for another number of cameras than frames.
    """
    if len(frames) != len(cameras):
        raise ValueError(f"normalised_recall: expected a camera for each of {len(frames)} frames; got {len(cameras)}")
    pairs = sample_pairs(cameras)
    if not all(len(each) for each in pairs):
        return math.nan
    soft = blurred(frames.detach().float())
    revisit, baseline, short = (-float((soft[each[:, 0]] - soft[each[:, 1]]).abs().mean()) for each in pairs)
    return (revisit - baseline) / (short - baseline) if short - baseline > LEAST_RANGE else math.nan


def sample_pairs(
    cameras: Sequence[Camera],
) -> tuple[Int[np.ndarray, "R 2"], Int[np.ndarray, "B 2"], Int[np.ndarray, "S 2"]]:
    """(revisits, others of their gaps, neighbours): indices (earlier, later); the same for the same cameras."""
    rng, count = np.random.default_rng(SEED), len(cameras)
    turn, metres = apart(cameras, cameras)
    same = ((turn <= DEGREES) & (metres <= METRES)).numpy()
    first, second = np.triu_indices(count, k=1)
    meets = same[first, second]
    revisits = _some(rng, np.stack([first, second], 1)[meets & (second - first >= LEAST_GAP * count)], MOST_PAIRS)
    near = np.zeros((count, count), dtype=bool)  # what a revisit pair is next to, at both ends
    reach = max(2, count // NEIGHBOURHOOD)
    for i, j in np.stack([first, second], 1)[meets]:
        near[max(0, i - reach) : i + reach + 1, max(0, j - reach) : j + reach + 1] = True
    near |= near.T
    others, used = [], set()
    for i, j in revisits:
        gap = j - i
        allowed = max(GAP_TOLERANCE[0], GAP_TOLERANCE[1] * gap)
        alike = (np.abs(second - first - gap) <= min(allowed, gap - 1)) & ~near[first, second]
        alike &= first * BINS // count == i * BINS // count
        free = [k for k in np.flatnonzero(alike).tolist() if k not in used]
        if free:
            off = np.abs(second[free] - first[free] - gap)  # in a short rollout the tolerance alone would be a bias
            chosen = int(rng.choice(np.array(free)[off <= off.min() + 1]))
            used.add(chosen)
            others.append((first[chosen], second[chosen]))
    gap = second - first
    short = np.stack([first, second], 1)[(gap >= SHORT_GAPS[0]) & (gap <= SHORT_GAPS[1])]
    return revisits, np.array(others, int).reshape(-1, 2), _some(rng, short, int(np.clip(len(revisits), *SHORT_PAIRS)))


def _some(rng: np.random.Generator, pairs: np.ndarray, most: int) -> np.ndarray:
    return pairs if len(pairs) <= most else pairs[np.sort(rng.choice(len(pairs), most, replace=False))]

