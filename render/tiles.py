"""Scenes larger than memory: tiles of space with levels of detail on disk, of which a camera takes what it sees.

write_tiles(gaussians, "city", tile_size=8.0)              # or an iterator of Gaussians, a chunk at a time
scene = TiledScene.open("city")
image = rasterize(scene.visible(camera), camera)
"""

from __future__ import annotations

import os
from pathlib import Path

import torch
from jaxtyping import Int
from safetensors import SafetensorError, safe_open
from torch import Tensor

from .camera import Camera
from .checks import check_gaussians
from .formats.errors import FormatError
from .gaussians import Gaussians
from .level_of_detail import needed_levels
from .tile_index import AGAIN, TileIndex, checksum, read_index, tile_name
from .tile_writer import write_tiles as write_tiles

Place = tuple[int, int]  # a tile and a level of it


class TiledScene:
    """A folder of tiles. Values are read through memory maps, and copied of the tiles that a camera sees."""

    def __init__(self, folder: Path, index: TileIndex) -> None:
        self.folder, self.index = folder, index
        self._lowest, self._highest = torch.from_numpy(index.lowest), torch.from_numpy(index.highest)
        self._largest = torch.from_numpy(index.largest)
        self._sound: set[Place] = set()  # tiles and levels whose values have been checked
        self._last: tuple[dict[Place, slice], Gaussians] | None = None

    @staticmethod
    def open(folder: str | os.PathLike[str]) -> TiledScene:
        """The scene that write_tiles wrote. No tile is read yet.

        Raises FileNotFoundError where there is none, FormatError where the index or the length of a file is wrong.
        """
        folder = Path(folder)
        return TiledScene(folder, read_index(folder))

    def __len__(self) -> int:
        """The number of Gaussians at level 0."""
        return int(self.index.counts[:, 0].sum())

    def needed(self, camera: Camera, *, pixels: float = 1.0) -> Int[Tensor, " T"]:
        """For each tile the coarsest level whose cell stays below `pixels` pixels; -1: out of view. See
        level_of_detail.select; a batch of cameras needs what any of them needs."""
        bounds = (self._lowest, self._highest, self._largest)
        return needed_levels(self.index.cells, *bounds, camera.to("cpu"), pixels)

    def visible(self, camera: Camera, *, pixels: float = 1.0, max_gaussians: int | None = None) -> Gaussians:
        """The Gaussians (float32, CPU) that camera, or a batch of cameras, sees: the tiles that may reach an image,
        each at the level of `needed`.

        Raises ValueError when they are more than max_gaussians, before any is read, and FormatError for a damaged
        tile. The value is kept, for what it shares with the next one: do not write into it.
        """
        needed = self.needed(camera, pixels=pixels)
        tiles = (needed >= 0).nonzero().squeeze(1)
        wanted = list(zip(tiles.tolist(), needed[tiles].tolist(), strict=True))
        counts = [int(self.index.counts[place]) for place in wanted]
        total = sum(counts)
        if max_gaussians is not None and total > max_gaussians:
            raise ValueError(
                f"{self.folder}: expected at most {max_gaussians} visible Gaussians; got {total} "
                f"({total * self.index.bytes_each / 1e6:.0f} MB) in {len(wanted)} of {len(self.index)} tiles at "
                f"pixels={pixels}. Raise max_gaussians, or pixels for coarser levels."
            )
        if self._last is None or list(self._last[0]) != wanted:
            self._last = self._load(wanted, counts)
        return self._last[1]

    def verify(self) -> None:
        """Reads every level of every tile. Raises FormatError for the first that is damaged."""
        self._sound.clear()
        for tile in range(len(self.index)):
            for level in range(len(self.index.cells)):
                self._tile(tile, level)

    def _load(self, wanted: list[Place], counts: list[int]) -> tuple[dict[Place, slice], Gaussians]:
        """The Gaussians of these tiles and levels, and where each begins and ends. What the last value held is taken
        from there: opening a file costs more than copying it."""
        columns = {name: torch.empty(sum(counts), *shape) for name, shape in self.index.shapes.items()}
        places: dict[Place, slice] = {}
        last_places, last = self._last or ({}, Gaussians.empty())
        end = 0
        for place, count in zip(wanted, counts, strict=True):
            rows = places[place] = slice(end, end + count)
            end += count
            if place in last_places:
                values = {name: getattr(last, name)[last_places[place]] for name in columns}
            else:
                values = self._tile(*place)
            for name, column in columns.items():
                column[rows] = values[name]
        return places, Gaussians(**columns)

    def _tile(self, tile: int, level: int) -> dict[str, Tensor]:
        """The values of one level of a tile, as views of the mapped file; checked when they are first asked for."""
        path, count = self.folder / tile_name(tile), int(self.index.counts[tile, level])
        try:
            if path.stat().st_size != self.index.sizes[tile]:  # a file that shrank would end the process when read
                raise ValueError(f"{path.stat().st_size} bytes instead of {self.index.sizes[tile]}")
            with safe_open(path, "pt") as file:
                values = {}
                for name, shape in self.index.shapes.items():
                    part = file.get_slice(f"{level}.{name}")
                    if part.get_dtype() != "F32" or part.get_shape() != [count, *shape]:
                        raise ValueError(f"{level}.{name} {part.get_dtype()} {part.get_shape()}")
                    values[name] = file.get_tensor(f"{level}.{name}")
        except (SafetensorError, OSError, ValueError) as error:
            raise FormatError(path, f"level {level} of {count} Gaussians", str(error)[:120], AGAIN) from None
        if (tile, level) not in self._sound:
            self._check(path, values, int(self.index.checksums[tile, level]))
            self._sound.add((tile, level))
        return values

    def _check(self, path: Path, values: dict[str, Tensor], expected: int) -> None:
        found = checksum(values)
        if found != expected:
            raise FormatError(path, f"values of CRC-32 {expected}", str(found), AGAIN)
        try:
            check_gaussians(Gaussians(**values))
        except ValueError as error:
            raise FormatError(path, "values that can be rendered", str(error), AGAIN) from None
