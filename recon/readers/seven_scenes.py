"""7-Scenes, and recordings in its layout: frame-000000.color.png, .depth.png, .pose.txt.

Source: Shotton et al., "Scene coordinate regression forests" (CVPR 2013): camera to world with OpenCV axes, depth in
mm, 65535 = none.
"""

from __future__ import annotations

from pathlib import Path

import torch

from render.formats.errors import FormatError
from render.transforms import invert_rigid

from . import tables
from .captured import Captured, Frame, Views
from .images_folder import calibration_in
from .intrinsics import Intrinsics, checked, read_intrinsics
from .pictures import MOST_FILES, exists, size_of
from .poses import rigid

DEPTH_FOCAL, COLOUR_FOCAL = 585.0, 525.0
SIZE, PRINCIPAL = (640, 480), (320.0, 240.0)
NO_DEPTH = 65535


def read_seven_scenes(folder: Path) -> Captured:
    """All frames of a sequence with a pose. Frames without a colour image are named in `missing`.

    camera-intrinsics.txt (here or one folder up) is the depth camera's; without it, 7-Scenes' 585 px. The colour
    images of 7-Scenes are not registered to it: they come from a camera of about 525 px some 25 mm beside it. Views
    are the depth camera's: colour is brought to its focal length, which puts it right but for that parallax. A file
    with other intrinsics than 7-Scenes' is taken for registered.
    Raises FileNotFoundError or FormatError.
    """
    pose_files = sorted(folder.glob("frame-*.pose.txt"))
    if not pose_files:
        raise FileNotFoundError(f"{folder}: expected frame-*.pose.txt; found none; name the folder of one sequence.")
    if len(pose_files) > MOST_FILES:
        raise FormatError(folder, f"at most {MOST_FILES} frames", f"{len(pose_files)}", "split the folder")
    beside = calibration_in(folder) or calibration_in(folder.parent)
    found = [(path, _with_suffix(path, "color", (".png", ".jpg"))) for path in pose_files]
    here = [(path, image) for path, image in found if image is not None]
    own = checked(folder, SIZE, (DEPTH_FOCAL, DEPTH_FOCAL), PRINCIPAL, integer_centers=True)
    depth_lens = read_intrinsics(beside, _depth_size(here))[0] if beside else own
    colour_lens, notes = depth_lens, ()
    if depth_lens == own:
        colour_lens = checked(folder, SIZE, (COLOUR_FOCAL, COLOUR_FOCAL), PRINCIPAL, integer_centers=True)
        notes = ("colour is not registered to depth: it is scaled to the depth camera's focal length, not shifted",)
    if not beside:
        notes = (*notes, "no camera-intrinsics.txt: 7-Scenes' depth camera is assumed")
    frames = [_frame(path, image, colour_lens, depth_lens) for path, image in here]
    return Captured(
        Views(frames),
        [image.name for _, image in here],
        [path.name.replace(".pose.txt", ".color") for path, image in found if image is None],
        kind="7scenes",
        notes=notes,
    )


def _frame(pose_file: Path, image: Path, colour_lens: Intrinsics, depth_lens: Intrinsics) -> Frame:
    rows = tables.table(pose_file, (4,), meaning="the 4x4 of c2w")
    if len(rows) != 4:
        raise FormatError(pose_file, "4 rows of 4 numbers", f"{len(rows)} rows", "copy it again")
    return Frame(
        image,
        colour_lens.fitted(image, *size_of(image)),
        depth_lens,
        invert_rigid(rigid(pose_file, torch.from_numpy(rows)[None])[0]),
        depth=_with_suffix(pose_file, "depth", (".png",)),
        no_depth=NO_DEPTH,
        depth_lens=depth_lens,
    )


def _with_suffix(pose_file: Path, what: str, suffixes: tuple[str, ...]) -> Path | None:
    stem = pose_file.name.removesuffix(".pose.txt")
    candidates = [pose_file.with_name(f"{stem}.{what}{suffix}") for suffix in suffixes]
    return next((path for path in candidates if exists(path)), None)


def _depth_size(here: list[tuple[Path, Path]]) -> tuple[int, int]:
    depth = _with_suffix(here[0][0], "depth", (".png",)) if here else None
    return size_of(depth or here[0][1]) if here else SIZE
