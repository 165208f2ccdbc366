"""Poses of files checked: rotations that are rotations, in float64 until a camera is made of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from render.conventions import wxyz_from_xyzw
from render.formats.errors import FormatError
from render.transforms import matrix_from_quats

TOLERANCE = 0.02  # of a rotation's entries and a quaternion's length: files with few digits stay below it
FARTHEST = 1e12


def rigid(path: Path, matrices: ndarray | Tensor) -> Float[Tensor, "N 4 4"]:
    """Rigid transforms from [N, 3, 4] or [N, 4, 4] numbers, their rotations made orthogonal.

    Raises FormatError, with the number of the pose, for what is not finite, not a rotation, or mirrored.
    """
    given = torch.as_tensor(matrices, dtype=torch.float64)
    rigid = torch.eye(4, dtype=torch.float64).repeat(len(given), 1, 1)
    rigid[:, :3] = given[:, :3]
    finite = (given.abs() < FARTHEST).flatten(1).all(dim=1)
    _refuse(path, finite, given, "finite numbers in every pose")
    if given.shape[1] == 4:
        last = (given[:, 3] - given.new_tensor([0, 0, 0, 1])).abs().amax(dim=1) < 1e-6
        _refuse(path, last, given, "0 0 0 1 as the last row of every pose")
    linear = rigid[:, :3, :3]
    error = (linear @ linear.mT - torch.eye(3, dtype=torch.float64)).abs().amax(dim=(1, 2))
    _refuse(path, error < TOLERANCE, given, "rotations in every pose")
    _refuse(path, torch.linalg.det(linear) > 0, given, "rotations that do not mirror")
    u, _, vt = torch.linalg.svd(linear)
    rigid[:, :3, :3] = u @ vt
    return rigid


def from_position_xyzw(path: Path, rows: ndarray) -> Float[Tensor, "N 4 4"]:
    """c2w of rows tx ty tz qx qy qz qw [N, 7] (TUM, ICL-NUIM). Raises FormatError."""
    values = torch.as_tensor(rows, dtype=torch.float64)
    return from_quats(path, wxyz_from_xyzw(values[:, 3:]), values[:, :3])


def from_quats(path: Path, wxyz: Tensor, translations: Tensor) -> Float[Tensor, "N 4 4"]:
    """Transforms with these rotations (unit quaternions) and translations [N, 3]. Raises FormatError."""
    length = torch.linalg.vector_norm(wxyz, dim=1)
    _refuse(path, (length - 1).abs() < TOLERANCE, length, "unit quaternions")
    return rigid(path, torch.cat([matrix_from_quats(wxyz), translations[..., None]], dim=2))


def _refuse(path: Path, good: Tensor, values: Tensor, expected: str) -> None:
    if not bool(good.all()):
        worst = int(np.flatnonzero(~good.numpy())[0])
        got = f"{np.array2string(values[worst].numpy().ravel(), precision=3, threshold=16)} in number {worst}"
        raise FormatError(path, expected, got, "correct or leave out that pose")
