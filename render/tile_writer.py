"""Writing tiled scenes: chunks of Gaussians are spilled by tile to disk, then each tile is finished by itself."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int
from safetensors.torch import save_file
from torch import Tensor

from .checks import check_gaussians
from .files import atomic_folder
from .gaussians import Gaussians
from .merging import merge_with_sources, pack
from .tile_index import FIELDS, MAX_LEVELS, MAX_TILES, NAME, TileIndex, checksum, tile_name, write_index

MAX_IN_TILE = 2**22  # Gaussians; merging them takes about 2 GB
BATCH = 2**17  # Gaussians that are merged together, where tiles are smaller
_SPILL = "spill"
Cube = tuple[int, int, int]


def write_tiles(
    gaussians: Gaussians | Iterable[Gaussians],
    folder: str | os.PathLike[str],
    *,
    tile_size: float,
    levels: int = 8,
) -> None:
    """Writes a scene, given whole or chunk by chunk, as a folder of tiles (see tile_index), all or nothing.

    tile_size: metres; a tile is read as a whole and has one level at a time, so it should be small against what a
    camera sees, and hold thousands of Gaussians. levels: merged versions of each tile, with cells of tile_size,
    tile_size / 2, ... metres; 0 for none. An existing folder is replaced. Memory: a chunk, or a tile when it is
    merged. All chunks need the SH degree and the features of the first.

    Raises ValueError for values that are not finite or out of range, chunks that differ, no Gaussians at all, more
    than MAX_TILES tiles or MAX_IN_TILE Gaussians in one.
    """
    if not (math.isfinite(tile_size) and tile_size > 0):
        raise ValueError(f"tile_size must be a number of metres above 0; got {tile_size}.")
    if not 0 <= levels < MAX_LEVELS:
        raise ValueError(f"levels must lie in 0..{MAX_LEVELS - 1}; got {levels}.")
    chunks = iter([gaussians] if isinstance(gaussians, Gaussians) else gaussians)
    with atomic_folder(folder) as place:
        (place / _SPILL).mkdir()
        spill = _Spill(place / _SPILL, tile_size)
        for chunk in chunks:
            spill.add(chunk.detach().to("cpu", torch.float32))
        if spill.template is None or not spill.counts:
            raise ValueError(f"write_tiles needs Gaussians; got none for {folder}.")
        cells = (0.0, *(tile_size / 2**i for i in reversed(range(levels))))
        rows: list[tuple] = []
        for batch, counts in spill.batches():
            rows += _finish(batch, counts, cells, tile_size, place, len(rows))
        shutil.rmtree(place / _SPILL)
        features = spill.template.features
        write_index(
            TileIndex(
                tile_size,
                cells,
                spill.template.sh.shape[1],
                None if features is None else features.shape[1],
                *(np.array(column) for column in zip(*rows, strict=True)),
            ),
            place / NAME,
        )


class _Spill:
    """One file of float32 rows for each tile, to which chunks are appended."""

    def __init__(self, folder: Path, tile_size: float) -> None:
        self.folder, self.tile_size = folder, tile_size
        self.template: Gaussians | None = None  # no Gaussians, of the shapes that all chunks have
        self.counts: dict[Cube, int] = {}

    def add(self, chunk: Gaussians) -> None:
        self._check(chunk)
        if len(chunk) == 0:
            return
        table = _table(chunk)
        cubes = torch.floor(chunk.means.to(torch.float64) / self.tile_size).long()
        keys, order = torch.sort(pack(cubes.unbind(1)), stable=True)
        counts = torch.unique_consecutive(keys, return_counts=True)[1]
        ends, rows = counts.cumsum(0), table[order].numpy()
        starts = ends - counts
        named = zip(cubes[order[starts]].tolist(), starts.tolist(), ends.tolist(), strict=True)
        for cube, start, end in named:
            key = (cube[0], cube[1], cube[2])
            self.counts[key] = self.counts.get(key, 0) + end - start
            if self.counts[key] > MAX_IN_TILE or len(self.counts) > MAX_TILES:
                found = f"{len(self.counts)} tiles, one of {self.counts[key]} Gaussians"
                raise ValueError(
                    f"A scene may have {MAX_TILES} tiles of up to {MAX_IN_TILE} Gaussians; got {found}. "
                    f"Choose a {'larger' if len(self.counts) > MAX_TILES else 'smaller'} tile_size than "
                    f"{self.tile_size} m."
                )
            with self._path(key).open("ab") as file:
                rows[start:end].tofile(file)

    def batches(self) -> Iterator[tuple[Gaussians, list[int]]]:
        """Tile after tile, near in space near in order, several at a time: their Gaussians, and how many of each.
        What was spilled of them goes."""
        keys = list(self.counts)
        names: list[Cube] = []
        together = 0
        for place in morton_order(torch.tensor(keys, dtype=torch.float64), 1.0).tolist():
            together += self.counts[keys[place]]
            if names and together > BATCH:
                yield self._batch(names)
                names, together = [], self.counts[keys[place]]
            names.append(keys[place])
        yield self._batch(names)

    def _batch(self, names: list[Cube]) -> tuple[Gaussians, list[int]]:
        assert self.template is not None  # there are tiles, so there was a chunk
        tables = []
        for name in names:
            tables.append(np.fromfile(self._path(name), np.float32).reshape(self.counts[name], -1))
            self._path(name).unlink()
        return _gaussians(torch.from_numpy(np.concatenate(tables)), self.template), [len(table) for table in tables]

    def _path(self, cube: Cube) -> Path:
        return self.folder / "_".join(map(str, cube))

    def _check(self, chunk: Gaussians) -> None:
        if self.template is None:
            self.template = chunk[:0]
        shapes = [(c.sh.shape[1], None if c.features is None else c.features.shape[1]) for c in (self.template, chunk)]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"All chunks of a scene need equal SH coefficients and features; got {shapes[0]}, then {shapes[1]}."
            )
        check_gaussians(chunk)
        if len(chunk) and float(chunk.means.abs().max()) / self.tile_size > 2**52:
            raise ValueError(f"tile_size {self.tile_size} m is too small for a scene of this extent. Use larger tiles.")


def _finish(
    gaussians: Gaussians, counts: list[int], cells: tuple[float, ...], tile_size: float, place: Path, first: int
) -> list[tuple]:
    """Writes the files of a batch of tiles; returns their rows of the index. Cells never cross a tile's faces, so the
    tiles can be merged together."""
    tile = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    levels = []
    for cell in cells:
        level, source = merge_with_sources(gaussians, cell) if cell else (gaussians, torch.arange(len(gaussians)))
        order = morton_order(level.means, tile_size / 512)
        order = order[torch.sort(tile[source][order], stable=True).indices]
        ends = torch.bincount(tile[source], minlength=len(counts)).cumsum(0).tolist()
        levels.append((_columns(level[order]), [0, *ends]))
    rows = []
    for i in range(len(counts)):
        named = [{name: values[ends[i] : ends[i + 1]] for name, values in level.items()} for level, ends in levels]
        path = place / tile_name(first + i)
        save_file({f"{k}.{name}": values for k, level in enumerate(named) for name, values in level.items()}, path)
        means = torch.cat([level["means"] for level in named])
        rows.append(
            (
                path.stat().st_size,
                [len(level["means"]) for level in named],
                means.amin(dim=0).tolist(),
                means.amax(dim=0).tolist(),
                [float(level["scales"].max()) for level in named],
                [checksum(level) for level in named],
            )
        )
    return rows


def morton_order(points: Tensor, cell: float) -> Int[Tensor, " N"]:
    """Indices that sort points [N, 3] along a Z curve through cells of this many metres (2^20 of them each way)."""
    points = points.to(torch.float64)
    place = ((points - points.amin(dim=0)) / cell).clamp(max=2**20 - 1).long() if len(points) else points.long()
    code = torch.zeros(len(points), dtype=torch.int64)
    for axis, column in enumerate(place.unbind(1)):
        # Two zero bits go between the bits of each coordinate, by halves: 32, 16, 8, 4, 2 bits at a time.
        for shift, mask in ((32, 0x1F00000000FFFF), (16, 0x1F0000FF0000FF), (8, 0x100F00F00F00F00F)):
            column = (column | (column << shift)) & mask
        for shift, mask in ((4, 0x10C30C30C30C30C3), (2, 0x1249249249249249)):
            column = (column | (column << shift)) & mask
        code |= column << axis
    return torch.argsort(code, stable=True)


def _columns(gaussians: Gaussians) -> dict[str, Tensor]:
    values = {name: getattr(gaussians, name) for name in FIELDS}
    return {name: value.contiguous() for name, value in values.items() if value is not None}


def _table(gaussians: Gaussians) -> Tensor:
    """One row of numbers for each Gaussian."""
    return torch.cat([value.reshape(len(gaussians), -1) for value in _columns(gaussians).values()], dim=1)


def _gaussians(table: Tensor, template: Gaussians) -> Gaussians:
    shapes = {name: value.shape[1:] for name, value in _columns(template).items()}
    parts = table.split([math.prod(shape) for shape in shapes.values()], dim=1)
    columns = {name: part.reshape(len(table), *shapes[name]) for name, part in zip(shapes, parts, strict=True)}
    return Gaussians(**columns)
