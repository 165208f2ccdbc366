"""Structure from motion by COLMAP, through pycolmap (extra [sfm]), in a process of its own."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from render.images import write_png

from .bundle import Structure
from .structure import empty_structure, polish


def colmap_structure(
    images: Sequence[Float[Tensor, "H W 3"]], K: Float[Tensor, "3 3"], seconds: float = 3600
) -> Structure:
    """Cameras and points by COLMAP's own features, exhaustive matching and incremental mapping, K held; then adjusted
    as ours are. Of a few runs, the one with the most cameras and then the most redundant observations. Nothing is
    registered where COLMAP finds no model.

    Raises ModuleNotFoundError without pycolmap, and RuntimeError with its last words where its process fails or takes
    longer than `seconds`.
    """
    if importlib.util.find_spec("pycolmap") is None:
        raise ModuleNotFoundError(
            "method='colmap' needs pycolmap; it is not installed. Run: pip install 'hybridwm[sfm]'"
        )
    with TemporaryDirectory(prefix="hybridwm-colmap-") as name:
        folder = Path(name)
        (folder / "images").mkdir()
        for index, image in enumerate(images):
            write_png(folder / "images" / f"{index:06d}.png", image.detach().cpu())
        fx, fy, cx, cy = (float(K[i, j]) for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))
        request = {"fx": fx, "fy": fy, "cx": cx, "cy": cy, "threads": len(os.sched_getaffinity(0))}
        (folder / "request.json").write_text(json.dumps(request))
        _run(folder, seconds)
        models = json.loads((folder / "models.json").read_text())
    structures = [polish(_structure(model, len(images)), K.double()) for model in models if model["observations"]]
    return max(structures, key=_worth, default=empty_structure(len(images)))


def _run(folder: Path, seconds: float) -> None:
    # -P: the script's own folder, where our modules lie, is not searched for other tools' imports.
    command = [sys.executable, "-P", str(Path(__file__).with_name("colmap_process.py")), str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"COLMAP took longer than {seconds} seconds. Give it fewer or smaller images.") from error
    if done.returncode != 0 or not (folder / "models.json").is_file():
        words = " / ".join(done.stderr.strip().splitlines()[-3:]) or "nothing"
        raise RuntimeError(f"COLMAP's process ended with {done.returncode} and said: {words}")


def _structure(model: dict[str, Any], images: int) -> Structure:
    w2c = torch.eye(4, dtype=torch.float64).repeat(images, 1, 1)
    registered = torch.zeros(images, dtype=torch.bool)
    for name, matrix in model["images"].items():
        index = int(Path(name).stem)
        w2c[index, :3], registered[index] = torch.tensor(matrix, dtype=torch.float64), True
    points = torch.tensor(model["points"], dtype=torch.float64)
    seen = model["observations"]
    point_index = torch.tensor([point for point, *_ in seen])
    camera_index = torch.tensor([int(Path(name).stem) for _, name, *_ in seen])
    pixels = torch.tensor([[u, v] for *_, u, v in seen], dtype=torch.float64)
    return Structure(w2c, registered, points, camera_index, point_index, pixels)


def _worth(structure: Structure) -> tuple[int, int]:
    """A bent structure breaks its tracks: each piece pays three unknowns for its point."""
    return int(structure.registered.sum()), 2 * len(structure.pixels) - 3 * len(structure.points)
