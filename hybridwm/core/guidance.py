"""History guidance: predictions under several histories, weighed against the one without any.

Source: Song et al. 2025 (history-guided video diffusion), x = x(∅) + Σ wᵢ (x(Hᵢ) - x(∅)), written in clean frames.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class History:
    """One history that the next frame is predicted from: the newest `frames` (None: all that the context has), shown
    at flow time `noise` (None: the context's own)."""

    weight: float
    frames: int | None = None
    noise: float | None = None


@dataclass(frozen=True)
class HistoryGuidance:
    """Which histories there are; what is left of 1 is the weight of no history at all.

    Recall, action and camera are told in every one of them: guidance is over whole past frames and nothing else.
    """

    histories: tuple[History, ...] = (History(1.0),)

    def __post_init__(self) -> None:
        for history in self.histories:
            if history.frames is not None and history.frames < 1:
                raise ValueError(f"History.frames: expected at least 1, or None for all; got {history.frames}.")
            if history.noise is not None and not 0 <= history.noise < 1:
                raise ValueError(f"History.noise: expected a flow time in [0, 1); got {history.noise}.")

    @staticmethod
    def vanilla(weight: float) -> HistoryGuidance:
        """Classifier-free guidance over the whole history. 1 is the conditional prediction, 0 the unconditional one."""
        return HistoryGuidance((History(weight),))

    @staticmethod
    def temporal(weight: float, lengths: tuple[int, ...]) -> HistoryGuidance:
        """Several lengths of history, which share the weight."""
        if not lengths:
            raise ValueError("HistoryGuidance.temporal: expected at least one length; got none.")
        return HistoryGuidance(tuple(History(weight / len(lengths), frames) for frames in lengths))

    @staticmethod
    def fractional(weight: float, noise: float) -> HistoryGuidance:
        """The whole history once, and what is above 1 of the weight on a noisy one, of which only coarse things are
        left: motion is not guided away."""
        return HistoryGuidance((History(1.0), History(weight - 1, noise=noise)))

    @property
    def rest(self) -> float:
        """The weight of no history; shares that add up to 1 leave none, whatever their rounding."""
        rest = 1 - math.fsum(history.weight for history in self.histories)
        return 0.0 if abs(rest) < 1e-9 else rest

    @property
    def used(self) -> tuple[History, ...]:
        """Histories of a weight that counts."""
        return tuple(history for history in self.histories if history.weight)

    @property
    def calls(self) -> int:
        """Network calls for one solver step."""
        return len(self.used) + (self.rest != 0)

    @property
    def noises(self) -> tuple[float, ...]:
        """Flow times, beside the context's own, at which pages have to be written."""
        return tuple(sorted({h.noise for h in self.used if h.noise is not None}))
