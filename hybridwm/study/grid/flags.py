"""What a rollout must not be, to be ranked: frozen, too lively, or a replay of stored frames."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from .per_scene import PerScene, pooled_ratios
from .tasks import EVERYWHERE

LIKE_TRUTH = (0.9, 1.1)  # of the truth's motion
FROZEN = 0.5  # below it an arm stands rather than blurs, and not even its numbers are given a word
COPIED = 0.5  # share of frames
STILL = {"flow": 0.02, "change": 0.001}  # pixels, 0…1 a frame: a truth below it sets no scale


@dataclass(frozen=True)
class Look:
    """How an arm's rollouts look on a trajectory, beside the truth; nan where it was not measured.

    motion: ratio of optical flow, or of frame-to-frame change where there is no flow (`basis`). words: why it is not
    ranked; empty where it may be. outright: frozen or replayed, so that its numbers mean nothing.
    """

    trajectory: str
    arm: str
    motion: float
    basis: str
    change: float
    gradient: float
    copied: float
    words: tuple[str, ...] = ()
    outright: bool = False

    def as_mapping(self) -> dict[str, Any]:
        return {**vars(self), "words": list(self.words)}


def looks(results: pa.Table, values: PerScene) -> dict[tuple[str, str], Look]:
    """By (trajectory, arm). What is frozen or replayed on one trajectory is so over all of them."""
    ratios = {column: pooled_ratios(results, column) for column in ("flow", "change", "gradient")}
    basis = "flow" if ratios["flow"] else "change"
    found = {}
    for trajectory in values.trajectories:
        for arm in values.arms:
            key = trajectory, arm
            motion = _moving(ratios[basis].get(key), STILL[basis])
            change, gradient = (_moving(ratios[c].get(key), 0.0) for c in ("change", "gradient"))
            found[key] = _judged(Look(trajectory, arm, motion, basis, change, gradient, _copied(values, *key)))
    for arm in values.arms:
        each = [found[trajectory, arm] for trajectory in values.trajectories if trajectory != EVERYWHERE]
        worst = next((look for look in each if look.outright), None)
        whole = found[EVERYWHERE, arm]
        if worst is not None and not whole.outright:
            words = *whole.words, f"on {worst.trajectory} it {worst.words[0]}"
            found[EVERYWHERE, arm] = Look(**{**vars(whole), "words": words, "outright": True})
    return found


def blurred_share(found: Mapping[tuple[str, str], Look], arms: list[str]) -> float:
    """Share of these arms that move less than the truth over all trajectories."""
    slow = [found[EVERYWHERE, arm].motion < LIKE_TRUTH[0] for arm in arms if (EVERYWHERE, arm) in found]
    return sum(slow) / len(slow) if slow else 0.0


def _judged(look: Look) -> Look:
    words, outright = [], False
    if not math.isnan(look.motion) and not LIKE_TRUTH[0] <= look.motion <= LIKE_TRUTH[1]:
        stands = look.motion < FROZEN
        words.append(f"{'stands still, moving' if stands else 'moves'} {look.motion:.2f} × as much as the truth")
        outright |= stands
    if look.copied > COPIED:
        words.append(f"replays stored frames in {100 * look.copied:.0f} % of its frames")
        outright = True
    return Look(**{**vars(look), "words": tuple(words), "outright": outright})


def _moving(found: tuple[float, float] | None, still: float) -> float:
    return math.nan if found is None or found[1] <= still else found[0]


def _copied(values: PerScene, trajectory: str, arm: str) -> float:
    rollouts = values.rollouts(trajectory, "copied", arm)
    return math.nan if np.isnan(rollouts).all() else float(np.nanmean(rollouts))
