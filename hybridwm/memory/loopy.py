"""Samples of the whole recent past, ever sparser with age: the temporal segment module of Loopy (Jiang et al. 2024)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from recon import GaussianScene, View, resize_view
from render import Camera

from ..core.conditioning import Recalled
from .past import Past, PastFrame

HEIGHT_SHARE, WIDTH_SHARE = 1 / 2, 3 / 8
"""A slot's frame over the core's: 20 slots are then about as many tokens as four whole frames."""


def segments(stride: int, ratio: int, count: int) -> tuple[tuple[int, int], ...]:
    """(first, last) frame of each of stride · count slots, newest slot first, −1 being the frame before the present.

    Slot i lies in segment k = i // stride and is ratio ** k frames long. Raises ValueError below 1.
    """
    if min(stride, ratio, count) < 1:
        raise ValueError(f"segments: expected stride, ratio and count of at least 1; got {stride}, {ratio}, {count}.")
    slots, last = [], -1
    for i in range(stride * count):
        length = ratio ** (i // stride)
        slots.append((last - length + 1, last))
        last -= length
    return tuple(slots)


@dataclass(frozen=True)
class LoopyMemory:
    """20 slots over the 124 frames before the present by default. A slot is shown by its middle frame, scaled down to
    multiples of `patch`; slots from before the beginning are absent."""

    patch: int = 8
    stride: int = 4
    ratio: int = 2
    count: int = 5
    frames: int | None = None
    grounded: bool = False

    def begin(self, device: Any) -> Past:
        return Past()

    def recall(self, state: Past, camera: Camera, baseline: float | None) -> Recalled:
        by_step = {frame.step: frame for frame in state.frames}
        wanted = [state.newest + 1 + (first + last) // 2 for first, last in self.slots]
        return Recalled(frames=tuple(by_step[step].remembered() for step in wanted if step in by_step))

    def observe(
        self,
        state: Past,
        view: View,
        *,
        observed: bool,
        step: int,
        recalled: Recalled | None,
        earlier: Sequence[View] = (),
    ) -> Past:
        small = resize_view(view, self._scaled(view.width, WIDTH_SHARE), self._scaled(view.height, HEIGHT_SHARE))
        reach = -self.slots[-1][0]
        return Past((*state.frames, PastFrame.of(small, step, observed))[-reach:], step)

    def scene(self, state: Past) -> GaussianScene | None:
        return None

    @property
    def slots(self) -> tuple[tuple[int, int], ...]:
        return segments(self.stride, self.ratio, self.count)

    def _scaled(self, side: int, share: float) -> int:
        return max(1, round(side * share / self.patch)) * self.patch
