"""Splats as PLY in the layout of the original 3D Gaussian splatting code (INRIA), which most tools read.

Written: 62 little-endian float32 columns, with zero normals and SH padded with zeros to degree 3; log scales,
logit opacities, wxyz quaternions; f_rest is channel-major (all red first). Read: the columns by name. A file in
the packed layout (ply_packed.py) has the same suffix and is told by the names of its columns.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from ..files import atomic_write
from ..gaussians import Gaussians, pad_sh
from .checks import checked_gaussians, scales_from_logs
from .errors import FormatError
from .ply_header import read_header, read_table
from .ply_packed import is_packed, read_packed

MIN_SCALE = 1e-20  # metres; log(0) has no float
OPACITY_MARGIN = 1e-6  # logits of 0 and 1 are infinite, which many readers refuse

_MEANS, _DC = ["x", "y", "z"], [f"f_dc_{i}" for i in range(3)]
_SCALES, _QUATS = [f"scale_{i}" for i in range(3)], [f"rot_{i}" for i in range(4)]
_REQUIRED = [*_MEANS, *_DC, "opacity", *_SCALES, *_QUATS]
_COLUMNS = [
    *_MEANS,
    "nx",
    "ny",
    "nz",
    *_DC,
    *(f"f_rest_{i}" for i in range(45)),
    "opacity",
    *_SCALES,
    *_QUATS,
]


def save_ply(gaussians: Gaussians, path: Path) -> None:
    """Writes the INRIA layout. Features are not part of it. Raises ValueError when a value is not finite."""
    gaussians = gaussians.to("cpu", torch.float32).detach()
    for name in ("means", "quats", "scales", "opacities", "sh"):
        if not getattr(gaussians, name).isfinite().all():
            raise ValueError(f"{path}: Gaussians.{name} must be finite to be saved; got NaN or infinity.")
    sh = pad_sh(gaussians.sh, 16)
    columns = [
        gaussians.means,
        torch.zeros_like(gaussians.means),
        sh[:, 0],
        sh[:, 1:].transpose(1, 2).flatten(1),
        gaussians.opacities.clamp(OPACITY_MARGIN, 1 - OPACITY_MARGIN).logit()[:, None],
        gaussians.scales.clamp(min=MIN_SCALE).log(),
        torch.nn.functional.normalize(gaussians.quats, dim=-1),
    ]
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(gaussians)}"]
    header += [f"property float {name}" for name in _COLUMNS] + ["end_header\n"]
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        file.write("\n".join(header).encode("ascii"))
        file.write(torch.cat(columns, dim=1).numpy().astype("<f4", copy=False).tobytes())


def load_ply(path: Path) -> Gaussians:
    """Reads splats whose columns have INRIA's names, in any order, of SH degree 0 to 3, or SuperSplat's packed
    layout; bands that are zero throughout are dropped. Raises FormatError for anything else."""
    with path.open("rb") as file:
        elements, offset = read_header(file, path)
        if is_packed(elements):
            return read_packed(file, elements, offset, path)
        vertex = next((element for element in elements if element.name == "vertex"), None)
        names = [] if vertex is None else [name for name, _ in vertex.columns]
        _check_names(names, path)
        table = read_table(file, elements, offset, "vertex")

    def columns(wanted: list[str]) -> np.ndarray:
        values = np.empty((len(table), len(wanted)), np.float32)
        with np.errstate(over="ignore"):  # out-of-range doubles become infinite and are refused as such
            for i, name in enumerate(wanted):
                values[:, i] = table[name]
        if not np.isfinite(values).all():
            bad = wanted[int((~np.isfinite(values)).any(axis=0).argmax())]
            raise FormatError(path, "finite numbers", f"NaN or infinity in {bad!r}", "export it again")
        return values

    coefficients = 1 + len([name for name in names if name.startswith("f_rest_")]) // 3
    rest = columns([f"f_rest_{i}" for i in range(3 * (coefficients - 1))])
    rest = rest.reshape(len(table), 3, coefficients - 1).swapaxes(1, 2)
    with np.errstate(over="ignore"):
        logits = table["opacity"].astype(np.float32)
    if np.isnan(logits).any():
        raise FormatError(path, "finite numbers", "NaN in 'opacity'", "export it again")
    return checked_gaussians(
        path,
        means=columns(_MEANS),
        quats=columns(_QUATS),
        scales=scales_from_logs(columns(_SCALES), path),
        opacities=torch.from_numpy(logits).sigmoid().numpy(),  # 1 and 0 for infinite logits, which some write
        sh=np.concatenate([columns(_DC)[:, None], rest], axis=1),
    )


def _check_names(names: list[str], path: Path) -> None:
    missing = [name for name in _REQUIRED if name not in names]
    if missing:
        advice = "export it as a Gaussian splat PLY in INRIA's layout"
        if "red" in names:
            advice = "this is a point cloud, not splats"
        raise FormatError(
            path,
            "a vertex table with x, y, z, f_dc_*, opacity, scale_*, rot_*",
            f"none called {', '.join(missing[:4])}",
            advice,
        )
    rest = {name for name in names if name.startswith("f_rest_")}
    if len(rest) not in (0, 9, 24, 45) or rest != {f"f_rest_{i}" for i in range(len(rest))}:
        raise FormatError(
            path, "0, 9, 24 or 45 columns f_rest_0, f_rest_1, ...", f"{len(rest)} of them", "export it again"
        )
