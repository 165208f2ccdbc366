"""A Middlebury pair: im0.png, im1.png and calib.txt in one folder."""

from __future__ import annotations

from pathlib import Path

import torch

from render.formats.errors import FormatError

from ..calibration import read_calibration
from .captured import Captured, Views, frame
from .intrinsics import checked
from .pictures import size_of

FILES = ("im0.png", "im1.png", "calib.txt")


def read_middlebury(folder: Path) -> Captured:
    """One view with its right eye; the left camera is the world. Raises FileNotFoundError or FormatError."""
    left, right, path = (folder / name for name in FILES)
    calibration = read_calibration(path)
    for image in (left, right):
        if not image.is_file():
            raise FileNotFoundError(f"{image}: no such image; expected {', '.join(FILES)} in one folder.")
    size = size_of(left)
    try:
        camera = calibration.camera(*size)
    except ValueError as error:
        raise FormatError(path, "the calibration of these images", str(error)[:120], "copy the pair again") from None
    focal, cx, cy = float(camera.K[0, 0]), float(camera.K[0, 2]), float(camera.K[1, 2])
    lens = checked(path, size, (focal, focal), (cx, cy))
    pair = {"right": right, "baseline": calibration.baseline, "disparity_offset": calibration.disparity_offset}
    return Captured(Views([frame(left, lens, torch.eye(4), **pair)]), [left.name], kind="middlebury")
