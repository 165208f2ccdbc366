"""A COLMAP model in memory, however it was stored, and what its camera models mean.

Source: COLMAP's documentation of its output format and camera models. Its pixel centres are ours.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64, UInt8
from numpy import ndarray

from render.formats.errors import FormatError

from .intrinsics import Intrinsics, checked
from .lens import distort

# By their ids in binary files: name and number of parameters; None where the parameters are not read.
MODELS = {
    0: ("SIMPLE_PINHOLE", 3),
    1: ("PINHOLE", 4),
    2: ("SIMPLE_RADIAL", 4),
    3: ("RADIAL", 5),
    4: ("OPENCV", 8),
    5: ("OPENCV_FISHEYE", 8),
    6: ("FULL_OPENCV", 12),
    7: ("FOV", None),
    8: ("SIMPLE_RADIAL_FISHEYE", 4),
    9: ("RADIAL_FISHEYE", 5),
    10: ("THIN_PRISM_FISHEYE", None),
}
PARAMETERS = {name: count for name, count in MODELS.values() if count is not None}
_FISHEYE = {"OPENCV_FISHEYE", "SIMPLE_RADIAL_FISHEYE", "RADIAL_FISHEYE"}


@dataclass(frozen=True)
class ColmapImage:
    """name in the images folder; observations xy [M, 2] in pixels of the image as stored, and for each the id of
    its point, or -1."""

    name: str
    camera_id: int
    wxyz: tuple[float, ...]
    translation: tuple[float, ...]
    xy: Float64[ndarray, "M 2"] = field(default_factory=lambda: np.zeros((0, 2)))
    point_ids: Int64[ndarray, " M"] = field(default_factory=lambda: np.zeros(0, np.int64))


@dataclass(frozen=True)
class ColmapPoints:
    """ids; xyz in the world; rgb; COLMAP's mean reprojection error of each in pixels."""

    ids: Int64[ndarray, " P"]
    xyz: Float64[ndarray, "P 3"]
    rgb: UInt8[ndarray, "P 3"]
    errors: Float64[ndarray, " P"]


@dataclass(frozen=True)
class ColmapModel:
    """cameras and images by their ids; w2c [4, 4] of each image in float64."""

    cameras: dict[int, Intrinsics]
    images: dict[int, ColmapImage]
    w2c: dict[int, Float64[ndarray, "4 4"]]
    points: ColmapPoints

    def reprojection_errors(self) -> Float64[ndarray, " P"]:
        """Of each point, the mean distance in pixels between where it is seen and where the model puts it, over
        the images that observe it; NaN for a point without observations. Needs a model read with observations."""
        row = {int(point): at for at, point in enumerate(self.points.ids)}
        total, count = np.zeros(len(row)), np.zeros(len(row))
        for image_id, image in self.images.items():
            seen = np.array([row.get(int(point), -1) for point in image.point_ids], dtype=np.int64)
            xyz = self.points.xyz[seen[seen >= 0]] @ self.w2c[image_id][:3, :3].T + self.w2c[image_id][:3, 3]
            with np.errstate(all="ignore"):
                here = distort(self.cameras[image.camera_id], xyz[:, :2] / xyz[:, 2:])
            np.add.at(total, seen[seen >= 0], np.linalg.norm(here - image.xy[seen >= 0], axis=1))
            np.add.at(count, seen[seen >= 0], 1)
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def camera_of(path: Path, model: str, size: tuple[int, int], parameters: list[float]) -> Intrinsics:
    """The camera of a model's name and parameters. Raises FormatError for models without a lens like OpenCV's."""
    if model not in PARAMETERS:
        do = "undistort with COLMAP's image_undistorter first"
        raise FormatError(path, f"a camera model of {', '.join(PARAMETERS)}", repr(model)[:40], do)
    if len(parameters) != PARAMETERS[model]:
        expected = f"{PARAMETERS[model]} parameters of {model}"
        raise FormatError(path, expected, f"{len(parameters)}", "export the model again")
    one_focal = model.startswith("SIMPLE") or model in ("RADIAL", "RADIAL_FISHEYE")
    fx, fy = (parameters[0], parameters[0]) if one_focal else (parameters[0], parameters[1])
    cx, cy, *distortion = parameters[1:] if one_focal else parameters[2:]
    fisheye = model in _FISHEYE
    distortion = (*distortion, *(0.0,) * (4 - len(distortion))) if distortion else ()
    return checked(path, size, (fx, fy), (cx, cy), tuple(distortion), fisheye=fisheye)


def add(path: Path, kept: dict, key: int, value: object, most: int) -> None:
    """Into a dictionary by id. Raises FormatError for an id that is there already, and for too many."""
    if key in kept:
        raise FormatError(path, "each id once", f"{key} twice", "export the model again")
    if len(kept) >= most:
        raise FormatError(path, f"at most {most} entries", "more", "split the model")
    kept[key] = value
