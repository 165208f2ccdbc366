"""ICL-NUIM: rendered rooms, depth without error, a left-handed world.

Source: Handa et al., "A benchmark for RGB-D visual odometry, 3D reconstruction and SLAM" (ICRA 2014): fx 481.2,
fy -480.0, cx 319.5, cy 239.5; depth along the axis in 1/5000 m.
"""

from __future__ import annotations

from pathlib import Path

import torch

from render.conventions import MIRRORED_Y, w2c_from_left_handed
from render.formats.errors import FormatError
from render.transforms import invert_rigid

from . import tables
from .captured import Captured, Views, frame
from .images_folder import FOLDERS, calibration_in, images_in
from .intrinsics import Intrinsics, checked, read_intrinsics
from .pictures import listed, size_of
from .poses import from_position_xyzw

SIZE, FOCAL, PRINCIPAL = (640, 480), (481.2, 480.0), (319.5, 239.5)
METRES_PER_STEP = 1 / 5000
MIRRORED = "left-handed (fy < 0): the world's y has changed sign, the images have not"


def read_icl_nuim(folder: Path) -> Captured:
    """Images of rgb/ or color/, depth/ of the same names, and poses from pose.txt (tx ty tz qx qy qz qw, one row an
    image) or a *.gt.freiburg (with the image's number before them).

    Intrinsics are ICL-NUIM's unless a calibration lies beside them. A negative fy says that the camera's y axis, and
    so the world's, points up in a left-handed system. No right-handed world has those coordinates, so the world is
    mirrored: its y changes sign (world_from_file), the images and their depth stay as they are, and fy is positive.
    Raises FileNotFoundError or FormatError.
    """
    images, path = images_in(folder), find_poses(folder)
    if not images or path is None:
        raise FileNotFoundError(
            f"{folder}: expected images in one of {', '.join(FOLDERS)}, and pose.txt or *.gt.freiburg; found "
            f"{len(images)} images and {'no poses' if path is None else path.name}."
        )
    rows = tables.table(path, (7, 8), meaning="[number] tx ty tz qx qy qz qw")
    if rows.shape[1] == 7 and len(rows) != len(images):
        raise FormatError(path, f"a pose for each of {len(images)} images", f"{len(rows)}", "copy all images")
    numbers = range(len(images)) if rows.shape[1] == 7 else [_number(image) for image in images]
    row_of = {int(row[0]): at for at, row in enumerate(rows)} if rows.shape[1] == 8 else {at: at for at in numbers}
    row = {image.name: row_of[at] for image, at in zip(images, numbers, strict=True) if at in row_of}

    lens, left_handed, notes = _intrinsics(folder, images[0])
    w2c = invert_rigid(from_position_xyzw(path, rows[:, -7:]))
    w2c = w2c_from_left_handed(w2c) if left_handed else w2c
    depths = {depth.name: depth for depth in listed(folder / "depth")} if (folder / "depth").is_dir() else {}
    here = [image for image in images if image.name in row]
    frames = [
        frame(image, lens, w2c[row[image.name]], depth=depths.get(image.name), depth_unit=METRES_PER_STEP)
        for image in here
    ]
    return Captured(
        Views(frames),
        [image.name for image in here],
        [image.name for image in images if image.name not in row],
        kind="icl_nuim",
        world_from_file=(MIRRORED_Y if left_handed else torch.eye(4)).float(),
        notes=(*notes, MIRRORED) if left_handed else notes,
    )


def find_poses(folder: Path) -> Path | None:
    """The pose file of an ICL-NUIM sequence."""
    candidates = [folder / "pose.txt", *sorted(folder.glob("*.gt.freiburg"))]
    return next((path for path in candidates if path.is_file()), None)


def _intrinsics(folder: Path, image: Path) -> tuple[Intrinsics, bool, tuple[str, ...]]:
    size = size_of(image)
    if beside := calibration_in(folder):
        return *read_intrinsics(beside, size), ()
    if size != SIZE:
        do = "write fx fy cx cy of this camera into calib.txt"
        raise FormatError(image, f"{SIZE[0]} x {SIZE[1]} pixels, as ICL-NUIM has", f"{size[0]} x {size[1]}", do)
    lens = checked(image, SIZE, FOCAL, PRINCIPAL, integer_centers=True)
    return lens, True, ("no calibration in the folder: ICL-NUIM's published one",)


def _number(image: Path) -> int:
    return int(image.stem) if image.stem.isascii() and image.stem.isdigit() else -1
