"""What the readers ask of image files: their size before they are decoded, and depth in 16 bits."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from jaxtyping import Float32
from PIL import Image, UnidentifiedImageError

from render.formats.errors import FormatError
from render.images import MAX_PIXELS

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
MOST_FILES = 200_000

_DAMAGED = (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError)


def size_of(path: Path) -> tuple[int, int]:
    """Width and height by the file's head. Raises FormatError for no image, or one above 50 megapixels."""
    try:
        with Image.open(path) as image:
            width, height = image.size
    except _DAMAGED as error:
        raise FormatError(path, "an image", str(error)[:80] or "none", "is it complete? save it again") from None
    if not 0 < width * height <= MAX_PIXELS:
        raise FormatError(path, f"1 to {MAX_PIXELS} pixels", f"{width} x {height}", "scale it down")
    return width, height


def read_depth(path: Path, unit: float, *, unknown: int | None = None) -> Float32[np.ndarray, "H W"]:
    """A 16-bit grey image as metres, `unit` metres a step; 0 where it is 0 or `unknown`.

    Raises FormatError for other images.
    """
    size_of(path)
    try:
        with Image.open(path) as image:
            mode, steps = image.mode, np.asarray(image)
    except _DAMAGED as error:
        raise FormatError(path, "a depth image", str(error)[:80], "is it complete? save it again") from None
    if not mode.startswith("I") or steps.ndim != 2:
        raise FormatError(path, "a grey image of 16 bits", f"mode {mode}", "save depth as 16-bit PNG")
    if unknown is not None:
        steps = np.where(steps == unknown, 0, steps)
    return np.maximum(steps, 0).astype(np.float32) * np.float32(unit)


def listed(folder: Path) -> list[Path]:
    """The image files of a folder by name, numbers in them by their value. Raises FormatError for too many."""
    found: list[Path] = []
    for path in folder.iterdir():
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file():
            found.append(path)
            if len(found) > MOST_FILES:
                raise FormatError(folder, f"at most {MOST_FILES} images", "more", "split the folder")
    return sorted(found, key=by_number)


def by_number(path: Path) -> list[tuple[int, str]]:
    """For sorting by name with the numbers in it by their value: 2.png before 10.png."""
    parts = re.split(r"([0-9]+)", path.name)
    return [(int(part), "") if at % 2 else (-1, part) for at, part in enumerate(parts)]


def inside(folder: Path, relative: str, named_in: Path) -> Path:
    """A file that `named_in` names, which must lie in the folder, through links too. Raises FormatError."""
    candidate = folder / relative.replace("\\", "/")
    try:
        lies_inside = candidate.resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError):  # too long a name, a zero byte, a circle of links
        lies_inside = False
    if not lies_inside:
        do = "name files inside the folder, or copy them there"
        raise FormatError(named_in, f"files inside {folder}", repr(relative)[:100], do)
    return candidate


def exists(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
