"""Where a camera has been before, and how unlike the frame then is to the frame now."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from render.camera import Camera

from .metrics import quantize

DEGREES, METRES = 1.0, 0.02  # within which two cameras are one: a fifteenth of a turn, a twelfth of a step


def revisited(cameras: Sequence[Camera], least_gap: int = 2) -> Int[Tensor, " T"]:
    """For each camera the index of the first one that was the same, at least `least_gap` earlier; -1 where none was.

    The first and not the last: the picture that a place was given is what has to stay.
    """
    turn, metres = apart(cameras, cameras)
    count = len(cameras)
    index = torch.arange(count)
    same = (turn <= DEGREES) & (metres <= METRES) & (index[None] <= index[:, None] - least_gap)
    return torch.where(same.any(1), same.int().argmax(1), -1)


def apart(
    a: Sequence[Camera], b: Sequence[Camera]
) -> tuple[Float[Tensor, "A B"], Float[Tensor, "A B"]]:
    """Degrees and metres between each camera of a and each of b."""
    w2c_a, w2c_b = (Camera.stack(list(cameras)).to(torch.float64) for cameras in (a, b))
    between = torch.einsum("aij,bij->ab", w2c_a.w2c[:, :3, :3], w2c_b.w2c[:, :3, :3])  # trace of R_a R_bᵀ
    turn = torch.rad2deg(((between - 1) / 2).clamp(-1, 1).arccos())
    metres = (w2c_a.center[:, None] - w2c_b.center[None]).norm(dim=-1)
    return turn.float(), metres.float()


def revisit_errors(
    frames: Float[Tensor, "T H W 3"], cameras: Sequence[Camera], least_gap: int = 2
) -> Float[Tensor, " T"]:
    """Mean squared 8-bit difference of each frame to the first one of its camera; nan where there was none.

    frames: the observed ones first, then the imagined, in order of time. Raises ValueError for another number of
    cameras.
    """
    if len(frames) != len(cameras):
        raise ValueError(f"revisit_errors: expected a camera for each of {len(frames)} frames; got {len(cameras)}")
    before = revisited(cameras, least_gap)
    errors = torch.full((len(frames),), torch.nan)
    again = (before >= 0).nonzero()[:, 0]
    shown = quantize(frames)
    errors[again] = ((shown[again] - shown[before[again]]) ** 2).mean(dim=(1, 2, 3)).float()
    return errors
