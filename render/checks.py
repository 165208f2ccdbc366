"""What every backend refuses to render, said before any work is done: which argument, which one, what to do."""

from __future__ import annotations

import math
from dataclasses import fields

import torch
from torch import Tensor

from .camera import Camera
from .gaussians import Gaussians

TOLERANCE = 1e-5  # of the entries that must be 0 or 1; skew relative to the focal length


def check_gaussians(gaussians: Gaussians) -> None:
    """Finite values, opacities in 0..1, scales not negative.

    Raises ValueError that names the field and the first Gaussian that is wrong.
    """
    for field in fields(gaussians):
        values = getattr(gaussians, field.name)
        # A finite sum proves that every value is finite; only a sum that is not needs a closer look.
        if values is None or values.detach().sum().isfinite():
            continue
        _refuse(field.name, values, ~values.isfinite(), "must be finite", "Drop or repair them.")
    if len(gaussians) == 0:
        return
    opacities, scales = gaussians.opacities.detach(), gaussians.scales.detach()
    least, most = opacities.aminmax()
    if least < 0 or most > 1:
        wrong = (opacities < 0) | (opacities > 1)
        _refuse("opacities", opacities, wrong, "must lie in 0..1", "Logits? Apply sigmoid.")
    if scales.amin() < 0:
        _refuse("scales", scales, scales < 0, "must not be negative", "Logarithms? Apply exp.")


def check_cameras(cameras: Camera) -> None:
    """Pinhole intrinsics with positive focal lengths and no skew, and finite transforms with row 0 0 0 1.

    Raises ValueError that names the matrix and the first camera that is wrong.
    """
    # Read as numbers at once: a few dozen comparisons cost less than the tensor operations would.
    for i, K in enumerate(cameras.K.detach().reshape(-1, 3, 3).tolist()):
        (fx, skew, cx), (zero, fy, cy), bottom = K
        if not all(math.isfinite(value) for value in (fx, skew, cx, zero, fy, cy, *bottom)):
            raise ValueError(f"Camera.K must be finite; camera {i} has {K}.")
        if fx <= 0 or fy <= 0:
            raise ValueError(
                f"Camera.K must have positive focal lengths in pixels; camera {i} has fx = {fx:g}, fy = {fy:g}. "
                "Another tool's axes? Convert them with render.conventions."
            )
        if abs(skew) > TOLERANCE * fx or abs(zero) > TOLERANCE * fy or _differs(bottom, [0, 0, 1]):
            raise ValueError(
                f"Camera.K must be a pinhole [[fx, 0, cx], [0, fy, cy], [0, 0, 1]] without skew; camera {i} "
                f"has {K}. Undistort the images first."
            )
    for i, rows in enumerate(cameras.w2c.detach().reshape(-1, 4, 4).tolist()):
        if not all(math.isfinite(value) for row in rows for value in row):
            raise ValueError(f"Camera.w2c must be finite; camera {i} has {rows}.")
        if _differs(rows[3], [0, 0, 0, 1]):
            raise ValueError(f"Camera.w2c must end with the row 0 0 0 1; camera {i} ends with {rows[3]}. Transposed?")


def check_absolute_gradients(totals: Tensor, gaussians: Gaussians, cameras: Camera) -> None:
    """A place to add to, [V, N, 2] float32 on the Gaussians' device. Raises ValueError for any other tensor."""
    expected = (len(cameras), len(gaussians), 2)
    if totals.shape != expected or totals.dtype != torch.float32 or totals.device != gaussians.device:
        raise ValueError(
            f"absolute_gradients must be float32 {list(expected)} (cameras, Gaussians, u and v) on {gaussians.device}; "
            f"got {totals.dtype} {list(totals.shape)} on {totals.device}. Pass torch.zeros(...)."
        )
    if totals.requires_grad:
        raise ValueError("absolute_gradients is written to by the backward pass; it must not require gradients.")


def _differs(row: list[float], expected: list[int]) -> bool:
    return any(abs(value - target) > TOLERANCE for value, target in zip(row, expected, strict=True))


def _refuse(name: str, values: Tensor, wrong: Tensor, rule: str, advice: str) -> None:
    rows = wrong.flatten(1).any(dim=1) if wrong.ndim > 1 else wrong
    if not bool(rows.any()):  # finite values whose sum overflowed
        return
    first = int(torch.nonzero(rows)[0, 0])
    value = float(values[first][wrong[first]].flatten()[0])
    raise ValueError(
        f"Gaussians.{name} {rule} to be rendered; Gaussian {first} holds {value:g} "
        f"({int(rows.sum())} of {len(rows)} Gaussians do so). {advice}"
    )
