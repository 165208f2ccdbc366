"""Whether a rollout replays what it was shown in place of imagining what is there."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from .retrieval import CANDIDATES, blurred, retrieved, view_distances

TELLS = 8 / 255  # the truth differs from a stored frame by more than this, or nothing can be told
NEARER = 0.5  # of the distance that the truth has


def copied_frames(
    frames: Float[Tensor, "T H W 3"], truth: Float[Tensor, "T H W 3"], stored: Float[Tensor, "V H W 3"]
) -> tuple[Bool[Tensor, " T"], Bool[Tensor, " T"]]:
    """(copied, told): a frame is copied where d(frame, stored) < ½ d(truth, stored) for the stored frame nearest to it.

    told: where the truth is farther than 8/255 from that stored frame; elsewhere a right frame is like it, too. d is
    that of retrieval.view_distances.
    """
    shown, real, past = blurred(frames), blurred(truth), blurred(stored)
    away, index = torch.stack([(frame - past).abs().mean(dim=(1, 2, 3)) for frame in shown]).min(dim=1)
    true = (real - past[index]).abs().mean(dim=(1, 2, 3))
    told = true > TELLS
    return told & (away < NEARER * true), told


def copied_share(
    frames: Float[Tensor, "T H W 3"], truth: Float[Tensor, "T H W 3"], stored: Float[Tensor, "V H W 3"]
) -> float:
    """The share of frames that are copies, of those of which it can be told; nan where of none."""
    copied, told = copied_frames(frames, truth, stored)
    return float(copied.sum() / told.sum()) if bool(told.any()) else math.nan


def shifted_retrieval(
    frame: Float[Tensor, "H W 3"], right: Float[Tensor, "H W 3"], others: Float[Tensor, "N H W 3"]
) -> float:
    """Whether a frame is nearest to its own true view, of 16: 1, 0, or a fair share where several are; nan for too few.

    others: true views from other cameras of the episode, the stored ones first. The 15 that are nearest to the right
    one compete, of those that differ from it by more than 4/255; so a replay of the nearest stored view loses.
    """
    away = view_distances(right, others)
    rivals = others[away > TELLS / 2]
    away = away[away > TELLS / 2]
    if len(rivals) < CANDIDATES - 1:
        return math.nan
    chosen = rivals[away.argsort(stable=True)[: CANDIDATES - 1]]
    return retrieved(view_distances(frame, torch.cat([right[None], chosen])))
