"""What a LeRobot folder says of itself: info.json, the tasks, and one row for each episode; versions 3.0 and 2.1."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from string import Formatter
from typing import Any

from render.formats.errors import FormatError

from .layout import FACTS, INFO, MARK
from .tables import AGAIN, read_table

MOST_TEXT = 256 * 2**20  # bytes of a JSON file
MOST_NUMBERS = 200_000_000  # in one feature of one frame
VERSIONS = ("v3.0", "v2.1", "v2.0")
_FIELDS = {"chunk_index", "file_index", "video_key", "episode_chunk", "episode_index"}


@dataclass(frozen=True)
class Row:
    """Where an episode lies. videos: file and first second, by key. facts: ours, None for others' datasets."""

    index: int
    length: int
    tasks: tuple[str, ...]
    data: Path
    videos: dict[str, tuple[Path, float]]
    facts: dict[str, Any] | None = None


@dataclass(frozen=True)
class Catalogue:
    """features: as in info.json, checked. mark: meta/hybridwm.json, where we wrote the folder."""

    root: Path
    version: str
    fps: float
    features: dict[str, dict[str, Any]]
    rows: list[Row]
    tasks: dict[int, str] = field(default_factory=dict)
    mark: dict[str, Any] | None = None

    def __len__(self) -> int:
        return len(self.rows)


def is_lerobot(path: Path) -> bool:
    """Whether a folder has meta/info.json."""
    return (path / INFO).is_file()


def read_catalogue(root: Path) -> Catalogue:
    """Reads meta/ only; the files that it names are named inside the folder, and not opened.

    Raises FileNotFoundError where there is no dataset, FormatError for what is damaged or of another version.
    """
    if not is_lerobot(root):
        raise FileNotFoundError(f"{root}: expected a LeRobot dataset, found no {INFO} in it; check the path.")
    path = root / INFO
    info = read_json(path)
    version = str(info.get("codebase_version"))
    if version not in VERSIONS:
        raise FormatError(path, f"codebase_version {' or '.join(VERSIONS)}", version[:40], "convert it with LeRobot")
    fps = info.get("fps")
    if not isinstance(fps, (int, float)) or not (math.isfinite(fps) and 0 < fps < 1e6):
        raise FormatError(path, "fps above 0", repr(fps)[:40], "correct the file")
    features = _features(path, info.get("features"))
    mark = read_json(root / MARK) if (root / MARK).is_file() else None
    rows, tasks = _rows_3(root, info, features) if version == "v3.0" else _rows_2(root, info, features)
    return Catalogue(root, version, float(fps), features, rows, tasks, mark)


def read_json(path: Path) -> dict[str, Any]:
    """An object in a JSON file. Raises FileNotFoundError, FormatError."""
    found = _loaded(path, _text(path))
    if not isinstance(found, dict):
        raise FormatError(path, "a JSON object", type(found).__name__, AGAIN)
    return found


def _text(path: Path) -> str:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected a file of the dataset, found no such file; copy it there.")
    if (size := path.stat().st_size) > MOST_TEXT:
        raise FormatError(path, f"at most {MOST_TEXT} bytes", str(size), "name the right folder")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise FormatError(path, "text", "other bytes", AGAIN) from None


