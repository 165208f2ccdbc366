"""Writes a dataset episode by episode: what was added is on disk, and what is on disk is whole."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from render.formats.errors import FormatError

from . import layout
from .catalogue import Catalogue, Row, is_lerobot, read_catalogue
from .encode import Encoded, facts_text
from .layout import EPISODES, FACTS, MARK, ROWS, place
from .statistics import NAMES, Stats, folded
from .tables import WRITING, parquet_bytes, place_file, read_table


class DatasetWriter:
    """Adds episodes to a folder, which may hold some already; one writer at a time (a RunFolder sees to that).

    An episode is there from the moment when its row is in meta/episodes: images and numbers are written before it,
    the totals after it, and the totals are made anew from the rows when a folder is opened. So a kill at any
    moment loses what was not yet added and nothing else. What is on disk depends on the episodes alone, not on who
    made them, how often it was stopped, or the time.

    made: what the folder was asked for; another one is refused. Raises ValueError for a folder of another request,
    FormatError for one that is damaged.
    """

    def __init__(self, root: Path, made: dict[str, Any] | None = None) -> None:
        self.root = Path(root)
        self._mark: dict[str, Any] = {"version": layout.OURS, "made": made or {}}
        self._features: dict[str, dict[str, Any]] | None = None
        self._fps = 0.0
        self._frames = 0
        self._tasks: dict[str, int] = {}
        self._stats: Stats | None = None
        self._group: list[dict[str, Any]] = []  # rows of the file of meta/episodes that is being filled
        self.rows: list[Row] = []
        shutil.rmtree(self.root / WRITING, ignore_errors=True)  # what a kill left half written
        if is_lerobot(self.root):
            self._take_over(read_catalogue(self.root))

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def frames(self) -> int:
        return self._frames

    def add(self, episode: Encoded) -> int:
        """Writes one episode and returns its index. Raises ValueError where its features are not the dataset's."""
        self._fit(episode)
        index, where = len(self.rows), place(len(self.rows))
        if index >= layout.MOST_EPISODES:
            raise ValueError(f"{self.root}: expected at most {layout.MOST_EPISODES} episodes; begin another folder.")
        if episode.task not in self._tasks:
            self._tasks[episode.task] = len(self._tasks)
            place_file(self.root, layout.TASKS, parquet_bytes(_tasks_table(self._tasks)))
        data = layout.DATA.format(**where)
        place_file(self.root, data, parquet_bytes(self._numbered(episode, index)))
        row = self._row(episode, index)
        films: dict[str, tuple[Path, float]] = {}
        for key, content in episode.videos.items():
            name = layout.VIDEOS.format(video_key=key, **where)
            place_file(self.root, name, content)
            films[key] = (self.root / name, 0.0)
        if index == 0:
            self._totals(0, 0)  # a row without info.json would be an episode that nothing finds
        if index % ROWS == 0:
            self._group = []
        self._group.append(row)
        table = pa.Table.from_pylist(self._group, _rows_schema(episode))
        place_file(self.root, EPISODES.format(**place(index // ROWS)), parquet_bytes(table))
        self.rows.append(Row(index, len(episode), (episode.task,), self.root / data, films, episode.facts))
        self._frames += len(episode)
        self._stats = folded(self._stats, episode.stats)
        self._totals(len(self.rows), self._frames)
        return index

    def close(self) -> None:
        """Removes what was needed for writing; all is on disk before."""
        shutil.rmtree(self.root / WRITING, ignore_errors=True)

    def _fit(self, episode: Encoded) -> None:
        if self._features is None:
            self._features, self._fps = episode.features, episode.fps
        if (episode.features, episode.fps) == (self._features, self._fps):
            return
        keys = [*self._features, *episode.features]
        other = next((key for key in keys if self._features.get(key) != episode.features.get(key)), "fps")
        had, got = (_brief(features.get(other)) for features in (self._features, episode.features))
        if other == "fps":
            had, got = str(self._fps), str(episode.fps)
        raise ValueError(
            f"{self.root}: expected an episode like those that are there ({other}: {had}); got {got}. Choose another "
            "folder."
        )

    def _numbered(self, episode: Encoded, index: int) -> pa.Table:
        at = np.arange(len(episode), dtype=np.int64)
        columns = {name: episode.table[name] for name in episode.table.column_names}
        columns["timestamp"] = pa.array((at / self._fps).astype(np.float32))
        columns["frame_index"] = pa.array(at)
        columns["episode_index"] = pa.array(np.full_like(at, index))
        columns["index"] = pa.array(at + self._frames)
        columns["task_index"] = pa.array(np.full_like(at, self._tasks[episode.task]))
        return pa.table(columns)

    def _row(self, episode: Encoded, index: int) -> dict[str, Any]:
        row: dict[str, Any] = {"episode_index": index, "tasks": [episode.task], "length": len(episode)}
        row |= {"dataset_from_index": self._frames, "dataset_to_index": self._frames + len(episode)}
        row |= {f"data/{name}": number for name, number in place(index).items()}
        for key in episode.videos:
            row |= {f"videos/{key}/{name}": number for name, number in place(index).items()}
            row |= {f"videos/{key}/from_timestamp": 0.0, f"videos/{key}/to_timestamp": len(episode) / self._fps}
        row |= {f"meta/episodes/{name}": number for name, number in place(index // ROWS).items()}
        row |= {f"stats/{key}/{name}": stats[name] for key, stats in episode.stats.items() for name in NAMES}
        return row | {FACTS: facts_text(episode.facts)}

    def _totals(self, episodes: int, frames: int) -> None:
        fps = int(self._fps) if self._fps == int(self._fps) else self._fps
        info = {
            "codebase_version": layout.VERSION,
            "robot_type": None,
            "total_episodes": episodes,
            "total_frames": frames,
            "total_tasks": len(self._tasks),
            "chunks_size": layout.CHUNK,
            "data_files_size_in_mb": 100,
            "video_files_size_in_mb": 200,
            "fps": fps,
            "splits": {"train": f"0:{episodes}"},
            "data_path": layout.DATA,
            "video_path": layout.VIDEOS,
            "features": self._features,
        }
        if episodes == 0:
            self._json(MARK, self._mark)
        else:
            self._json(layout.STATS, self._stats)
        self._json(layout.INFO, info)

    def _json(self, name: str, value: Any) -> None:
        # what a power cut takes of these is made again from the rows, but for the first, before there are rows
        content = json.dumps(value, indent=2, allow_nan=False) + "\n"
        place_file(self.root, name, content.encode(), sync=not self.rows)

    def _take_over(self, found: Catalogue) -> None:
        if found.mark is None or found.version != layout.VERSION:
            raise ValueError(
                f"{self.root}: expected a dataset that hybridwm wrote, found another; name a new folder for the result"
            )
        if found.mark != json.loads(json.dumps(self._mark)):
            had, asked = found.mark.get("made"), self._mark["made"]
            raise ValueError(f"{self.root}: expected what was begun there ({had}), got {asked}; choose another folder")
        self._features, self._fps, self.rows = found.features, found.fps, found.rows
        self._tasks = {word: number for number, word in sorted(found.tasks.items())}
        self._frames = sum(row.length for row in self.rows)
        for row in self.rows:
            if not row.data.is_file() or not all(film.is_file() for film, _ in row.videos.values()):
                raise FormatError(row.data, f"episode {row.index}, as meta/episodes says", "no file", "copy it again")
        self._group = []
        for number in range(-(-len(self.rows) // ROWS)):
            self._group = read_table(self.root / EPISODES.format(**place(number))).to_pylist()
            for row in self._group:
                self._stats = folded(self._stats, _stats_of(row))
        self._totals(len(self.rows), self._frames)


def _brief(feature: dict[str, Any] | None) -> str:
    return "absent" if feature is None else f"{feature['dtype']} {feature['shape']}"


def _stats_of(row: dict[str, Any]) -> Stats:
    stats: Stats = {}
    for column, value in row.items():
        kind, _, rest = column.partition("/")
        if kind == "stats":
            key, _, name = rest.rpartition("/")
            stats.setdefault(key, {})[name] = value
    return stats


def _rows_schema(episode: Encoded) -> pa.Schema:
    """Types by name, so that a file of one row has those of a file of many."""
    whole, real = pa.int64(), pa.float64()
    fields = [("episode_index", whole), ("tasks", pa.list_(pa.string())), ("length", whole)]
    fields += [(f"dataset_{end}_index", whole) for end in ("from", "to")]
    fields += [(f"data/{name}", whole) for name in place(0)]
    for key in episode.videos:
        fields += [(f"videos/{key}/{name}", whole) for name in place(0)]
        fields += [(f"videos/{key}/{end}_timestamp", real) for end in ("from", "to")]
    fields += [(f"meta/episodes/{name}", whole) for name in place(0)]
    for key, stats in episode.stats.items():
        for name in NAMES:
            kind, value = whole if name == "count" else real, stats[name]
            while isinstance(value, list):
                kind, value = pa.list_(kind), value[0]
            fields.append((f"stats/{key}/{name}", kind))
    return pa.schema([*fields, (FACTS, pa.string())])


def _tasks_table(tasks: dict[str, int]) -> pa.Table:
    """With the note by which pandas takes the words for its index, as LeRobot's reader needs it."""
    words = pa.table({"task_index": pa.array(list(tasks.values()), pa.int64()), "task": pa.array(list(tasks))})
    columns = [
        {"name": name, "field_name": name, "pandas_type": kind, "numpy_type": held, "metadata": None}
        for name, kind, held in (("task_index", "int64", "int64"), ("task", "unicode", "object"))
    ]
    index = {"name": None, "field_name": None, "pandas_type": "unicode", "numpy_type": "object"}
    index["metadata"] = {"encoding": "UTF-8"}
    note = {"index_columns": ["task"], "column_indexes": [index], "columns": columns, "pandas_version": "2.0.0"}
    return words.replace_schema_metadata({"pandas": json.dumps(note)})
