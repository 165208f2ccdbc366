"""KITTI's calibrations and odometry sequences: a rectified stereo pair, and poses of the left grey camera.

Source: Geiger et al., "Vision meets robotics: the KITTI dataset" (IJRR 2013) and the development kits.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from render.conventions import K_from_integer_centers
from render.formats.errors import FormatError
from render.transforms import invert_rigid

from ..calibration import Calibration
from . import tables
from .captured import Captured, Frame, Views, frame
from .intrinsics import Intrinsics, checked
from .pictures import exists, listed, size_of
from .trajectories import read_trajectory

PAIRS = ((2, 3), (0, 1))  # colour before grey


def read_projections(path: str | Path) -> dict[int, Float64[np.ndarray, "3 4"]]:
    """The rectified projection matrices by camera: P0 to P3 of calib.txt, or P_rect_00 to P_rect_03 of
    calib_cam_to_cam.txt; of the latter, S_rect sizes are not needed.

    Raises FileNotFoundError, or FormatError when there is none, or one that is no rectified camera.
    """
    path = Path(path)
    found: dict[int, np.ndarray] = {}
    for at, words in tables.lines(path, largest=1_000_000):
        key = words[0].removesuffix(":")
        name = key.removeprefix("P_rect_").removeprefix("P")
        if not key.startswith("P") or name.lstrip("0") not in ("", "1", "2", "3") or not name.isdigit():
            continue
        numbers = tables.numbers(path, words[1:], f"line {at}")
        if len(numbers) != 12:
            raise FormatError(path, f"12 numbers in {key}", f"{len(numbers)}", "copy the calibration again")
        P = np.array(numbers).reshape(3, 4)
        upright = P[0, 0] > 0 and P[0, 0] == P[1, 1] and not P[0, 1] and not P[1, 0] and list(P[2, :3]) == [0, 0, 1]
        if not upright:
            raise FormatError(path, f"a rectified camera in {key}", str(P[:, :3].tolist())[:100], "rectify first")
        found[int(name)] = P
    if not found:
        raise FormatError(path, "P0 to P3, or P_rect_00 to P_rect_03", "none", "name KITTI's calib.txt")
    return found


def read_kitti_calibration(path: str | Path, left: int = 2, right: int = 3) -> Calibration:
    """Of a pair of cameras: 2 and 3 are the colour ones, 0 and 1 the grey ones.

    Raises FileNotFoundError, or FormatError when one is missing or right does not lie to the right of left.
    """
    path = Path(path)
    P = read_projections(path)
    if left not in P or right not in P:
        got = f"P{', P'.join(map(str, P))}"
        raise FormatError(path, f"P{left} and P{right}", f"only {got}", "choose among these")
    focal = float(P[left][0, 0])
    K = K_from_integer_centers(torch.from_numpy(P[left][:, :3].copy()))
    baseline = float(P[left][0, 3] / focal - P[right][0, 3] / P[right][0, 0])
    if not baseline > 0 or P[right][0, 0] != focal:
        got = f"{baseline:.3g} m, focal lengths {focal:g} and {P[right][0, 0]:g}"
        raise FormatError(path, "a right eye of equal focal length at a baseline above 0", got, "swap left and right")
    return Calibration(
        focal, float(K[0, 2]), float(K[1, 2]), baseline, disparity_offset=float(P[right][0, 2] - P[left][0, 2])
    )


def read_kitti(folder: Path) -> Captured:
    """An odometry sequence: calib.txt, image_2 (and image_3 as the right eye), else image_0 and image_1; times.txt;
    poses of camera 0 from poses.txt here or ../../poses/<sequence>.txt, without which all stand at the origin.

    Raises FileNotFoundError or FormatError.
    """
    P = read_projections(folder / "calib.txt")
    left, right = next(((a, b) for a, b in PAIRS if a in P and (folder / f"image_{a}").is_dir()), (None, None))
    if left is None:
        raise FileNotFoundError(f"{folder}: expected image_2/ or image_0/ and its P in calib.txt; found neither.")
    images = listed(folder / f"image_{left}")
    if not images:
        raise FileNotFoundError(f"{folder / f'image_{left}'}: expected images; found none.")
    K = P[left]
    width, height = size_of(images[0])
    lens = checked(folder / "calib.txt", (width, height), (K[0, 0], K[1, 1]), (K[0, 2], K[1, 2]), integer_centers=True)
    pair = read_kitti_calibration(folder / "calib.txt", left, right) if right in P else None
    candidates = (folder / "poses.txt", folder.parent.parent / "poses" / f"{folder.name}.txt")
    poses = next((path for path in candidates if path.is_file()), None)
    w2c = torch.eye(4, dtype=torch.float64).repeat(len(images), 1, 1)
    if poses is not None:
        trajectory = read_trajectory(poses)
        if len(trajectory) != len(images):
            raise FormatError(poses, f"a pose for each of {len(images)} images", f"{len(trajectory)}", "copy them all")
        camera_from_camera_0 = torch.eye(4, dtype=torch.float64)
        camera_from_camera_0[:3, 3] = torch.linalg.solve(torch.from_numpy(K[:, :3]), torch.from_numpy(K[:, 3]))
        w2c = camera_from_camera_0 @ invert_rigid(trajectory.c2w)
    return Captured(
        Views([_frame(folder, image, lens, pose, right, pair) for image, pose in zip(images, w2c, strict=True)]),
        [image.name for image in images],
        kind="kitti",
        posed=poses is not None,
        timestamps=_times(folder / "times.txt", len(images)),
    )


def _frame(
    folder: Path, image: Path, lens: Intrinsics, w2c: Tensor, right: int | None, pair: Calibration | None
) -> Frame:
    eye = folder / f"image_{right}" / image.name
    if pair is None or not exists(eye):
        return frame(image, lens, w2c)
    return frame(image, lens, w2c, right=eye, baseline=pair.baseline, disparity_offset=pair.disparity_offset)


def _times(path: Path, count: int) -> list[float] | None:
    if not path.is_file():
        return None
    times = tables.table(path, (1,), meaning="times in seconds")[:, 0].tolist()
    if len(times) != count:
        raise FormatError(path, f"{count} times, one an image", f"{len(times)}", "copy the sequence again")
    return times
