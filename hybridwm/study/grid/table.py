"""results.parquet: one row for each imagined frame and one for each rollout; the same bytes for the same cells.

What identifies a row are `KEYS`. A row of a frame has its `step` (0 is the first imagined frame) and the measures of
`FRAME`; a row of a rollout has step -1 and those of `ROLLOUT`. What was not measured is null. Times, which no two runs
share, are in timings.parquet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet

from render.files import atomic_write

KEYS = {
    "trajectory": pa.string(),
    "scene": pa.int64(),
    "arm": pa.string(),
    "noise_seed": pa.int64(),
    "step": pa.int64(),
}

# Sums of squared 8-bit errors and the numbers of values in them, by mask; they pool exactly, decibels do not.
MASKS = ("all", "seen", "never", "moving")
FRAME = (
    *(f"{what}_{mask}" for mask in MASKS for what in ("se", "n")),
    "ssim",
    "change",  # mean absolute change from the frame before, 0…1
    "change_true",
    "flow",  # mean length of the optical flow from the frame before, pixels
    "flow_true",
    "gradient",  # mean squared difference of neighbouring pixels
    "gradient_true",
    "rotation_error",  # degrees between the commanded and the measured motion over FOLLOWED frames
    "translation_error",  # metres
    "translation_error_scaled",  # metres, after the scale that fits best
    "followed",  # 1 where the camera's motion was found from the images, 0 where not
    "revisit",  # mean squared 8-bit difference to the frame of the same camera, where there was one before
)
ROLLOUT = (
    "drift",  # dB a step: slope of PSNR over steps
    "nmr",
    "retrieval",  # 1 where the last frame is nearest to its own true view
    "reached",  # 1 where the plan chosen by its last imagined frame ends at the goal
    "reach_metres",  # from there to the goal
    "reach_degrees",
    "rank_correlation",  # of 16 plans, dreamt against true
    "copied",  # share of frames nearer to a stored frame than they should be
    "gsc",
    "lcm",
    "gaussians",
    "scene_bytes",
    "depth_error",  # median relative error of the scene's depth at the true cameras
    "f_score",  # at 5 cm
    "coverage",
)
TIMES = ("frames", "denoise", "render", "depth", "fuse", "cell")  # seconds, but for the number of frames


def results_table(rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Rows as a table of fixed columns, in the order given. Raises ValueError for a measure that has no column."""
    return _table(rows, (*FRAME, *ROLLOUT))


def timings_table(rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """One row for each rollout."""
    return _table(rows, TIMES)


def write(path: Path, table: pa.Table) -> None:
    """Writes a table whole or not at all."""
    with atomic_write(path) as temporary:
        parquet.write_table(table, temporary, compression="zstd")


def read(path: Path) -> pa.Table:
    """A table that `write` wrote. Raises FileNotFoundError, and ValueError for another file."""
    try:
        return parquet.read_table(path, memory_map=False)
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path}: expected a parquet table of a study; got {error}.") from None


def _table(rows: Iterable[Mapping[str, Any]], measures: tuple[str, ...]) -> pa.Table:
    rows = list(rows)
    unknown = {name for row in rows for name in row} - set(KEYS) - set(measures)
    if unknown:
        raise ValueError(f"study table: expected the columns {', '.join(measures)}; got {sorted(unknown)}; add them.")
    schema = pa.schema([*KEYS.items(), *((name, pa.float64()) for name in measures)])
    columns = [[row.get(name) for row in rows] for name in schema.names]
    return pa.table([pa.array(column, kind) for column, kind in zip(columns, schema.types, strict=True)], schema=schema)
