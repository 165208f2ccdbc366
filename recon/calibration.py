"""Calibration of a rectified pair: Middlebury's calib.txt (2014 and later), in metres from here on."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from render.camera import Camera
from render.conventions import K_from_integer_centers
from render.formats import FormatError

LARGEST_FILE = 1_000_000  # bytes


@dataclass(frozen=True)
class Calibration:
    """A rectified pair. focal, cx, cy, disparity_offset (doffs) in pixels; baseline in metres; width, height
    of the images, and the largest disparity that occurs, in pixels, where the file says so."""

    focal: float
    cx: float
    cy: float
    baseline: float
    disparity_offset: float = 0.0
    width: int | None = None
    height: int | None = None
    max_disparity: int | None = None

    def camera(self, width: int, height: int) -> Camera:
        """The left camera, at the origin of the world. Raises ValueError for images of another size."""
        expected = (self.width or width, self.height or height)
        if (width, height) != expected:
            raise ValueError(
                f"the calibration is for images of {expected[0]}x{expected[1]}; got {width}x{height}. "
                "Use the calibration of these images, or resize the images."
            )
        K = torch.tensor([[self.focal, 0, self.cx], [0, self.focal, self.cy], [0, 0, 1]], dtype=torch.float32)
        return Camera(K, torch.eye(4), width, height)


def read_calibration(path: str | Path) -> Calibration:
    """Read a Middlebury calib.txt: cam0=[f 0 cx; 0 f cy; 0 0 1] and baseline in mm; doffs (else cam1), width,
    height and ndisp where they are given.

    Raises FileNotFoundError, or FormatError when a needed entry is missing or not a positive finite number.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such calibration; expected a Middlebury calib.txt; check the path.")
    size = path.stat().st_size
    if size > LARGEST_FILE:
        raise FormatError(path, f"a calib.txt below {LARGEST_FILE} bytes", f"{size} bytes", "name the right file")
    entries: dict[str, str] = {}
    for line in path.read_bytes().decode("utf-8", errors="replace").splitlines():
        key, equals, value = line.partition("=")
        if equals:
            entries[key.strip()] = value.strip()

    left = _matrix(path, entries, "cam0")
    focal, cx, cy = float(left[0, 0]), float(left[0, 2]), float(left[1, 2])
    if not focal > 0:
        raise FormatError(path, "a positive focal length in cam0", str(focal), "write cam0=[f 0 cx; 0 f cy; 0 0 1]")
    baseline = _number(path, entries, "baseline", "the distance between the cameras in mm")
    if not baseline > 0:
        raise FormatError(path, "a baseline above 0 mm", str(baseline), "check whether the pair is swapped")
    if "doffs" in entries:
        offset = _number(path, entries, "doffs", "pixels")
    else:
        offset = float(_matrix(path, entries, "cam1")[0, 2]) - cx if "cam1" in entries else 0.0
    return Calibration(
        focal=focal,
        cx=cx,
        cy=cy,
        baseline=baseline / 1000,
        disparity_offset=offset,
        width=_count(path, entries, "width"),
        height=_count(path, entries, "height"),
        max_disparity=_count(path, entries, "ndisp"),
    )


def _matrix(path: Path, entries: dict[str, str], key: str) -> Float[Tensor, "3 3"]:
    text = _entry(path, entries, key, "[f 0 cx; 0 f cy; 0 0 1] in pixels")
    numbers = [_finite(path, key, part) for part in re.split(r"[\s;,]+", text.strip("[]; ")) if part]
    if len(numbers) != 9:
        got = f"{len(numbers)} numbers"
        raise FormatError(path, f"9 numbers in {key}", got, f"write {key}=[f 0 cx; 0 f cy; 0 0 1]")
    return K_from_integer_centers(torch.tensor(numbers, dtype=torch.float64).reshape(3, 3))


def _number(path: Path, entries: dict[str, str], key: str, meaning: str) -> float:
    return _finite(path, key, _entry(path, entries, key, meaning))


def _count(path: Path, entries: dict[str, str], key: str) -> int | None:
    if key not in entries:
        return None
    number = _finite(path, key, entries[key])
    if not (number == int(number) and 1 <= number < 1_000_000):
        raise FormatError(path, f"a whole number of pixels in {key}", repr(entries[key][:40]), "correct the line")
    return int(number)


def _entry(path: Path, entries: dict[str, str], key: str, meaning: str) -> str:
    if key not in entries:
        found = (", ".join(entries) or "no entries")[:120]
        do = "add the line, or give focal and baseline instead of a calibration"
        raise FormatError(path, f"{key}= ({meaning})", f"only {found}", do)
    return entries[key]


def _finite(path: Path, key: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise FormatError(path, f"a finite number in {key}", repr(text[:40]), "correct the line")
    return number
