"""COLMAP's binary models: cameras.bin, images.bin, points3D.bin, little endian. Every count is held against the
bytes that are left before anything is made of it. Source: COLMAP's documentation of its output format."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from render.formats.errors import FormatError

from .colmap_model import MODELS, ColmapImage, ColmapPoints, add, camera_of
from .intrinsics import Intrinsics
from .pictures import MOST_FILES

LONGEST_NAME = 1024
_OBSERVATION = np.dtype([("xy", "<f8", 2), ("point", "<u8")])
_CAMERA, _IMAGE, _POINT = struct.Struct("<IiQQ"), struct.Struct("<I4d3dI"), struct.Struct("<Q3d3BdQ")
_COUNT = struct.Struct("<Q")


class _Reader:
    """Bytes taken off the front of a file, never more than there are."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file of a COLMAP model; check the path.")
        self.path, self.data, self.at = path, path.read_bytes(), 0

    def fail(self, expected: str, got: str) -> FormatError:
        return FormatError(self.path, expected, got, "the file is damaged or no COLMAP file: export it again")

    def take(self, layout: struct.Struct) -> tuple:
        self.has(layout.size, layout.size)
        values = layout.unpack_from(self.data, self.at)
        self.at += layout.size
        return values

    def count(self, each: int) -> int:
        """A number of records that follow, of at least `each` bytes."""
        (count,) = self.take(_COUNT)
        self.has(count * each, each)
        return count

    def has(self, size: int, each: int) -> None:
        left = len(self.data) - self.at
        if size > left:
            raise self.fail(f"{size} more bytes, {each} a record", f"{left} left of {len(self.data)}")

    def name(self) -> str:
        end = self.data.find(b"\0", self.at, self.at + LONGEST_NAME)
        if end <= self.at:
            raise self.fail(f"a name of 1 to {LONGEST_NAME} bytes that ends in zero", "none")
        try:
            name = self.data[self.at : end].decode("utf-8")
        except UnicodeDecodeError:
            raise self.fail("a name in UTF-8", repr(self.data[self.at : end])[:60]) from None
        self.at = end + 1
        return name

    def finish(self) -> None:
        if self.at != len(self.data):
            raise self.fail(f"{self.at} bytes by its counts", f"{len(self.data)}")


def read_cameras(path: Path) -> dict[int, Intrinsics]:
    """Raises FileNotFoundError or FormatError."""
    file, cameras = _Reader(path), {}
    for _ in range(file.count(_CAMERA.size + 24)):
        camera_id, model_id, width, height = file.take(_CAMERA)
        model, parameters = MODELS.get(model_id, (f"number {model_id}", None))
        values = file.take(struct.Struct(f"<{parameters or 0}d"))
        add(path, cameras, camera_id, camera_of(path, model, (width, height), list(values)), MOST_FILES)
    file.finish()
    return cameras


def read_images(path: Path, observations: bool) -> dict[int, ColmapImage]:
    """Raises FileNotFoundError or FormatError."""
    file, images = _Reader(path), {}
    for _ in range(file.count(_IMAGE.size + 2 + _COUNT.size)):
        image_id, *pose, camera_id = file.take(_IMAGE)
        name = file.name()
        seen = file.count(_OBSERVATION.itemsize)
        more = {}
        if observations:
            rows = np.frombuffer(file.data, _OBSERVATION, seen, file.at)
            more = {"xy": rows["xy"].astype(np.float64), "point_ids": rows["point"].astype(np.int64)}
        file.at += seen * _OBSERVATION.itemsize
        wxyz, translation = tuple(pose[:4]), tuple(pose[4:])
        add(path, images, image_id, ColmapImage(name, camera_id, wxyz, translation, **more), MOST_FILES)
    file.finish()
    return images


def read_points(path: Path) -> ColmapPoints:
    """Raises FileNotFoundError or FormatError."""
    file = _Reader(path)
    count = file.count(_POINT.size)
    ids, xyz = np.empty(count, np.int64), np.empty((count, 3))
    rgb, errors = np.empty((count, 3), np.uint8), np.empty(count)
    for row in range(count):
        point, *position, red, green, blue, error, track = file.take(_POINT)
        file.has(track * 8, 8)
        file.at += track * 8
        ids[row], xyz[row], rgb[row], errors[row] = point % 2**63, position, (red, green, blue), error
    file.finish()
    return ColmapPoints(ids, xyz, rgb, errors)
