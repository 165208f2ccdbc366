"""A camera as a file describes it: pinhole and lens, before the lens is undone."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from render.conventions import K_from_integer_centers
from render.formats.errors import FormatError

from . import tables

LARGEST = 1e6  # pixels
SMALLEST_FOCAL = 1e-3  # pixels: below, float32 loses it
ASPECT_TOLERANCE = 0.01


@dataclass(frozen=True)
class Intrinsics:
    """width, height, fx, fy, cx, cy in pixels, the first pixel's centre at (0.5, 0.5).

    distortion: OpenCV's k1 k2 p1 p2 [k3 [k4 k5 k6]], or for a fisheye lens k1 k2 k3 k4 of its polynomial in the
    angle (Kannala and Brandt 2006); empty or zero for a pinhole.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    distortion: tuple[float, ...] = ()
    fisheye: bool = False

    @property
    def K(self) -> Float[Tensor, "3 3"]:
        return torch.tensor([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]], dtype=torch.float64)

    @property
    def is_pinhole(self) -> bool:
        return not self.fisheye and not any(self.distortion)

    def resized(self, width: int, height: int) -> Intrinsics:
        """The same field of view on another pixel grid."""
        x, y = width / self.width, height / self.height
        return replace(self, width=width, height=height, fx=self.fx * x, cx=self.cx * x, fy=self.fy * y, cy=self.cy * y)

    def fitted(self, path: Path, width: int, height: int) -> Intrinsics:
        """For the image `path`, which may be a smaller or larger copy. Raises FormatError for another shape."""
        if (width, height) == (self.width, self.height):
            return self
        if abs(width * self.height / (height * self.width) - 1) > ASPECT_TOLERANCE:
            expected = f"an image of {self.width} x {self.height}, or scaled from it, as its calibration says"
            raise FormatError(path, expected, f"{width} x {height}", "use the calibration of these images")
        return self.resized(width, height)


def checked(
    path: Path,
    size: tuple[int, int],
    focal: tuple[float, float],
    principal: tuple[float, float],
    distortion: tuple[float, ...] = (),
    *,
    fisheye: bool = False,
    integer_centers: bool = False,
) -> Intrinsics:
    """Intrinsics from the numbers of a file; integer_centers where its first pixel's centre is (0, 0).

    Raises FormatError for what no camera has.
    """
    values = (*focal, *principal, *distortion)
    if not all(math.isfinite(value) and abs(value) < LARGEST for value in values):
        raise FormatError(path, "finite intrinsics", str(values)[:120], "calibrate again")
    if not min(focal) > SMALLEST_FOCAL:
        do = "check the order of the intrinsics"
        raise FormatError(path, f"focal lengths above {SMALLEST_FOCAL} px", str(focal), do)
    if not all(1 <= side <= LARGEST for side in size):
        raise FormatError(path, "an image of 1 to a million pixels a side", f"{size[0]} x {size[1]}", "correct it")
    K = torch.tensor([[focal[0], 0, principal[0]], [0, focal[1], principal[1]], [0, 0, 1]], dtype=torch.float64)
    K = K_from_integer_centers(K) if integer_centers else K
    cx, cy = float(K[0, 2]), float(K[1, 2])
    return Intrinsics(size[0], size[1], *focal, cx, cy, distortion if any(distortion) else (), fisheye)


def read_intrinsics(path: Path, size: tuple[int, int]) -> tuple[Intrinsics, bool]:
    """Intrinsics, and whether their fy is negative in the file: the sign of a left-handed camera with +y up, whose
    poses need `conventions.w2c_from_left_handed` (fy is positive in what is returned).

    From a text file with a 3x3 matrix, or with the line fx fy cx cy [k1 k2 p1 p2 [k3]] (a line of names is
    passed over), in OpenCV's convention: the first pixel's centre is (0, 0).

    Raises FileNotFoundError or FormatError.
    """
    rows: list[list[float]] = []
    for at, words in tables.lines(path, largest=1_000_000):
        if not rows and words[0].isalpha() and words[0].lower() != "nan":
            continue
        rows.append(tables.numbers(path, words, f"line {at}"))
        if len(rows) > 3:
            break
    if [len(row) for row in rows] == [3, 3, 3]:
        (fx, skew, cx), (zero, fy, cy), last = rows
        if abs(skew) > 1e-6 * abs(fx) or zero or last != [0, 0, 1]:
            raise FormatError(path, "[fx 0 cx; 0 fy cy; 0 0 1]", str(rows)[:120], "calibrate without skew")
        return checked(path, size, (fx, abs(fy)), (cx, cy), integer_centers=True), fy < 0
    if [len(row) for row in rows] in ([4], [8], [9]):
        fx, fy, cx, cy, *distortion = rows[0]
        if fy < 0 and any(distortion):
            raise FormatError(path, "fy > 0 beside lens distortion", str(fy), "calibrate with +y down")
        return checked(path, size, (fx, abs(fy)), (cx, cy), tuple(distortion), integer_centers=True), fy < 0
    found = f"rows of {[len(row) for row in rows]} numbers"
    raise FormatError(path, "a 3x3 matrix, or fx fy cx cy [k1 k2 p1 p2 [k3]]", found, "write it so")
