"""COLMAP reconstructions, text or binary, as posed views with their lenses undone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from render.formats.errors import FormatError

from . import colmap_binary, colmap_text
from .captured import Captured, Views, frame
from .colmap_model import ColmapModel
from .pictures import exists, inside
from .poses import from_quats

FOLDERS = (".", "0", "sparse/0", "sparse", "colmap/sparse/0", "dense/sparse", "sparse_bin/0")
NOT_READ = ("rigs", "frames")


def read_model(folder: str | Path, *, observations: bool = False) -> ColmapModel:
    """The model in a folder with cameras, images and points3D, as .bin (first) or .txt; points3D may be missing.

    observations: also the 2D points, which nothing but reprojection errors needs.
    Raises FileNotFoundError, or FormatError for damaged files, unknown lenses and poses that are none.
    """
    folder = Path(folder)
    suffix = ".bin" if (folder / "images.bin").is_file() else ".txt"
    parts = colmap_binary if suffix == ".bin" else colmap_text
    path = folder / f"images{suffix}"
    cameras = parts.read_cameras(folder / f"cameras{suffix}")
    images = parts.read_images(path, observations)
    points_path = folder / f"points3D{suffix}"
    points = parts.read_points(points_path) if points_path.is_file() else colmap_text.no_points()
    unknown = {image.camera_id for image in images.values()} - set(cameras)
    if unknown:
        got = f"images of camera {min(unknown)}"
        raise FormatError(path, f"images of the {len(cameras)} cameras of the model", got, "export the model again")
    for what, values in (
        ("points", points.xyz),
        ("observations", np.concatenate([np.zeros((0, 2)), *(image.xy for image in images.values())])),
    ):
        if not np.isfinite(values).all():
            raise FormatError(path, f"finite {what}", "NaN or infinity", "export the model again")
    wxyz = torch.tensor([image.wxyz for image in images.values()], dtype=torch.float64).reshape(-1, 4)
    translation = torch.tensor([image.translation for image in images.values()], dtype=torch.float64).reshape(-1, 3)
    w2c = from_quats(path, wxyz, translation).numpy()
    return ColmapModel(cameras, images, dict(zip(images, w2c, strict=True)), points)


def read_colmap(folder: Path) -> Captured:
    """The images of a model, by name, from images/ beside it or above it (or from the folder itself).

    Raises FileNotFoundError or FormatError (see `read_model`), also for names that leave the folder.
    """
    folder = folder.absolute()
    model_folder = find_model(folder)
    if model_folder is None:
        raise FileNotFoundError(
            f"{folder}: expected cameras and images, .bin or .txt, in one of {', '.join(FOLDERS)}; found none."
        )
    model = read_model(model_folder)
    named_in = model_folder / "images"
    order = sorted(model.images, key=lambda image_id: model.images[image_id].name)
    names = [model.images[image_id].name for image_id in order]
    homes = (
        model_folder.parent / "images",
        folder / "images",
        folder,
        folder / "rgb",
        model_folder.parents[1] / "images",
    )
    found_in = (home for home in homes if any(exists(inside(home, name, named_in)) for name in names[:20]))
    home = next(found_in, folder / "images")
    here = {image_id: inside(home, model.images[image_id].name, named_in) for image_id in order}
    found = [image_id for image_id in order if exists(here[image_id])]
    frames = [
        frame(here[image_id], model.cameras[model.images[image_id].camera_id], torch.from_numpy(model.w2c[image_id]))
        for image_id in found
    ]
    ignored = [name for name in NOT_READ if any((model_folder / f"{name}{end}").is_file() for end in (".bin", ".txt"))]
    why = "not read: each image's own pose is in images already"
    return Captured(
        Views(frames),
        [model.images[image_id].name for image_id in found],
        [model.images[image_id].name for image_id in order if not exists(here[image_id])],
        kind="colmap",
        points=torch.from_numpy(model.points.xyz).float(),
        notes=(f"{' and '.join(ignored)} {why}",) if ignored else (),
    )


def find_model(folder: Path) -> Path | None:
    """The folder in FOLDERS that holds a model."""
    for inner in FOLDERS:
        for suffix in (".bin", ".txt"):
            if all((folder / inner / f"{part}{suffix}").is_file() for part in ("cameras", "images")):
                return folder / inner
    return None
