"""What each arm costs: milliseconds a frame by part, Gaussians and bytes of its scene."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

PARTS = ("denoise", "render", "depth", "fuse")


def costs(results: pa.Table, timings: pa.Table) -> list[dict[str, Any]]:
    """{"arm", "milliseconds": by part, "gaussians", "bytes"}; times are sums over rollouts by sums of frames."""
    arms = timings.column("arm").to_numpy()
    frames = timings.column("frames").to_numpy().astype(float)
    scenes = results.column("arm").to_numpy()
    found = []
    for arm in dict.fromkeys(arms.tolist()):
        own = arms == arm
        total = float(np.nansum(frames[own]))
        spent = {part: float(np.nansum(timings.column(part).to_numpy().astype(float)[own])) for part in PARTS}
        found.append(
            {
                "arm": arm,
                "milliseconds": {part: 1000 * s / total for part, s in spent.items() if s > 0} if total else {},
                "gaussians": _mean(results, "gaussians", scenes == arm),
                "bytes": _mean(results, "scene_bytes", scenes == arm),
            }
        )
    return found


def _mean(results: pa.Table, column: str, rows: np.ndarray) -> float | None:
    values = results.column(column).to_numpy().astype(float)[rows]
    values = values[~np.isnan(values)]
    return float(values.mean()) if len(values) else None
