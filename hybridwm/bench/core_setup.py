"""How much of the core is measured, and where the numbers of each scene go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..run_folder import RunFolder
from ..study.arms import Use
from ..study.demo_config import FIRST_HELD_OUT_SEED
from ..study.statistics import Interval

VIEWS = 8  # observed frames before anything is imagined


@dataclass(frozen=True)
class CoreSetup:
    """Weights by packaged name, folder or file; `twin`: other weights, held against the same scenes. use: how both are
    sampled where they are rolled out (actions, drift)."""

    weights: str = "rooms-64"
    twin: str | None = None
    quick: bool = False
    workers: int = 2
    first_seed: int = FIRST_HELD_OUT_SEED
    use: Use = Use()

    def scenes(self, all_of_them: int) -> int:
        """A quarter of the rooms where the run is quick; four at least, for an interval."""
        return max(4, all_of_them // 4) if self.quick else all_of_them


def described(interval: Interval) -> dict[str, float]:
    """An interval as figures: value, low, high, and the number of scenes."""
    return {"value": interval.value, "low": interval.low, "high": interval.high, "n": float(interval.n)}


def keep(folder: RunFolder | None, **measurement: Any) -> None:
    """One line of metrics.jsonl, where there is a run folder."""
    if folder is not None:
        folder.log(**measurement)
