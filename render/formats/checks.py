"""What every reader asks of the numbers in a file before they become Gaussians."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32

from ..gaussians import Gaussians
from .errors import FormatError

_BLOCK = 1 << 16  # rows normalised at a time, so that the float64 copy stays small


def checked_gaussians(
    path: Path,
    *,
    means: Float32[np.ndarray, "N 3"],
    quats: Float32[np.ndarray, "N 4"],
    scales: Float32[np.ndarray, "N 3"],
    opacities: Float32[np.ndarray, " N"],
    sh: Float32[np.ndarray, "N K 3"],
) -> Gaussians:
    """The Gaussians of a file's values, in the units of `Gaussians`; quats need not have unit length and are
    normalised in place, SH bands that are zero throughout are dropped.

    Raises FormatError for what is not finite, scales below 0, opacities outside 0..1, and zero quaternions.
    """
    values = {"positions": means, "rotations": quats, "scales": scales, "opacities": opacities, "colours": sh}
    for name, array in values.items():
        if not np.isfinite(array).all():
            raise FormatError(path, "finite numbers", f"NaN or infinity in its {name}", "export it again")
    if (scales < 0).any():
        raise FormatError(path, "scales of 0 or more", f"{scales.min():.3g}", "export it again")
    if ((opacities < 0) | (opacities > 1)).any():
        worst = opacities[np.abs(opacities - 0.5).argmax()]
        raise FormatError(path, "opacities of 0..1", f"{worst:.3g}", "export it again")
    _normalise(quats, path)
    return Gaussians(
        means=torch.from_numpy(means),
        quats=torch.from_numpy(quats),
        scales=torch.from_numpy(scales),
        opacities=torch.from_numpy(opacities),
        sh=torch.from_numpy(np.ascontiguousarray(_without_zero_bands(sh))),
    )


def scales_from_logs(logs: Float32[np.ndarray, "N 3"], path: Path) -> Float32[np.ndarray, "N 3"]:
    """Linear scales, in place. Raises FormatError where they are too large for a float."""
    with np.errstate(over="ignore"):
        np.exp(logs, out=logs)
    if np.isinf(logs).any():
        raise FormatError(path, "log scales below 88", "larger ones", "are they linear? export it again")
    return logs


def _normalise(quats: np.ndarray, path: Path) -> None:
    for start in range(0, len(quats), _BLOCK):
        block = quats[start : start + _BLOCK].astype(np.float64)  # squares of float32 values may overflow
        length = np.sqrt(np.square(block).sum(axis=1, keepdims=True))
        if not length.all():
            raise FormatError(path, "rotations as quaternions", "a zero quaternion", "export it again")
        quats[start : start + _BLOCK] = block / length


def _without_zero_bands(sh: np.ndarray) -> np.ndarray:
    while sh.shape[1] > 1:
        lower = (round(sh.shape[1] ** 0.5) - 1) ** 2
        if sh[:, lower:].any():
            break
        sh = sh[:, :lower]
    return sh
