"""Scenes in files, by suffix."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from ..gaussians import Gaussians
from .errors import FormatError as FormatError
from .ply import load_ply, save_ply

LOADERS: dict[str, Callable[[Path], Gaussians]] = {".ply": load_ply}
SAVERS: dict[str, Callable[[Gaussians, Path], None]] = {".ply": save_ply}


def load(path: str | os.PathLike[str]) -> Gaussians:
    """The Gaussians of a file (.ply), as float32 on the CPU.

    Raises FormatError for what is not a sound file of its format, FileNotFoundError when there is none.
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
