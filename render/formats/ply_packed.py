"""Splats as PLY in SuperSplat's packed layout, which many tools call compressed PLY.

Chunks of 256 splats with the bounds of their positions, log scales and (in newer files) colours; in each splat
four 32-bit words hold its place between them, and a table `sh` one byte for each higher coefficient.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..gaussians import Gaussians
from ..spherical_harmonics import DC
from .checks import checked_gaussians, scales_from_logs
from .errors import FormatError
from .ply_header import Element, read_table
from .smallest_three import quats_from_smallest_three

CHUNK = 256
SH_RANGE = 4.0  # coefficients lie in -4..4

_WORDS = ["packed_position", "packed_rotation", "packed_scale", "packed_color"]
_BOUNDS = [f"{end}_{axis}" for axis in ("x", "y", "z") for end in ("min", "max")]
_SCALE_BOUNDS = [f"{end}_scale_{axis}" for axis in ("x", "y", "z") for end in ("min", "max")]
_COLOR_BOUNDS = [f"{end}_{channel}" for channel in "rgb" for end in ("min", "max")]
_BITS = [(21, 11), (11, 10), (0, 11)]  # shift and width of x, y, z in a word of three


def is_packed(elements: list[Element]) -> bool:
    """Whether a PLY file with these tables is in this layout."""
    return any(_WORDS[0] in dict(element.columns) for element in elements)


def read_packed(file: BinaryIO, elements: list[Element], offset: int, path: Path) -> Gaussians:
    """The Gaussians of a file whose header was read. Raises FormatError when its tables do not fit together."""
    tables = {element.name: element for element in elements}
    vertex, chunk, sh = (tables.get(name, Element(name, 0, [])) for name in ("vertex", "chunk", "sh"))
    _check_columns(vertex, _WORDS, "<u4", "uint", path)
    _check_columns(chunk, [*_BOUNDS, *_SCALE_BOUNDS], "<f4", "float", path)
    coloured = any(name in dict(chunk.columns) for name in _COLOR_BOUNDS)
    if coloured:
        _check_columns(chunk, _COLOR_BOUNDS, "<f4", "float", path)
    if chunk.count != -(-vertex.count // CHUNK):
        raise FormatError(
            path, f"a chunk for every {CHUNK} of {vertex.count} splats", f"{chunk.count} chunks", "export it again"
        )
    words = read_table(file, elements, offset, "vertex")
    bounds = read_table(file, elements, offset, "chunk")
    colors = words["packed_color"]
    shares = [_share(colors, shift, 8) for shift in (24, 16, 8)]
    return checked_gaussians(
        path,
        means=_between(bounds, _BOUNDS, [_share(words["packed_position"], *bits) for bits in _BITS]),
        quats=_rotations(words["packed_rotation"]),
        scales=scales_from_logs(
            _between(bounds, _SCALE_BOUNDS, [_share(words["packed_scale"], *bits) for bits in _BITS]), path
        ),
        opacities=_share(colors, 0, 8),
        sh=_colours(
            _between(bounds, _COLOR_BOUNDS, shares) if coloured else np.stack(shares, axis=1),
            _rest(file, elements, offset, sh, vertex.count, path),
        ),
    )


def _check_columns(element: Element, names: list[str], code: str, called: str, path: Path) -> None:
    columns = dict(element.columns)
    wrong = [name for name in names if columns.get(name) != code]
    if wrong:
        raise FormatError(
            path,
            f"the packed layout's {called} columns in table {element.name!r}",
            f"none called {', '.join(wrong[:4])}",
            "export it again",
        )


def _share(words: np.ndarray, shift: int, bits: int) -> np.ndarray:
    """Bits of each word as 0..1, float32."""
    most = (1 << bits) - 1
    return ((words >> np.uint32(shift)) & np.uint32(most)).astype(np.float32) / np.float32(most)


def _between(bounds: np.ndarray, names: list[str], shares: list[np.ndarray]) -> np.ndarray:
    """Values [N, 3] at these shares of the way from each chunk's lower bound to its upper one."""
    values = np.empty((len(shares[0]), 3), np.float32)
    for i, share in enumerate(shares):
        low, high = (np.repeat(bounds[name], CHUNK)[: len(share)] for name in names[2 * i : 2 * i + 2])
        with np.errstate(invalid="ignore"):  # infinite bounds are refused with the values
            values[:, i] = low * (1 - share) + high * share
    return values


def _rotations(words: np.ndarray) -> np.ndarray:
    three = np.stack([_share(words, shift, 10) for shift in (20, 10, 0)], axis=1)
    return quats_from_smallest_three((three - np.float32(0.5)) * np.float32(2**0.5), words >> np.uint32(30))


def _colours(rgb: np.ndarray, rest: np.ndarray) -> np.ndarray:
    sh = np.empty((len(rgb), 1 + rest.shape[2], 3), np.float32)
    with np.errstate(over="ignore"):
        sh[:, 0] = (rgb - np.float32(0.5)) / np.float32(DC)
    sh[:, 1:] = rest.swapaxes(1, 2)
    return sh


def _rest(file: BinaryIO, elements: list[Element], offset: int, sh: Element, count: int, path: Path) -> np.ndarray:
    """Higher coefficients [N, 3, K - 1], channel-major as in INRIA's layout."""
    if not sh.columns:
        return np.zeros((count, 3, 0), np.float32)
    width = len(sh.columns)
    if width not in (9, 24, 45) or sh.count != count:
        raise FormatError(
            path, f"9, 24 or 45 columns of {count} rows in table 'sh'", f"{width} of {sh.count}", "export it again"
        )
    names = [f"f_rest_{i}" for i in range(width)]
    _check_columns(sh, names, "<u1", "uchar", path)
    # A byte stands for the middle of its step; the ends stand for themselves.
    steps = (np.arange(256) + 0.5) / 256
    steps[[0, 255]] = 0, 1
    values = ((steps - 0.5) * 2 * SH_RANGE).astype(np.float32)
    table = read_table(file, elements, offset, "sh")
    rest = np.empty((count, width), np.float32)
    for i, name in enumerate(names):
        rest[:, i] = values[table[name]]
    return rest.reshape(count, 3, width // 3)
