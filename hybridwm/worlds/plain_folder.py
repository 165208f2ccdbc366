"""Episodes from plain folders: images or a video, a table of actions, and, if there are some, cameras and depth.

    walk/
      000.png 001.png …      or images/, rgb/, color/, or one video, or any layout that recon.read_captured knows
      actions.csv            or .npy, .parquet: one row for each step, or for each frame (the last is not used)
      state.csv              proprioception, one row for each frame; if there is some
"""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32

from recon.readers import FILM_SUFFIXES, Captured, kind_of, read_captured
from recon.readers.pictures import by_number
from recon.readers.tables import raw_lines
from render.formats.errors import FormatError
from render.video import MAX_BYTES

from .episodes import Episode
from .lerobot.number_table import read_number_table

SUFFIXES = (".csv", ".npy", ".parquet")
LONGEST = 100_000  # characters in a line
LARGEST = 256 * 2**20  # bytes of a table


def plain_episodes(source: Path) -> list[Path]:
    """The source itself where actions lie in or beside it, else its folders that have some, by their numbers.

    Raises FileNotFoundError where there are none.
    """
    if table_of(source, "actions"):
        return [source]
    inner = [path for path in source.iterdir() if path.is_dir()] if source.is_dir() else []
    found = sorted((path for path in inner if table_of(path, "actions")), key=by_number)
    if not found:
        expected = ", ".join(f"actions{suffix}" for suffix in SUFFIXES)
        raise FileNotFoundError(
            f"{source}: expected a LeRobot dataset, or frames with {expected} in it or in its folders, found neither; "
            "check the path."
        )
    return found


def table_of(source: Path, name: str) -> Path | None:
    """actions.csv and the like in a folder; beside a video, also a table of the video's own name."""
    folder, stems = (source, (name,)) if source.is_dir() else (source.parent, (source.stem, name))
    stems = stems if name == "actions" else stems[-1:]
    paths = [folder / f"{stem}{suffix}" for stem in stems for suffix in SUFFIXES]
    return next((path for path in paths if path.is_file()), None)


def read_plain(source: Path, *, fps: float | None = None, task: str = "") -> Episode:
    """One folder or video as an episode. fps: of frames that have no times. Cameras only where the recording has them.

    Raises FileNotFoundError, FormatError, and ValueError for frames of several cameras or tables that do not fit.
    """
    table = table_of(source, "actions")
    if table is None:
        raise FileNotFoundError(f"{source}: expected actions.csv, .npy or .parquet, found none; write one.")
    captured = read_captured(_recording(source))
    actions, action_names = read_numbers(table)
    frames = len(captured)
    if len(actions) not in (frames - 1, frames):
        expected = f"{frames - 1} rows, one for each step between {frames} frames, or {frames}"
        raise FormatError(table, expected, f"{len(actions)}", "give each step its action")
    state, state_names = None, ()
    if (path := table_of(source, "state")) is not None:
        state, state_names = read_numbers(path)
        if len(state) != frames:
            raise FormatError(path, f"{frames} rows, one for each frame", f"{len(state)}", "give each frame its state")
    first = captured.views[0]
    size = (first.height, first.width)
    if frames * size[0] * size[1] * 10 > MAX_BYTES:
        raise FormatError(source, f"at most {MAX_BYTES} bytes of frames", "more", "cut the recording up")
    rgb = torch.empty(frames, *size, 3, dtype=torch.uint8)
    right = torch.empty_like(rgb) if first.right is not None else None
    depth = torch.zeros(frames, *size) if first.depth is not None else None
    for at in range(frames):
        view = captured.views[at]
        if (view.height, view.width) != size or not torch.equal(view.camera.K, first.camera.K):
            expected = f"one camera of {size[1]} x {size[0]} for all frames"
            raise FormatError(source, expected, f"another at {captured.names[at]}", "convert its parts one by one")
        if (view.right is None) != (right is None):
            raise FormatError(source, "a right eye for all frames or none", captured.names[at], "complete them")
        rgb[at] = (view.image * 255).round().to(torch.uint8)
        if right is not None and view.right is not None:
            right[at] = (view.right * 255).round().to(torch.uint8)
        if depth is not None and view.depth is not None:
            depth[at] = view.depth
    cameras = captured.cameras if captured.posed else None
    return Episode(
        rgb=rgb,
        w2c=None if cameras is None else torch.stack([camera.w2c for camera in cameras]).float(),
        K=None if cameras is None else first.camera.K.float(),
        actions=torch.from_numpy(actions[: frames - 1].copy()),
        right=right,
        depth=depth,
        baseline=first.baseline,
        disparity_offset=first.disparity_offset,
        world=source.stem,
        proprio=None if state is None else torch.from_numpy(state),
        action_names=action_names,
        proprio_names=state_names,
        fps=fps or _rate(captured),
        task=task,
    )


