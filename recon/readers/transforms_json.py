"""transforms.json of NeRF, instant-ngp and nerfstudio: camera to world with OpenGL axes.

Source: instant-ngp's and nerfstudio's documentation of their data formats. Pixel centres are COLMAP's, which are ours.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from render.conventions import w2c_from_opengl_c2w
from render.formats.errors import FormatError

from . import tables
from .captured import Captured, Frame, Views, frame
from .intrinsics import Intrinsics, checked
from .pictures import exists, inside, size_of
from .poses import rigid

NAMES = ("transforms.json", "transforms_train.json")
LARGEST_FILE = 64_000_000  # bytes
MOST_PARTS = {b"{": 100_000, b"[": 600_000, b",": 3_000_000, b'"': 2_000_000}  # what they become takes memory
MOST_FRAMES = 50_000
METRES_PER_STEP = 0.001  # of depth in 16 bits, as nerfstudio writes it
PINHOLES, LENSES, FISHEYES = ("PINHOLE", "SIMPLE_PINHOLE"), ("OPENCV",), ("OPENCV_FISHEYE",)


def read_transforms(path: Path) -> Captured:
    """The frames of a transforms.json (or of the folder that holds one), in its order.

    Frames whose image is not there are named in `missing`. Raises FileNotFoundError, or FormatError for a damaged
    file, cameras without a pinhole's image, poses that are none, and images outside the file's folder.
    """
    path = next((path / name for name in NAMES if (path / name).is_file()), path / NAMES[0]) if path.is_dir() else path
    root = _parse(path)
    entries = root.get("frames")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise FormatError(path, "a list of frames", type(entries).__name__, "name a transforms.json")
    if not 0 < len(entries) <= MOST_FRAMES:
        raise FormatError(path, f"1 to {MOST_FRAMES} frames", f"{len(entries)}", "split the file")
    w2c = w2c_from_opengl_c2w(rigid(path, np.stack([_matrix(path, entry) for entry in entries])))
    frames: list[Frame] = []
    names: list[str] = []
    missing: list[str] = []
    notes: set[str] = set()
    for entry, pose in zip(entries, w2c, strict=True):
        name = _text(path, entry, "file_path")
        image = _image(path, name)
        if image is None:
            missing.append(name)
            continue
        lens = _intrinsics(path, {**root, **entry}, size_of(image))
        depth, unit = _depth(path, root, entry)
        if depth is not None and not exists(depth):
            notes.add("some frames name a depth image that is not there")
            depth = None
        if "mask_path" in entry:
            notes.add("masks are not read")
        frames.append(frame(image, lens, pose, depth=depth, depth_unit=unit))
        names.append(name)
    return Captured(Views(frames), names, missing, kind="transforms", notes=tuple(sorted(notes)))


def _parse(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; check the path.")
    size = path.stat().st_size
    if size > LARGEST_FILE:
        raise FormatError(path, f"at most {LARGEST_FILE} bytes", f"{size}", "name a transforms.json")
    text = path.read_bytes()
    for mark, most in MOST_PARTS.items():
        if text.count(mark) > most:
            raise FormatError(path, f"at most {most} {mark.decode()}", f"{text.count(mark)}", "name a transforms.json")
    try:
        root = json.loads(text.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        got = f"{type(error).__name__}: {str(error)[:80]}"
        raise FormatError(path, "JSON", got, "is it complete? export it again") from None
    if not isinstance(root, dict):
        raise FormatError(path, "a JSON object with frames", type(root).__name__, "name a transforms.json")
    return root


def _matrix(path: Path, entry: dict[str, Any]) -> np.ndarray:
    rows = entry.get("transform_matrix")
    whole = isinstance(rows, list) and len(rows) in (3, 4) and all(isinstance(r, list) and len(r) == 4 for r in rows)
    if not whole:
        raise FormatError(path, "a transform_matrix of 4 x 4", str(rows)[:60], "export it again")
    matrix = np.eye(4)
    matrix[: len(rows)] = [[_number(path, value, "transform_matrix") for value in row] for row in rows]  # type: ignore[union-attr]
    return matrix


def _intrinsics(path: Path, values: dict[str, Any], size: tuple[int, int]) -> Intrinsics:
    """Of one frame, whose own entries come before the file's; by default a centred pinhole."""

    def get(key: str, otherwise: float) -> float:
        return _number(path, values[key], key) if key in values else otherwise

    model = values.get("camera_model", "OPENCV")
    fisheye = model in FISHEYES or values.get("is_fisheye") is True
    if model not in PINHOLES + LENSES + FISHEYES:
        expected = f"a camera_model of {', '.join(PINHOLES + LENSES + FISHEYES)}"
        raise FormatError(path, expected, repr(model)[:40], "convert the images to a pinhole first")
    width, height = round(get("w", size[0])), round(get("h", size[1]))
    fx = get("fl_x", 0) or _focal(get("camera_angle_x", 0), width) or get("fl_y", 0)
    fy = get("fl_y", 0) or _focal(get("camera_angle_y", 0), height) or fx
    if not fx:
        got = ", ".join(list(values)[:12])
        raise FormatError(path, "fl_x or camera_angle_x", f"only {got[:120]}", "add the focal length in pixels")
    k1, k2, k3, k4, p1, p2 = (get(key, 0) for key in ("k1", "k2", "k3", "k4", "p1", "p2"))
    if fisheye:
        if p1 or p2:
            raise FormatError(path, "a fisheye without p1 and p2", f"{p1}, {p2}", "calibrate again")
        distortion = (k1, k2, k3, k4)
    else:
        if k4:
            raise FormatError(path, "k4 = 0 outside fisheye lenses", f"{k4}", "calibrate with k1 k2 p1 p2 k3")
        distortion = () if model in PINHOLES else (k1, k2, p1, p2, k3)
    principal = (get("cx", width / 2), get("cy", height / 2))
    return checked(path, (width, height), (fx, fy), principal, distortion, fisheye=fisheye)


