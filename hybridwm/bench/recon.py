"""Reconstruction on recorded data: the figures of every area, by one command and in one table.

An area is a module recon_AREA here, with measure(data_folder) -> figures by name (nested where it suits).
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

# Area: what is measured. In the order of the table.
AREAS = {
    "stereo": "real pairs with true disparity, and held-out rooms, beside OpenCV's semi-global matching",
    "readers": "the readers of other tools' files, against figures known for those files",
    "cameras": "cameras from images, beside COLMAP",
    "multiview": "depth from posed images alone",
    "monocular": "depth from one image",
    "surfaces": "scenes and meshes from RGB-D at views kept out, beside a point warp and Open3D",
    "rooms": "scenes of held-out rooms by each depth source",
    "fusion": "what moves, what is taken away, what known ground adds, and the time of a step",
}
NEED_NO_RECORDINGS = ("rooms", "fusion")


def measure_area(area: str, data_folder: Path) -> dict[str, float]:
    """The area's figures, flat: nested names are joined by ": ". Tables within are left out."""
    module = importlib.import_module(f".recon_{area}", __package__)
    return dict(flattened(module.measure(data_folder)))


def flattened(figures: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, float]]:
    """The numbers in nested mappings, each with the names on the way to it."""
    for name, value in figures.items():
        path = f"{above}: {name}" if above else str(name)
        if isinstance(value, Mapping):
            yield from flattened(value, path)
        elif isinstance(value, (int, float)):
            yield path, float(value)
