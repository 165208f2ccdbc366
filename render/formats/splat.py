"""Splats as `.splat`, the format of antimatter15's viewer: rows of 32 bytes without a header.

Position and linear scale as float32, then red, green, blue, opacity and the wxyz quaternion as bytes; colours look
the same from everywhere. The axes are those of the PLY that the file was made from.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..gaussians import Gaussians
from ..spherical_harmonics import DC
from .checks import checked_gaussians
from .errors import FormatError

_ROW = np.dtype([("mean", "<f4", 3), ("scale", "<f4", 3), ("rgb", "u1", 3), ("opacity", "u1"), ("quat", "u1", 4)])


def load_splat(path: Path) -> Gaussians:
    """Reads every row. Raises FormatError for a length that rows do not fill, and for values that no splat has."""
    length = path.stat().st_size
    if length == 0 or length % _ROW.itemsize:
        raise FormatError(
            path,
            f"rows of {_ROW.itemsize} bytes",
            f"{length} bytes",
            "the file is cut short or not a .splat: export it again",
        )
    rows = np.fromfile(path, dtype=_ROW, count=length // _ROW.itemsize)
    rgb = rows["rgb"].astype(np.float32) / 255
    return checked_gaussians(
        path,
        means=rows["mean"].astype(np.float32),
        quats=(rows["quat"].astype(np.float32) - 128) / 128,
        scales=rows["scale"].astype(np.float32),
        opacities=rows["opacity"].astype(np.float32) / 255,
        sh=((rgb - np.float32(0.5)) / np.float32(DC))[:, None],
    )
