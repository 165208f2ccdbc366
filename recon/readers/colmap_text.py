"""COLMAP's text models: cameras.txt, images.txt (two lines an image), points3D.txt. Source: COLMAP's documentation of
its output format."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from render.formats.errors import FormatError

from . import tables
from .colmap_model import ColmapImage, ColmapPoints, add, camera_of
from .intrinsics import Intrinsics
from .pictures import MOST_FILES

LARGEST_FILE = 2_000_000_000  # bytes
LONGEST_LINE = 4_000_000  # characters: a hundred thousand observations


def read_cameras(path: Path) -> dict[int, Intrinsics]:
    """Raises FileNotFoundError or FormatError."""
    cameras: dict[int, Intrinsics] = {}
    for at, words in tables.lines(path):
        if len(words) < 5:
            raise FormatError(path, f"id model width height parameters in line {at}", str(words)[:80], "correct it")
        camera_id, width, height = (_integer(path, words[i], at) for i in (0, 2, 3))
        camera = camera_of(path, words[1], (width, height), tables.numbers(path, words[4:], f"line {at}"))
        add(path, cameras, camera_id, camera, MOST_FILES)
    return cameras


def read_images(path: Path, observations: bool) -> dict[int, ColmapImage]:
    """Raises FileNotFoundError or FormatError."""
    images: dict[int, ColmapImage] = {}
    rows = tables.raw_lines(path, largest=LARGEST_FILE, longest=LONGEST_LINE)
    for at, line in rows:
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) < 10:
            expected = f"id qw qx qy qz tx ty tz camera name in line {at}"
            raise FormatError(path, expected, line.strip()[:80], "is it an images.txt? export it again")
        pose = tables.numbers(path, words[1:8], f"line {at}")
        name = line.split(maxsplit=9)[9].strip()  # names may hold spaces
        # The second line is there even when it is empty, so it must not be taken for a gap.
        _, second = next(rows, (at, ""))
        more = _observations(path, second.split(), at + 1) if observations else {}
        wxyz, translation = tuple(pose[:4]), tuple(pose[4:])
        image = ColmapImage(name, _integer(path, words[8], at), wxyz, translation, **more)
        add(path, images, _integer(path, words[0], at), image, MOST_FILES)
    return images


def read_points(path: Path) -> ColmapPoints:
    """Raises FileNotFoundError or FormatError."""
    ids: list[int] = []
    rows: list[np.ndarray] = []
    for at, words in tables.lines(path, largest=LARGEST_FILE, longest=LONGEST_LINE):
        if len(words) < 8 or len(words) % 2:
            expected = f"id x y z r g b error and pairs in line {at}"
            raise FormatError(path, expected, f"{len(words)} words", "is it a points3D.txt? export it again")
        ids.append(_integer(path, words[0], at))
        rows.append(np.array(tables.numbers(path, words[1:8], f"line {at}")))
    values = np.stack(rows) if rows else np.zeros((0, 7))
    if ((values[:, 3:6] < 0) | (values[:, 3:6] > 255)).any():
        raise FormatError(path, "colours of 0..255", f"{values[:, 3:6].max():g}", "export the model again")
    return ColmapPoints(np.array(ids, np.int64), values[:, :3], values[:, 3:6].astype(np.uint8), values[:, 6])


def no_points() -> ColmapPoints:
    """Of a model without any."""
    return ColmapPoints(np.zeros(0, np.int64), np.zeros((0, 3)), np.zeros((0, 3), np.uint8), np.zeros(0))


def _observations(path: Path, words: list[str], at: int) -> dict[str, np.ndarray]:
    if len(words) % 3:
        raise FormatError(path, f"x y point triples in line {at}", f"{len(words)} words", "export the model again")
    values = np.array(tables.numbers(path, words, f"line {at}")).reshape(-1, 3)
    return {"xy": values[:, :2], "point_ids": values[:, 2].astype(np.int64)}


def _integer(path: Path, word: str, at: int) -> int:
    if not (word.isascii() and word.isdigit() and len(word) < 19):
        raise FormatError(path, f"a whole number in line {at}", repr(word)[:40], "correct the line")
    return int(word)