def read_numbers(path: Path) -> tuple[Float32[np.ndarray, "N C"], tuple[str, ...]]:
    """A table of finite numbers and its columns' names, which are numbered where the file has none.

    Raises FileNotFoundError, FormatError.
    """
    if path.suffix == ".parquet":
        values, names = read_number_table(path)
    elif path.suffix == ".npy":
        values, names = _read_npy(path), ()
    else:
        values, names = _read_csv(path)
    if not np.isfinite(values).all():
        raise FormatError(path, "finite numbers", "NaN or infinity", "correct the file")
    return values, names or tuple(f"{path.stem}_{i}" for i in range(values.shape[1]))


def _read_csv(path: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    lines = (line for _, line in raw_lines(path, largest=LARGEST, longest=LONGEST) if line.strip())
    rows: list[list[float]] = []
    names: tuple[str, ...] = ()
    for at, words in enumerate(csv.reader(lines)):
        try:
            row = [float(word) for word in words]
        except ValueError:
            if at:
                raise FormatError(path, f"numbers in row {at + 1}", str(words)[:60], "correct the file") from None
            names = tuple(word.strip() for word in words)
            continue
        if len(row) != len(rows[0] if rows else names or row):
            raise FormatError(path, "as many numbers in each row", f"{len(row)} in row {at + 1}", "correct the file")
        rows.append(row)
    if not rows or not rows[0]:
        raise FormatError(path, "rows of numbers", "none", "is it complete? copy it again")
    return np.array(rows, np.float32), names


def _read_npy(path: Path) -> np.ndarray:
    """[N, C] or [N] of numbers; the header is held against the file's length before memory is taken."""
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
            shape, fortran, kind = read(file, max_header_size=10_000)
            wanted = math.prod(shape) * kind.itemsize
            if kind.kind not in "fiub" or len(shape) not in (1, 2) or wanted != size - file.tell() or wanted > LARGEST:
                raise FormatError(path, "numbers as [N, C], as long as the file", f"{kind} {shape}", "save it again")
            flat = np.frombuffer(file.read(wanted), kind)
    except (ValueError, KeyError, EOFError, TypeError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(path, "an array of numbers", str(error)[:80], "save it again") from None
    values = flat.reshape(shape, order="F" if fortran else "C")
    return np.array(values.reshape(len(values), -1), np.float32)


def _recording(source: Path) -> Path:
    """The folder where its layout is known, else the one video in it."""
    if not source.is_dir():
        return source
    try:
        kind_of(source)
    except FileNotFoundError:
        films = [path for path in sorted(source.iterdir()) if path.suffix.lower() in FILM_SUFFIXES]
        if len(films) == 1:
            return films[0]
        raise
    return source


def _rate(captured: Captured) -> float | None:
    times = captured.timestamps
    if times is None or len(times) < 2 or not times[-1] > times[0]:
        return None
    return round((len(times) - 1) / (times[-1] - times[0]), 3)