def _loaded(path: Path, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FormatError(path, "JSON", str(error)[:80], AGAIN) from None


def _features(path: Path, given: Any) -> dict[str, dict[str, Any]]:
    if not isinstance(given, dict) or not given:
        raise FormatError(path, "features", type(given).__name__, AGAIN)
    for key, feature in given.items():
        shape = feature.get("shape") if isinstance(feature, dict) else None
        sound = isinstance(shape, list) and all(isinstance(n, int) and n > 0 for n in shape)
        if not sound or not isinstance(feature.get("dtype"), str) or math.prod(shape or [0]) > MOST_NUMBERS:
            raise FormatError(path, f"dtype and shape of the feature {key[:60]!r}", repr(feature)[:80], AGAIN)
    return given


def _rows_3(root: Path, info: dict[str, Any], features: dict[str, Any]) -> tuple[list[Row], dict[int, str]]:
    path, videos = root / INFO, [key for key, feature in features.items() if feature["dtype"] == "video"]
    needed = ["episode_index", "length", "tasks", "data/chunk_index", "data/file_index"]
    parts = [f"videos/{key}/{part}" for key in videos for part in ("chunk_index", "file_index", "from_timestamp")]
    rows: list[Row] = []
    for file in sorted((root / "meta/episodes").glob("chunk-*/file-*.parquet")):
        table = read_table(file)
        lacking = set(needed + parts) - set(table.column_names)
        if lacking:
            raise FormatError(file, f"the column {sorted(lacking)[0]}", "none", AGAIN)
        wanted = [*needed, *parts, *([FACTS] if FACTS in table.column_names else [])]
        for at in table.select(wanted).to_pylist():
            index, length = _whole(file, at, "episode_index"), _whole(file, at, "length")
            numbers = {name: _whole(file, at, f"data/{name}") for name in ("chunk_index", "file_index")}
            data = _named(root, _filled(path, info.get("data_path"), numbers), path)
            films: dict[str, tuple[Path, float]] = {}
            for key in videos:
                numbers = {n: _whole(file, at, f"videos/{key}/{n}") for n in ("chunk_index", "file_index")}
                begin = at[f"videos/{key}/from_timestamp"]
                if not isinstance(begin, (int, float)) or not 0 <= begin < 1e9:
                    raise FormatError(file, "from_timestamp of 0 seconds or more", repr(begin)[:40], AGAIN)
                name = _filled(path, info.get("video_path"), numbers | {"video_key": key})
                films[key] = (_named(root, name, path), float(begin))
            facts = _loaded(file, at[FACTS]) if isinstance(at.get(FACTS), str) else None
            rows.append(Row(index, length, tuple(map(str, at["tasks"] or ())), data, films, facts))
    rows.sort(key=lambda row: row.index)
    _contiguous(path, rows)
    return rows, _tasks_3(root)


def _tasks_3(root: Path) -> dict[int, str]:
    path = root / "meta/tasks.parquet"
    if not path.is_file():
        return {}
    table = read_table(path)
    names = [name for name in ("task", "__index_level_0__") if name in table.column_names]
    if not names or "task_index" not in table.column_names:
        raise FormatError(path, "the columns task and task_index", ", ".join(table.column_names)[:80], AGAIN)
    numbers, words = table["task_index"].to_pylist(), table[names[0]].to_pylist()
    return {int(number): str(word) for number, word in zip(numbers, words, strict=True) if number is not None}


def _rows_2(root: Path, info: dict[str, Any], features: dict[str, Any]) -> tuple[list[Row], dict[int, str]]:
    path, videos = root / INFO, [key for key, feature in features.items() if feature["dtype"] == "video"]
    chunk = info.get("chunks_size", 1000)
    if not isinstance(chunk, int) or chunk < 1:
        raise FormatError(path, "chunks_size of at least 1", repr(chunk)[:40], "correct the file")
    file, rows = root / "meta/episodes.jsonl", []
    for line in _text(file).splitlines():
        if not line.strip():
            continue
        at = _loaded(file, line)
        if not isinstance(at, dict):
            raise FormatError(file, "one JSON object on each line", line[:40], AGAIN)
        index, length = _whole(file, at, "episode_index"), _whole(file, at, "length")
        numbers = {"episode_chunk": index // chunk, "episode_index": index}
        data = _named(root, _filled(path, info.get("data_path"), numbers), path)
        films = {
            key: (_named(root, _filled(path, info.get("video_path"), numbers | {"video_key": key}), path), 0.0)
            for key in videos
        }
        rows.append(Row(index, length, tuple(map(str, at.get("tasks") or ())), data, films))
    rows.sort(key=lambda row: row.index)
    _contiguous(path, rows)
    listed = root / "meta/tasks.jsonl"
    tasks = [_loaded(listed, line) for line in _text(listed).splitlines() if line.strip()] if listed.is_file() else []
    return rows, {_whole(listed, task, "task_index"): str(task.get("task", "")) for task in tasks}


def _contiguous(path: Path, rows: list[Row]) -> None:
    for at, row in enumerate(rows):
        if row.index != at:
            raise FormatError(path, f"episode {at} beside it", f"episode {row.index}", "copy all of meta/ again")


def _whole(path: Path, at: dict[str, Any], name: str) -> int:
    value = at.get(name) if isinstance(at, dict) else None
    if not isinstance(value, int) or not 0 <= value < 2**40:
        raise FormatError(path, f"{name} as a whole number", repr(value)[:40], AGAIN)
    return value


def _named(root: Path, name: str, path: Path) -> Path:
    """A file in the folder by its name alone; whether a link leads out of it is asked when the file is opened."""
    parts = name.replace("\\", "/").split("/")
    if ".." in parts or not parts[0] or ":" in parts[0] or "\0" in name:
        raise FormatError(path, f"files inside {root}", repr(name)[:100], "name files inside the folder")
    return root.joinpath(*parts)


def _filled(path: Path, template: Any, values: dict[str, Any]) -> str:
    """A path by its template: names and zero-padded numbers only, since a format can do much else."""
    text, parts = "", Formatter().parse(template) if isinstance(template, str) and len(template) < 1000 else None
    try:
        for literal, name, how, conversion in parts or [("", "", "", None)]:
            text += literal
            if name is None:
                continue
            if name not in _FIELDS or name not in values or conversion or not re.fullmatch(r"(0\dd)?", how or ""):
                raise ValueError(name)
            text += format(values[name], how or "")
    except ValueError:
        raise FormatError(path, "a template of paths", repr(template)[:80], "correct the file") from None
    return text
