"""Episodes of any LeRobot dataset in a local folder, one at a time."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float32

from recon.readers.pictures import inside
from render.formats.errors import FormatError
from render.video import MAX_BYTES

from ..episodes import Episode
from .catalogue import Catalogue, Row, is_lerobot, read_catalogue
from .keys import Keys, chosen, names_of
from .layout import INFO, PADDING
from .pictures import decode_depth, decode_rgb
from .tables import AGAIN, episode_rows, wrapped
from .video import decode_video

TIMING = 0.25  # of a frame's time, by which a video's frame may be off its row


@dataclass(frozen=True)
class Dataset:
    """A dataset whose meta/ was read; `episode(i)` reads one. keys: which columns are which."""

    catalogue: Catalogue
    keys: Keys

    def __len__(self) -> int:
        return len(self.catalogue)

    @property
    def ours(self) -> bool:
        """Whether it was written by this package: what comes back is what was given."""
        return self.catalogue.mark is not None

    def episodes(self, bad: Callable[[FormatError | OSError], None] | None = None) -> Iterator[Episode]:
        """All in turn. A damaged one raises FormatError; with `bad`, that is called instead, and the next follows."""
        for index in range(len(self)):
            try:
                episode = self.episode(index)
            except (FormatError, OSError) as error:
                if bad is None:
                    raise
                bad(error)
                continue
            yield episode

    def episode(self, index: int) -> Episode:
        """The episode; actions[i] is what its row i holds, the last row's left out, since no frame follows it.

        Raises IndexError, FileNotFoundError, and FormatError where its file is damaged: the other episodes are whole.
        """
        if not 0 <= index < len(self):
            raise IndexError(
                f"{self.catalogue.root}: expected an episode from 0 to {len(self) - 1}; got {index}. Name one of those."
            )
        row, keys = self.catalogue.rows[index], self.keys
        named = {name: getattr(keys, name) for name in ("rgb", "right", "depth", "state", "touch", "action", "camera")}
        used = {name: key for name, key in named.items() if key is not None}
        table = self._rows(row, [key for key in used.values() if key not in row.videos])
        parts: dict[str, Any] = {name: self._part(row, table, name, key) for name, key in used.items()}
        facts = row.facts or {}
        try:
            x, y, z = (float(value) for value in facts.get("up", (0, 0, 1)))
            return Episode(
                rgb=torch.from_numpy(parts["rgb"]),
                w2c=_tensor(parts, "camera", (4, 4)),
                K=torch.tensor(facts["K"], dtype=torch.float32) if facts.get("K") is not None else None,
                actions=torch.from_numpy(parts["action"][:-1].copy()),
                right=_tensor(parts, "right"),
                depth=_tensor(parts, "depth"),
                baseline=facts.get("baseline", keys.baseline if "right" in parts else None),
                disparity_offset=float(facts.get("disparity_offset", 0)),
                up=(x, y, z),
                world=str(facts.get("world", "")),
                seed=int(facts.get("seed", 0)),
                proprio=_tensor(parts, "state"),
                touch=_tensor(parts, "touch"),
                action_names=self._names("action"),
                proprio_names=self._names("state"),
                touch_names=self._names("touch"),
                fps=facts.get("fps", self.catalogue.fps),
                task=self._task(row, table),
            )
        except (TypeError, ValueError, KeyError) as error:
            if isinstance(error, FormatError):
                raise
            raise FormatError(row.data, f"a whole episode {index}", str(error)[:120], AGAIN) from None

    def _rows(self, row: Row, keys: list[str]) -> pa.Table:
        features, root = self.catalogue.features, self.catalogue.root
        inside(root, str(row.data.relative_to(root)), root / INFO)
        more = [name for name in ("task_index", PADDING) if name in features]
        table = episode_rows(row.data, row.index, [*keys, "episode_index", "frame_index", "timestamp", *more])
        if table.num_rows != row.length:
            raise FormatError(row.data, f"{row.length} rows of episode {row.index}", str(table.num_rows), AGAIN)
        with wrapped(row.data):
            order = table["frame_index"].to_numpy()
        if not np.array_equal(order, np.arange(row.length)):
            raise FormatError(row.data, f"frames of episode {row.index} in order", "another order", AGAIN)
        return table

    def _part(self, row: Row, table: pa.Table, name: str, key: str) -> np.ndarray:
        feature = self.catalogue.features[key]
        if feature["dtype"] in ("image", "video"):
            shape = feature["shape"]
            if len(shape) != 3:
                raise FormatError(self.catalogue.root / INFO, f"{key} of height, width, channels", str(shape), AGAIN)
            size = (shape[1], shape[2]) if _channels_first(feature) else (shape[0], shape[1])
            if row.length * math.prod(shape) * (4 if name == "depth" else 1) > MAX_BYTES:
                raise FormatError(row.data, f"at most {MAX_BYTES} bytes an episode", f"more in {key}", "cut it up")
            if feature["dtype"] == "video":
                return self._film(row, table, name, key, size)
            return self._images(row, table, name, key, size)
        numbers = _numbers(table, key, math.prod(feature["shape"]), row.data)
        if name == "depth":
            return numbers.reshape(row.length, *feature["shape"][:2])
        return numbers

    def _film(self, row: Row, table: pa.Table, name: str, key: str, size: tuple[int, int]) -> np.ndarray:
        path, begin = row.videos[key]
        inside(self.catalogue.root, str(path.relative_to(self.catalogue.root)), self.catalogue.root / INFO)
        if name == "depth":
            raise FormatError(path, "depth as images or numbers", "a video", "leave depth out, or convert it")
        times = _numbers(table, "timestamp", 1, row.data)[:, 0].astype(np.float64) + begin
        if not (np.diff(times) > 0).all():
            raise FormatError(row.data, f"times of episode {row.index} that rise", "others", AGAIN)
        sum_there = ((row.facts or {}).get("crc32") or {}).get(key)
        # a flipped bit shows in a parquet file by its checksums; a video decodes to other pixels without a word
        if sum_there is not None and path.is_file() and sum_there != _crc32(path):
            raise FormatError(path, f"the checksum {sum_there}", "another", AGAIN)
        return decode_video(path, times, size, TIMING / self.catalogue.fps)

    def _images(self, row: Row, table: pa.Table, name: str, key: str, size: tuple[int, int]) -> np.ndarray:
        kind, tail = (np.float32, ()) if name == "depth" else (np.uint8, (3,))
        held = np.empty((row.length, *size, *tail), kind)
        column = table[key]
        if not (pa.types.is_struct(column.type) and {"bytes", "path"} <= {field.name for field in column.type}):
            raise FormatError(row.data, f"{key} as images", str(column.type)[:60], AGAIN)
        for at, value in enumerate(column):
            where, cell = f"frame {at} of episode {row.index}, {key},", value.as_py() or {}
            content = cell.get("bytes")
            if content is None and cell.get("path"):
                content = inside(self.catalogue.root, str(cell["path"]), row.data).read_bytes()
            if content is None:
                raise FormatError(row.data, f"{where} as an image", "nothing", AGAIN)
            decode = decode_depth if name == "depth" else decode_rgb
            held[at] = decode(content, size, row.data, where)
        if name == "depth":
            info = self.catalogue.features[key].get("info") or {}
            held *= np.float32(0.001 if info.get("depth_unit") == "mm" else 1)
            if not np.isfinite(held).all():
                raise FormatError(row.data, "finite numbers", f"NaN or infinity in {key}", AGAIN)
        return held

    def _names(self, name: str) -> tuple[str, ...]:
        key = getattr(self.keys, name)
        return () if key is None else names_of(self.catalogue.features[key], key)

    def _task(self, row: Row, table: pa.Table) -> str:
        if "task_index" in table.column_names:
            number = table["task_index"][0].as_py()
            if isinstance(number, int) and number in self.catalogue.tasks:
                return self.catalogue.tasks[number]
        return row.tasks[0] if row.tasks else ""


def open_dataset(root: Path, keys: Keys | None = None) -> Dataset:
    """A dataset of version 3.0, 2.1 or 2.0; a run folder of `hybridwm collect` is one.

    Raises FileNotFoundError, FormatError, and ValueError for keys that it does not have.
    """
    catalogue = read_catalogue(Path(root))
    return Dataset(catalogue, chosen(catalogue.features, keys or Keys(), root, ours=catalogue.mark is not None))


def find_datasets(folder: Path) -> list[Path]:
    """The folder itself, or the shards of a collection that lie in it."""
    if is_lerobot(folder):
        return [folder]
    return sorted(path for path in folder.glob("shard-*-of-*") if is_lerobot(path)) if folder.is_dir() else []


def _channels_first(feature: dict[str, Any]) -> bool:
    """Shapes are written both ways; the names say which, else which end can be channels."""
    shape, names = feature["shape"], feature.get("names")
    if isinstance(names, list) and names and isinstance(names[0], str):
        return names[0].lower() in ("channel", "channels", "c")
    return shape[0] in (1, 3) and shape[2] not in (1, 3)


def _crc32(path: Path) -> int:
    found = 0
    with path.open("rb") as file:
        while content := file.read(2**20):
            found = zlib.crc32(content, found)
    return found


def _tensor(parts: dict[str, np.ndarray], name: str, shape: tuple[int, ...] = ()) -> torch.Tensor | None:
    if name not in parts:
        return None
    part = parts[name]
    return torch.from_numpy(part.reshape(len(part), *shape) if shape else part)


def _numbers(table: pa.Table, key: str, size: int, path: Path) -> Float32[np.ndarray, "T D"]:
    """A column of numbers, or of lists of them, nested or not, `size` in each row. Raises FormatError."""
    with wrapped(path):
        values: Any = table[key].combine_chunks()
        if isinstance(values, pa.ChunkedArray):
            values = pa.concat_arrays(values.chunks)
        while isinstance(values, pa.ExtensionArray):
            values = values.storage
        nulls = values.null_count
        while pa.types.is_nested(values.type) and not pa.types.is_struct(values.type):
            values = values.flatten()
            nulls += values.null_count
        if nulls or pa.types.is_struct(values.type) or pa.types.is_string(values.type):
            raise FormatError(path, f"numbers in {key}", "nothing" if nulls else str(values.type)[:60], AGAIN)
        flat = np.array(values.to_numpy(zero_copy_only=False), np.float32)  # a copy: Arrow's own is read-only
    if len(flat) != table.num_rows * size:
        raise FormatError(path, f"{size} numbers a row in {key}", f"{len(flat)} in {table.num_rows} rows", AGAIN)
    if not np.isfinite(flat).all():
        raise FormatError(path, "finite numbers", f"NaN or infinity in {key}", AGAIN)
    return flat.reshape(table.num_rows, size)
