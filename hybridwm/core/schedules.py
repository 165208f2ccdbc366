"""In which order the frames of a clip lose their noise: one after another, all at once, or as a pyramid."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

Schedule = Literal["autoregressive", "pyramid", "full_sequence"]
SCHEDULES: tuple[Schedule, ...] = ("autoregressive", "pyramid", "full_sequence")


def schedule_times(schedule: str, frames: int, solver_steps: int) -> Float[Tensor, "M F"]:
    """Flow time of each frame (columns) before and after each pass (rows): from 1 to 0 (Chen et al. 2024, fig. 3).

    autoregressive: a frame begins when the one before it is clean. pyramid: one pass later than the one before it.
    full_sequence: all at once.
    """
    if schedule not in SCHEDULES:
        raise ValueError(f"schedule: expected one of {', '.join(SCHEDULES)}; got {schedule!r}.")
    if frames < 1 or solver_steps < 1:
        raise ValueError(f"schedule_times: expected frames, solver_steps >= 1; got {frames}, {solver_steps}.")
    later = {"autoregressive": solver_steps, "pyramid": 1, "full_sequence": 0}[schedule]
    passes = solver_steps + later * (frames - 1)
    row = torch.arange(passes + 1)[:, None]
    return 1 - ((row - later * torch.arange(frames)) / solver_steps).clamp(0, 1)