def _focal(angle: float, side: int) -> float:
    """Pixels, from the angle of view in radians; 0 for none."""
    return 0.5 * side / math.tan(angle / 2) if 0 < angle < math.pi else 0.0


def _image(path: Path, name: str) -> Path | None:
    """The file, also where the name leaves out its suffix (NeRF's synthetic scenes)."""
    image = inside(path.parent, name, path)
    candidates = [image, *(image.with_name(f"{image.name}{suffix}") for suffix in (".png", ".jpg"))]
    return next((candidate for candidate in candidates if exists(candidate)), None)


def _depth(path: Path, root: dict[str, Any], entry: dict[str, Any]) -> tuple[Path | None, float]:
    """The depth image of a frame, and metres a step: nerfstudio's in mm, instant-ngp's as the file says."""
    if "depth_file_path" in entry:
        return inside(path.parent, _text(path, entry, "depth_file_path"), path), METRES_PER_STEP
    if "depth_path" in entry and "integer_depth_scale" in root:
        unit = _number(path, root["integer_depth_scale"], "integer_depth_scale")
        if not unit > 0:
            raise FormatError(path, "an integer_depth_scale above 0", f"{unit}", "correct it")
        return inside(path.parent, _text(path, entry, "depth_path"), path), unit
    return None, METRES_PER_STEP


def _text(path: Path, entry: dict[str, Any], key: str) -> str:
    value = entry.get(key)
    if not isinstance(value, str) or not value or "\0" in value:
        raise FormatError(path, f"a text in {key}", repr(value)[:60], "name an image in every frame")
    return value


def _number(path: Path, value: object, key: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise FormatError(path, f"a number in {key}", repr(value)[:40], "correct the file")
    return tables.number(path, value, key)
