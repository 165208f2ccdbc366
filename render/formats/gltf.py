"""Splats in glTF: the extension KHR_gaussian_splatting, in .glb or .gltf.

Source: the extension's specification (Khronos, 2026). Scales and opacities are linear, quaternions xyzw, SH as in
3D Gaussian splatting, one attribute for each coefficient. Nodes move the splats; then the scene is turned into the
axes of its PLY. What is left out: other meshes, and COLOR_0, which is for viewers without splats.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64

from ..conventions import PLY_FROM_GLTF, wxyz_from_xyzw
from ..gaussians import Gaussians
from .checks import checked_gaussians
from .gltf_accessors import FLOAT, Column, read_column
from .gltf_document import EXTENSION, Document, shown
from .gltf_nodes import placed_primitives

FREE_BYTES = 48 << 20  # a file of any size may fill this much with Gaussians
MAX_RATIO = 4  # and a large one this many times its length: one mesh may be shown by many nodes

_POINTS, _TRIANGLES = 0, 4
_EXPECTED = {"kernel": "ellipse", "colorSpace": "srgb_rec709_display", "projection": "perspective"}
# Type of each attribute and its possible component types.
_REQUIRED = {
    "POSITION": ("VEC3", FLOAT),
    f"{EXTENSION}:ROTATION": ("VEC4", FLOAT | {(5120, True), (5122, True)}),
    f"{EXTENSION}:SCALE": ("VEC3", FLOAT | {(5121, False), (5121, True), (5123, False), (5123, True)}),
    f"{EXTENSION}:OPACITY": ("SCALAR", FLOAT | {(5121, True), (5123, True)}),
}
_COEFFICIENT = ("VEC3", FLOAT)
_HARMONICS = [[f"{EXTENSION}:SH_DEGREE_{degree}_COEF_{i}" for i in range(2 * degree + 1)] for degree in range(4)]


def load_gltf(path: Path) -> Gaussians:
    """All splats of the file's scene, of SH degree 0 to 3, in the axes of the PLY of the same scene.

    Raises FormatError for what the specification does not allow, for drafts of the extension, compressed splats,
    linear colours, and nodes that shear, mirror or stretch unevenly. Opens no file but this one and its buffers,
    which must lie in the same folder or below.
    """
    document = Document(path)
    size, decoded = 0, []
    for placed in placed_primitives(document):
        columns = _columns(document, placed.primitive)
        size += len(placed.places) * len(columns["POSITION"].raw) * 4 * (3 * len(columns) - 1)
        most = max(FREE_BYTES, MAX_RATIO * document.bytes_read)
        if size > most:
            document.fail(f"Gaussians of at most {most} bytes", f"{size}", "a mesh is shown too often: export it again")
        decoded.append((_gaussians(path, columns), placed.places))
        del columns
    document.release_buffers()
    moved = [_moved(document, gaussians, place) for gaussians, places in decoded for place in places]
    return moved[0] if len(moved) == 1 else Gaussians.cat(moved)


def _columns(document: Document, primitive: dict[str, Any]) -> dict[str, Column]:
    """The attributes of a splat primitive, none of them decoded."""
    extension = document.object(primitive["extensions"][EXTENSION], EXTENSION)
    for name in document.object(extension.get("extensions", {}), f"extensions of {EXTENSION}"):
        if "compression" in name:
            document.fail("splats without compression", shown(name), "export them uncompressed, or as .spz")
    attributes = document.object(primitive.get("attributes"), "a primitive's attributes")
    missing = [name for name in [*_REQUIRED, *_HARMONICS[0]] if name not in attributes]
    if missing:
        draft = any(name.removeprefix(f"{EXTENSION}:").startswith("_") for name in attributes)
        document.fail(
            f"the attributes of {EXTENSION}",
            f"none called {', '.join(missing[:3])}",
            "an early draft of the extension? export it with a current tool" if draft else "export it again",
        )
    for name, value in _EXPECTED.items():
        found = extension.get(name, value if name == "projection" else None)
        if found != value:
            document.fail(f"{name} {value!r}", shown(found), "no other is read here: export it with that")
    mode = primitive.get("mode", _TRIANGLES)
    if mode != _POINTS:
        document.fail("splats as points, mode 0", f"mode {shown(mode)}")
    held = [sum(name in attributes for name in names) for names in _HARMONICS]
    degree = max(degree for degree in range(4) if held[degree])
    if any(held[i] != len(_HARMONICS[i]) for i in range(degree + 1)):
        document.fail(f"all SH coefficients up to degree {degree}", f"{sum(held)} of {(degree + 1) ** 2}")
    kinds = {**_REQUIRED, **{name: _COEFFICIENT for names in _HARMONICS[: degree + 1] for name in names}}
    columns = {name: read_column(document, attributes[name], name, *kind) for name, kind in kinds.items()}
    counts = {len(column.raw) for column in columns.values()}
    if len(counts) > 1:
        document.fail("as many values in each attribute", f"{min(counts)} to {max(counts)}")
    return columns


def _gaussians(path: Path, columns: dict[str, Column]) -> Gaussians:
    """As the primitive holds them, before nodes move them."""
    position, rotation, scale, opacity, *harmonics = columns.values()
    sh = np.empty((len(position.raw), len(harmonics), 3), np.float32)
    for i, column in enumerate(harmonics):
        sh[:, i] = column.raw
    return checked_gaussians(
        path,
        means=position.floats(),
        quats=wxyz_from_xyzw(torch.from_numpy(rotation.floats())).numpy(),
        scales=scale.floats(),
        opacities=opacity.floats()[:, 0],
        sh=sh,
    )


def _moved(document: Document, gaussians: Gaussians, gltf_from_primitive: Float64[np.ndarray, "4 4"]) -> Gaussians:
    try:
        moved = gaussians.transform(PLY_FROM_GLTF @ torch.from_numpy(gltf_from_primitive))
    except ValueError as error:
        document.fail(
            "nodes that turn, shift and scale evenly",
            str(error).partition(".")[0],
            "apply their transforms to the splats and export again",
        )
    if not all(value.isfinite().all() for value in (moved.means, moved.quats, moved.scales, moved.sh)):
        document.fail("nodes that keep splats finite", "NaN or infinity")
    return moved
