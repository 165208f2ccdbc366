"""The TUM RGB-D benchmark: images and depth by their times, motion capture poses.

Source: the benchmark's file formats and its published intrinsics (Sturm et al., IROS 2012).
"""

from __future__ import annotations

from pathlib import Path

import torch

from render.conventions import MIRRORED_Y, w2c_from_left_handed
from render.formats.errors import FormatError
from render.transforms import invert_rigid

from . import tables
from .captured import Captured, Views, frame
from .images_folder import calibration_in
from .intrinsics import Intrinsics, checked, read_intrinsics
from .pictures import exists, inside, listed, size_of
from .trajectories import associate, read_trajectory

METRES_PER_STEP = 1 / 5000
MOST_SECONDS = 0.02  # between an image and its depth or pose
# fx fy cx cy k1 k2 p1 p2 k3 of the colour cameras, published with the benchmark; freiburg3 comes undistorted.
PUBLISHED = {
    "freiburg1": (517.306408, 516.469215, 318.643040, 255.313989, 0.262383, -0.953104, -0.005358, 0.002628, 1.163314),
    "freiburg2": (520.908620, 521.007327, 325.141442, 249.701764, 0.231222, -0.784899, -0.003257, -0.000105, 0.917205),
    "freiburg3": (535.4, 539.2, 320.1, 247.6),
}


def read_tum(folder: Path) -> Captured:
    """The images that have a pose within 0.02 s, with depth where there is some as near; poses are c2w.

    Images are those of rgb.txt, else of rgb/, named by their times. Intrinsics are those of calib.txt (fx fy cx cy
    k1 k2 p1 p2 k3), else the published ones if the folder's name has freiburg1, 2 or 3 (fr1, fr2, fr3) in it.
    Images that are listed and not there, or that have no pose, are named in `missing`.
    Raises FileNotFoundError or FormatError.
    """
    times, names = _listed(folder, "rgb")
    if not names:
        raise FileNotFoundError(f"{folder}: expected rgb.txt or images in rgb/; found neither; check the path.")
    files = [inside(folder, name, folder / "rgb.txt") for name in names]
    there = [index for index, file in enumerate(files) if exists(file)]  # others must not take depth or poses from them
    depth_times, depth_names = _listed(folder, "depth")
    depth_files = [inside(folder, name, folder / "depth.txt") for name in depth_names]
    depths = dict(associate(times[there], depth_times, MOST_SECONDS))
    truth = read_trajectory(folder / "groundtruth.txt") if (folder / "groundtruth.txt").is_file() else None
    poses = {at: at for at in range(len(there))}
    if truth is not None:
        poses = dict(associate(times[there], truth.timestamps, MOST_SECONDS))
    here = [at for at in range(len(there)) if at in poses]
    lens, left_handed, guess = _intrinsics(folder, files[there[0]] if there else None)
    frames = []
    for at in here:
        w2c = torch.eye(4) if truth is None else invert_rigid(truth.c2w[poses[at]])
        w2c = w2c_from_left_handed(w2c) if left_handed else w2c
        depth = depth_files[depths[at]] if at in depths and exists(depth_files[depths[at]]) else None
        frames.append(frame(files[there[at]], lens, w2c, depth=depth, depth_unit=METRES_PER_STEP))
    kept = [there[at] for at in here]
    missing = sorted(set(range(len(names))) - set(kept))
    return Captured(
        Views(frames),
        [names[index] for index in kept],
        [names[index] for index in missing],
        kind="tum",
        posed=truth is not None,
        timestamps=times[kept].tolist(),
        world_from_file=(MIRRORED_Y if left_handed else torch.eye(4)).float(),
        notes=(guess,) if guess else (),
    )


def _listed(folder: Path, what: str) -> tuple[torch.Tensor, list[str]]:
    """Times and names of rgb.txt or depth.txt, else of the images in the folder of that name, in order of time."""
    path = folder / f"{what}.txt"
    found: list[tuple[float, str]] = []
    if path.is_file():
        for at, words in tables.lines(path):
            if len(words) != 2:
                raise FormatError(path, f"a time and a name in line {at}", f"{len(words)} words", "correct it")
            found.append((tables.number(path, words[0], f"line {at}"), words[1]))
    elif (folder / what).is_dir():
        for image in listed(folder / what):
            found.append((tables.number(image, image.stem, "its name, a time in seconds"), f"{what}/{image.name}"))
    found.sort()
    return torch.tensor([time for time, _ in found], dtype=torch.float64), [name for _, name in found]


def _intrinsics(folder: Path, image: Path | None) -> tuple[Intrinsics, bool, str | None]:
    """Of the colour camera, whether it is left-handed (fy < 0), and a note when it is not the folder's own."""
    size = (640, 480) if image is None else size_of(image)
    if beside := calibration_in(folder):
        return *read_intrinsics(beside, size), None
    for name, (fx, fy, cx, cy, *distortion) in PUBLISHED.items():
        if any(short in folder.resolve().name.lower() for short in (name, name.replace("freiburg", "fr"))):
            known = checked(folder, (640, 480), (fx, fy), (cx, cy), tuple(distortion), integer_centers=True)
            return known, False, f"no calibration in the folder: the published one of {name}"
    do = "write fx fy cx cy k1 k2 p1 p2 k3 into calib.txt, or name the folder after the camera"
    raise FormatError(folder, "calib.txt, or freiburg1, 2 or 3 in the folder's name", "neither", do)
