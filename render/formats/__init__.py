"""Scenes in files, by suffix."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from ..gaussians import Gaussians
from .errors import FormatError as FormatError
from .gltf import load_gltf
from .ply import load_ply, save_ply
from .splat import load_splat
from .spz import load_spz

LOADERS: dict[str, Callable[[Path], Gaussians]] = {
    ".ply": load_ply,
    ".splat": load_splat,
    ".spz": load_spz,
    ".glb": load_gltf,
    ".gltf": load_gltf,
}
SAVERS: dict[str, Callable[[Gaussians, Path], None]] = {".ply": save_ply}


def load(path: str | os.PathLike[str]) -> Gaussians:
    """The Gaussians of a file, as float32 on the CPU: .ply (also SuperSplat's packed layout), .splat, .spz, or
    .glb and .gltf with KHR_gaussian_splatting.

    The same scene comes out the same from each, in the axes of its PLY and within what the format's bytes can
    hold. Raises FormatError for what is not a sound file of its format, FileNotFoundError when there is none.
    """
    path = Path(path)
    loader = LOADERS.get(path.suffix.lower())
    if loader is None:
        raise FormatError(path, f"a scene in {sorted(LOADERS)}", repr(path.suffix), "convert it first")
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file; check the path.")
    if not path.is_file():
        raise FormatError(path, "a regular file", "a folder or device", "name the scene file itself")
    return loader(path)


def save(gaussians: Gaussians, path: str | os.PathLike[str]) -> None:
    """Writes the Gaussians (without their features) in the format of the suffix (.ply), whole or not at all.

    Raises FormatError for another suffix, ValueError for Gaussians that are not finite.
    """
    path = Path(path)
    saver = SAVERS.get(path.suffix.lower())
    if saver is None:
        raise FormatError(path, f"a name ending in {sorted(SAVERS)}", repr(path.suffix), "choose one of them")
    saver(gaussians, path)
