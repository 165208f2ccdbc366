"""The index of a tiled scene: a folder of one index.json and one safetensors file for each tile.

A tile is a cube of space; its file holds all its levels of detail, of which level 0 is the Gaussians themselves, in
Morton order, as tensors "LEVEL.means", "LEVEL.quats" and so on. The index says how long each file is, how many
Gaussians each level of each tile has, where they lie, and the CRC-32 of their values and of the index itself.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .formats.errors import FormatError

NAME = "index.json"
FORMAT, VERSION = "hybridwm-tiles", 1
MAX_TILES, MAX_LEVELS = 2**13, 13
MAX_BYTES = 8 * 2**20  # of an index; parsed, the worst JSON takes more than twenty times as much
FIELDS = ("means", "quats", "scales", "opacities", "sh", "features")
AGAIN = "write the tiles again"


@dataclass(frozen=True)
class TileIndex:
    """T tiles with L levels. cells [L]: metres, cells[0] = 0. coefficients: of SH, K. features: channels, or None.

    sizes [T]: bytes of each file. counts [T, L]: Gaussians. lowest, highest [T, 3]: bounds of their centres, metres.
    largest [T, L]: their largest standard deviation, metres. checksums [T, L].
    """

    tile_size: float
    cells: tuple[float, ...]
    coefficients: int
    features: int | None
    sizes: np.ndarray
    counts: np.ndarray
    lowest: np.ndarray
    highest: np.ndarray
    largest: np.ndarray
    checksums: np.ndarray

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of one Gaussian, for each field that the files hold."""
        shapes: dict[str, tuple[int, ...]] = {"means": (3,), "quats": (4,), "scales": (3,), "opacities": ()}
        shapes["sh"] = (self.coefficients, 3)
        return shapes if self.features is None else {**shapes, "features": (self.features,)}

    @property
    def bytes_each(self) -> int:
        """Of one Gaussian."""
        return 4 * sum(int(np.prod(shape)) for shape in self.shapes.values())


ARRAYS: dict[str, tuple[type, str]] = {
    "sizes": (np.int64, "T"),
    "counts": (np.int64, "TL"),
    "lowest": (np.float64, "T3"),
    "highest": (np.float64, "T3"),
    "largest": (np.float64, "TL"),
    "checksums": (np.int64, "TL"),
}


def tile_name(tile: int) -> str:
    """Names are numbers, so that no index can point out of its folder."""
    return f"{tile:06d}.safetensors"


def checksum(values: dict[str, Tensor]) -> int:
    """CRC-32 of the values of one level of a tile, field after field."""
    found = 0
    for name in FIELDS:
        if name in values:
            found = zlib.crc32(values[name].reshape(-1).view(torch.uint8).numpy().data, found)
    return found


def write_index(index: TileIndex, path: Path) -> None:
    """Raises ValueError where the index would be too long to be read again."""
    content: dict[str, Any] = {"format": FORMAT, "version": VERSION}
    for name in ("tile_size", "cells", "coefficients", "features"):
        content[name] = getattr(index, name)
    content.update({name: getattr(index, name).tolist() for name in ARRAYS})
    rest = json.dumps(content)[1:]
    text = f'{{"crc32": {zlib.crc32(rest.encode())},\n{rest}'
    if len(text) > MAX_BYTES:
        raise ValueError(
            f"The index of {len(index)} tiles may have {MAX_BYTES} bytes; got {len(text)}. Choose a larger tile_size."
        )
    path.write_text(text)


def read_index(folder: Path) -> TileIndex:
    """The index of a folder, checked against itself and against the lengths of the files that it names.

    Raises FileNotFoundError where there is no index, FormatError where it or a tile's file is not what it should be.
    """
    path = folder / NAME
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; expected a folder written by render.tiles.write_tiles().")
    if path.stat().st_size > MAX_BYTES:
        raise FormatError(path, f"at most {MAX_BYTES} bytes", str(path.stat().st_size), AGAIN)
    try:
        # The checksum of all that follows has the first line to itself.
        first, _, rest = path.read_bytes().partition(b"\n")
        checksums = json.loads(first.removesuffix(b",") + b"}")["crc32"], zlib.crc32(rest)
        content = json.loads(b"{" + rest) if checksums[0] == checksums[1] else {}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise FormatError(path, "the index of a tiled scene", f"{type(error).__name__}: {error}"[:80], AGAIN) from None
    if checksums[0] != checksums[1]:
        raise FormatError(path, f"contents of CRC-32 {checksums[0]}"[:80], str(checksums[1]), AGAIN)
    if (content.get("format"), content.get("version")) != (FORMAT, VERSION):
        found = f"{content.get('format')!r} version {content.get('version')!r}"
        raise FormatError(path, f"{FORMAT!r} version {VERSION}", found[:80], AGAIN)
    try:
        index = _index(content)
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise FormatError(
            path, "numbers that describe tiles", f"{type(error).__name__}: {error}"[:120], AGAIN
        ) from None
    _check_files(index, folder)
    return index


def _index(content: dict[str, Any]) -> TileIndex:
    cells = tuple(float(cell) for cell in content["cells"])
    coefficients, features = content["coefficients"], content["features"]
    _expect(1 <= len(cells) <= MAX_LEVELS and cells[0] == 0, f"cells {cells}"[:80])
    _expect(all(a < b < float("inf") for a, b in zip(cells, cells[1:], strict=False)), f"cells {cells}"[:80])
    _expect(type(coefficients) is int and coefficients in (1, 4, 9, 16), f"coefficients {coefficients!r}"[:80])
    _expect(features is None or (type(features) is int and 0 <= features < 2**16), f"features {features!r}"[:80])
    tile_size = float(content["tile_size"])
    _expect(0 < tile_size < float("inf"), f"tile_size {tile_size}")
    _expect(isinstance(content["sizes"], list) and len(content["sizes"]) <= MAX_TILES, "sizes of too many tiles")
    lengths = {"T": len(content["sizes"]), "L": len(cells), "3": 3}
    arrays = {}
    for name, (dtype, axes) in ARRAYS.items():
        shape = tuple(lengths[axis] for axis in axes)
        array = np.array(content[name], dtype=dtype if content[name] else np.float64).reshape(-1, *shape[1:])
        _expect(array.shape == shape and bool(np.isfinite(array).all()), f"{name} of shape {array.shape}")
        arrays[name] = array.astype(dtype)
    index = TileIndex(tile_size, cells, coefficients, features, **arrays)
    _expect(bool((index.counts >= 1).all() and (index.counts < 2**40).all()), "a count below 1 or too large")
    _expect(bool((index.lowest <= index.highest).all() and (index.largest >= 0).all()), "bounds in the wrong order")
    return index


def _check_files(index: TileIndex, folder: Path) -> None:
    payloads = index.counts.sum(axis=1) * index.bytes_each
    for tile, (size, payload) in enumerate(zip(index.sizes.tolist(), payloads.tolist(), strict=True)):
        path = folder / tile_name(tile)
        if not path.is_file():
            raise FormatError(path, "a tile of this scene", "no file", "the files of a scene belong together: " + AGAIN)
        length = path.stat().st_size
        if length != size or length < payload:
            raise FormatError(path, f"{max(size, payload)} bytes, as in {NAME}", str(length), AGAIN)


def _expect(condition: bool, found: str) -> None:
    if not condition:
        raise ValueError(found)
