"""images/, depth/, K.txt and poses.txt: the layout of the deep-video-mvs recordings (HoloLens).

Camera to world row by row with OpenCV axes, metres; depth in 16 bits of a millimetre, 0 = none.
"""

from __future__ import annotations

from pathlib import Path

import torch

from render.formats.errors import FormatError
from render.transforms import invert_rigid

from . import tables
from .captured import Captured, Views, frame
from .intrinsics import read_intrinsics
from .pictures import exists, listed, size_of
from .poses import rigid

METRES_PER_STEP = 0.001


def read_posed_rgbd(folder: Path) -> Captured:
    """The images that poses.txt names (name and 16 numbers a row), or all in the order of its rows (16 numbers).

    Depth is that of the same name in depth/, if any. Names without an image go to `missing`.
    Raises FileNotFoundError or FormatError.
    """
    images = {image.stem: image for image in listed(folder / "images")} if (folder / "images").is_dir() else {}
    if not images:
        raise FileNotFoundError(f"{folder}: expected images/ with images in it; found none; check the path.")
    path = folder / "poses.txt"
    names, rows = _rows(path, list(images))
    w2c = invert_rigid(rigid(path, torch.tensor(rows, dtype=torch.float64).reshape(-1, 4, 4)))
    lens, left_handed = read_intrinsics(folder / "K.txt", size_of(next(iter(images.values()))))
    if left_handed:
        raise FormatError(folder / "K.txt", "fy > 0", "fy < 0", "poses of this layout have OpenCV axes")
    frames = [
        frame(images[name], lens, pose, depth=_depth(folder, name), depth_unit=METRES_PER_STEP)
        for name, pose in zip(names, w2c, strict=True)
        if name in images
    ]
    return Captured(
        Views(frames),
        [images[name].name for name in names if name in images],
        [name for name in names if name not in images],
        kind="posed_rgbd",
    )


def _rows(path: Path, images: list[str]) -> tuple[list[str], list[list[float]]]:
    """The name of each pose, and its numbers."""
    names: list[str] = []
    rows: list[list[float]] = []
    for at, words in tables.lines(path):
        if len(words) not in (16, 17) or (rows and (len(words) == 17) != bool(names)):
            expected = f"[name and] the 16 numbers of c2w in line {at}"
            raise FormatError(path, expected, f"{len(words)} words", "write all rows alike")
        names += [words[0].rpartition(".")[0] or words[0]] if len(words) == 17 else []
        rows.append(tables.numbers(path, words[-16:], f"line {at}"))
    if not names and len(rows) != len(images):
        raise FormatError(path, f"a pose for each of {len(images)} images", f"{len(rows)}", "copy all of them")
    return names or images, rows


def _depth(folder: Path, name: str) -> Path | None:
    path = folder / "depth" / f"{name}.png"
    return path if exists(path) else None
