"""Recorded sequences in the layouts that others publish, as posed views with pinhole cameras: one module a layout."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args

from render.formats.errors import FormatError

from .captured import Captured as Captured
from .captured import Frame as Frame
from .captured import Views as Views
from .colmap import FOLDERS as COLMAP_FOLDERS
from .colmap import find_model, read_colmap
from .colmap import read_model as read_model
from .colmap_model import ColmapModel as ColmapModel
from .film import SUFFIXES as FILM_SUFFIXES
from .film import read_film
from .icl_nuim import find_poses, read_icl_nuim
from .images_folder import images_in, read_images
from .kitti import read_kitti
from .kitti import read_kitti_calibration as read_kitti_calibration
from .middlebury import FILES as MIDDLEBURY_FILES
from .middlebury import read_middlebury
from .posed_rgbd import read_posed_rgbd
from .realestate10k import find_camera_path, read_realestate10k
from .realestate10k import read_camera_path as read_camera_path
from .seven_scenes import read_seven_scenes
from .trajectories import Trajectory as Trajectory
from .trajectories import associate as associate
from .trajectories import read_trajectory as read_trajectory
from .transforms_json import NAMES as TRANSFORMS
from .transforms_json import read_transforms
from .tum import read_tum

Kind = Literal[
    "transforms",
    "7scenes",
    "posed_rgbd",
    "tum",
    "icl_nuim",
    "colmap",
    "kitti",
    "middlebury",
    "realestate10k",
    "images",
    "video",
]

READERS: dict[str, Callable[[Path], Captured]] = {
    "transforms": read_transforms,
    "7scenes": read_seven_scenes,
    "posed_rgbd": read_posed_rgbd,
    "tum": read_tum,
    "icl_nuim": read_icl_nuim,
    "colmap": read_colmap,
    "kitti": read_kitti,
    "middlebury": read_middlebury,
    "realestate10k": read_realestate10k,
    "images": read_images,
    "video": read_film,
}
assert tuple(READERS) == get_args(Kind)

# What a folder must hold to be taken for a layout, asked in this order, and how that is said when nothing fits.
_SIGNS: dict[str, tuple[Callable[[Path], object], str]] = {
    "transforms": (lambda f: any((f / name).is_file() for name in TRANSFORMS), " or ".join(TRANSFORMS)),
    "7scenes": (lambda f: any(f.glob("frame-*.pose.txt")), "frame-*.pose.txt"),
    "posed_rgbd": (lambda f: _all(f, "poses.txt", "K.txt", "images"), "images/, poses.txt and K.txt"),
    "tum": (
        lambda f: (f / "rgb.txt").is_file() or _all(f, "rgb", "groundtruth.txt"),
        "rgb.txt, or rgb/ and groundtruth.txt",
    ),
    "icl_nuim": (lambda f: find_poses(f) and images_in(f), "pose.txt or *.gt.freiburg, and color/ or rgb/"),
    "colmap": (find_model, f"cameras and images, .bin or .txt, in one of {', '.join(COLMAP_FOLDERS)}"),
    "kitti": (lambda f: _all(f, "calib.txt") and (_all(f, "image_2") or _all(f, "image_0")), "calib.txt and image_2/"),
    "middlebury": (lambda f: _all(f, *MIDDLEBURY_FILES), ", ".join(MIDDLEBURY_FILES)),
    "realestate10k": (find_camera_path, "one RealEstate10K camera file"),
    "images": (images_in, "images in it, images/, rgb/ or color/"),
}


def read_captured(path: str | Path, *, kind: str = "auto", max_views: int | None = None, every: int = 1) -> Captured:
    """The recording in a folder or file: posed views, named, with depth where there is some.

    kind: a key of READERS, or "auto" to choose by what lies there. Each `every`-th view is taken, up to `max_views`.
    Images are read, and their damage found, when a view is asked for; poses, calibrations and the size of each
    image are checked here. Raises FileNotFoundError when nothing fits (it says what was looked for) or no listed
    image is there, FormatError for damaged files, ValueError for arguments.
    """
    path = Path(path)
    if kind != "auto" and kind not in READERS:
        raise ValueError(f"kind must be auto, {', '.join(READERS)}; got {kind!r}.")
    if every < 1 or (max_views is not None and max_views < 1):
        raise ValueError(f"every and max_views must be at least 1; got {every} and {max_views}.")
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder; check the path.")
    kind = kind_of(path) if kind == "auto" else kind
    captured = read_film(path, every, max_views) if kind == "video" else READERS[kind](path)
    if not len(captured.views):
        listed = ", ".join(captured.missing[:3])
        raise FileNotFoundError(
            f"{path}: expected the images of a {kind} recording; all {len(captured.missing)} are missing ({listed}, "
            "...). Copy them beside it."
        )
    return captured if kind == "video" else captured.thinned(every, max_views)


def kind_of(path: Path) -> str:
    """Which reader a path is for. Raises FileNotFoundError or FormatError that names what was looked for."""
    if path.is_dir():
        for kind, (fits, _) in _SIGNS.items():
            if fits(path):
                return kind
        looked = "; ".join(f"{kind}: {sign}" for kind, (_, sign) in _SIGNS.items())
        raise FileNotFoundError(f"{path}: expected one of these, found none. {looked}.")
    suffix = path.suffix.lower()
    if suffix in FILM_SUFFIXES:
        return "video"
    by_suffix = {".json": "transforms", ".txt": "realestate10k"}
    if suffix not in by_suffix:
        expected = f"a folder, or a file in {', '.join((*by_suffix, *FILM_SUFFIXES))}"
        raise FormatError(path, expected, suffix or "no suffix", "name the folder of the recording")
    return by_suffix[suffix]


def _all(folder: Path, *names: str) -> bool:
    return all((folder / name).exists() for name in names)
