"""A folder of images, with its calibration if one lies beside them."""

from __future__ import annotations

from pathlib import Path

import torch

from .captured import Captured, Frame, Views, frame, guessed
from .intrinsics import read_intrinsics
from .pictures import listed, size_of

CALIBRATIONS = ("calib.txt", "K.txt", "camera-intrinsics.txt", "intrinsics.txt")
FOLDERS = (".", "images", "rgb", "color")


def read_images(folder: Path) -> Captured:
    """The images of a folder, or of images/, rgb/ or color/ in it, by name; all at the world's origin.

    A calibration file beside them (see `read_intrinsics`) is that of all; without one each camera is a guess.
    Raises FileNotFoundError for no images, FormatError for damaged heads and calibrations.
    """
    here = images_in(folder)
    if not here:
        looked = ", ".join(FOLDERS)
        raise FileNotFoundError(f"{folder}: expected images in one of {looked}; found none; check the path.")
    file = calibration_in(folder)
    if file is None:
        notes = ("no calibration in the folder: the focal length is a guess",)
        lenses = [guessed(size_of(path)) for path in here]
        frames = [Frame(path, lens, lens, torch.eye(4)) for path, lens in zip(here, lenses, strict=True)]
        return Captured(
            Views(frames),
            [path.name for path in here],
            kind="images",
            posed=False,
            calibrated=False,
            notes=notes,
        )
    lens, _ = read_intrinsics(file, size_of(here[0]))
    frames = [frame(path, lens, torch.eye(4)) for path in here]
    return Captured(Views(frames), [path.name for path in here], kind="images", posed=False)


def images_in(folder: Path) -> list[Path]:
    """The images of the folder, else those of the first of FOLDERS in it that has any."""
    for name in FOLDERS:
        inner = folder / name
        if inner.is_dir() and (found := listed(inner)):
            return found
    return []


def calibration_in(folder: Path) -> Path | None:
    """The calibration file that lies in the folder."""
    return next((folder / name for name in CALIBRATIONS if (folder / name).is_file()), None)
