"""A camera as ROS's camera_calibration writes it: camera_info YAML, of one eye of a stereo rig or of a camera alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from render.formats.errors import FormatError

from .intrinsics import LARGEST, Intrinsics, checked

LARGEST_FILE = 1_000_000  # bytes
MODELS = ("plumb_bob", "rational_polynomial", "equidistant")


@dataclass(frozen=True)
class CameraInfo:
    """lens: of the image as it was taken; rectified_from_eye: the rotation that rectifies it; shift: fourth column of
    the projection over its focal length: metres by which the rectified world moves, (-baseline, 0) for a right eye."""

    lens: Intrinsics
    rectified_from_eye: Float[Tensor, "3 3"]
    shift: Float[Tensor, "2"]


def read_camera_info(path: str | Path) -> CameraInfo:
    """Reads a camera_info YAML. Raises FileNotFoundError, FormatError."""
    import yaml

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such calibration; expected a camera_info YAML; check the path.")
    if path.stat().st_size > LARGEST_FILE:
        raise FormatError(path, f"at most {LARGEST_FILE} bytes", str(path.stat().st_size), "name the right file")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise FormatError(path, "a camera_info YAML", " ".join(str(error).split())[:80], "save it again") from None
    if not isinstance(content, dict):
        raise FormatError(path, "a camera_info YAML with camera_matrix", type(content).__name__, "name the right file")
    width, height = (_whole(path, content, name) for name in ("image_width", "image_height"))
    model = content.get("distortion_model", "plumb_bob")
    if model not in MODELS:
        raise FormatError(path, f"a distortion_model of {', '.join(MODELS)}", repr(model)[:40], "calibrate with one")
    K = _matrix(path, content, "camera_matrix", (3, 3)).tolist()
    bent = tuple(_matrix(path, content, "distortion_coefficients", None).flatten().tolist())
    lens = checked(
        path, (width, height), (K[0][0], K[1][1]), (K[0][2], K[1][2]), bent, fisheye=model == "equidistant",
        integer_centers=True,
    )  # fmt: skip
    turn = _matrix(path, content, "rectification_matrix", (3, 3))
    if not torch.allclose(turn @ turn.T, torch.eye(3, dtype=turn.dtype), atol=1e-3) or torch.linalg.det(turn) < 0:
        raise FormatError(path, "a rotation as rectification_matrix", str(turn.flatten().tolist())[:60], "calibrate")
    P = _matrix(path, content, "projection_matrix", (3, 4))
    if not (P[0, 0] > 0 and P[1, 1] > 0):
        raise FormatError(path, "focal lengths above 0 in projection_matrix", str(P[0, 0].item()), "calibrate again")
    return CameraInfo(lens, turn, torch.stack([P[0, 3] / P[0, 0], P[1, 3] / P[1, 1]]))


def stereo_motion(left: CameraInfo, right: CameraInfo) -> Float[Tensor, "4 4"] | None:
    """right_from_left in metres; None where the eyes were calibrated one by one, so that no file knows of the other."""
    if float(right.shift.abs().max()) == 0:
        return None
    # x_right = eye_from_rectified @ (x_rectified + shift), x_rectified = rectified_from_eye @ x_left
    motion = torch.eye(4, dtype=torch.float64)
    motion[:3, :3] = right.rectified_from_eye.T @ left.rectified_from_eye
    motion[:3, 3] = right.rectified_from_eye.T @ torch.nn.functional.pad(right.shift - left.shift, (0, 1))
    return motion


def _whole(path: Path, content: dict[str, Any], name: str) -> int:
    value = content.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= LARGEST:
        raise FormatError(path, f"{name}: pixels above 0", repr(value)[:40], "calibrate again")
    return value


def _matrix(path: Path, content: dict[str, Any], name: str, shape: tuple[int, int] | None) -> Float[Tensor, "R C"]:
    entry = content.get(name)
    values = entry.get("data") if isinstance(entry, dict) else None
    if not isinstance(values, list) or not all(
        isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) for value in values
    ):
        raise FormatError(path, f"{name} with data of finite numbers", repr(values)[:60], "calibrate again")
    count = shape[0] * shape[1] if shape else None
    if (count is not None and len(values) != count) or (shape is None and len(values) not in (0, 4, 5, 8)):
        raise FormatError(path, f"{name} of {count or '0, 4, 5 or 8'} numbers", str(len(values)), "calibrate again")
    return torch.tensor(values, dtype=torch.float64).reshape(shape or (1, -1))
