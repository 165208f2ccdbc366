"""Parquet files, written whole and read with limits."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from render.formats.errors import FormatError
from render.video import MAX_BYTES

AGAIN = "the file is damaged: copy it again"
WRITING = ".writing"  # beside data/ and meta/, whose folders other readers search for files by their suffix
AT_ONCE = 64  # rows held while a table is searched


def place_file(root: Path, name: str, content: bytes, *, sync: bool = True) -> None:
    """Writes root/name whole or not at all; with sync it is on the disk itself when the call returns."""
    target, aside = root / name, root / WRITING / Path(name).name
    for folder in (target.parent, aside.parent):
        folder.mkdir(parents=True, exist_ok=True)
    with open(aside, "wb") as file:
        file.write(content)
        file.flush()
        if sync:
            os.fsync(file.fileno())
    os.replace(aside, target)
    if sync and os.name != "nt":  # Windows cannot open a folder to flush it
        descriptor = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def parquet_bytes(table: pa.Table) -> bytes:
    """A file's content; the same table gives the same bytes. Each page has its checksum, so that a flipped bit is
    found; no dictionaries, since images do not repeat."""
    held = io.BytesIO()
    pq.write_table(table, held, compression="zstd", use_dictionary=False, write_page_checksum=True)
    return held.getvalue()


@contextmanager
def opened(path: Path) -> Iterator[pq.ParquetFile]:
    """A parquet file whose parts lie in it and are not too large. Raises FileNotFoundError, FormatError."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected a table of the dataset, found no such file; copy it there.")
    size = path.stat().st_size
    with wrapped(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
        meta = file.metadata
        groups = [meta.row_group(i) for i in range(meta.num_row_groups)]
        compressed = sum(g.column(j).total_compressed_size for g in groups for j in range(meta.num_columns))
        if compressed > size or meta.num_rows < 0:
            raise FormatError(path, f"parts within its {size} bytes", f"{compressed} bytes of them", AGAIN)
        largest = max((group.total_byte_size for group in groups), default=0)
        if largest > MAX_BYTES:
            raise FormatError(path, f"groups of at most {MAX_BYTES} bytes", str(largest), "write smaller row groups")
        yield file


@contextmanager
def wrapped(path: Path) -> Iterator[None]:
    """Errors of the library within the block as FormatError."""
    try:
        yield
    except FormatError:
        raise
    except (pa.ArrowException, OSError, ValueError, KeyError, IndexError, MemoryError, UnicodeDecodeError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        words = " ".join(str(error).split())[:120] or type(error).__name__
        raise FormatError(path, "a parquet table", words, AGAIN) from None


def read_table(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """The whole table, or these columns of it. Raises FileNotFoundError, FormatError."""
    with opened(path) as file:
        total = sum(file.metadata.row_group(i).total_byte_size for i in range(file.metadata.num_row_groups))
        if total > MAX_BYTES:
            raise FormatError(path, f"at most {MAX_BYTES} bytes", str(total), "write smaller files")
        return file.read(columns=None if columns is None else list(columns))


def episode_rows(path: Path, episode: int, columns: Sequence[str]) -> pa.Table:
    """The rows of one episode, in their order, of a file that may hold many. Raises FileNotFoundError, FormatError."""
    with opened(path) as file:
        lacking = set(columns) - set(file.schema_arrow.names)
        if lacking:
            raise FormatError(path, f"the column {sorted(lacking)[0]}", "none", "is it of this dataset?")
        groups = [i for i in range(file.metadata.num_row_groups) if _may_hold(file, i, episode)]
        found: list[pa.RecordBatch] = []
        for batch in file.iter_batches(AT_ONCE, row_groups=groups, columns=list(columns), use_threads=False):
            numbers: Any = batch.column("episode_index")
            chosen = batch.filter(pa.array([value.as_py() == episode for value in numbers]))
            if chosen.num_rows:
                found.append(chosen)
        if not found:
            raise FormatError(path, f"rows of episode {episode}", "none", AGAIN)
        return pa.Table.from_batches(found)


def _may_hold(file: pq.ParquetFile, group: int, episode: int) -> bool:
    at = file.schema.names.index("episode_index") if "episode_index" in file.schema.names else -1
    known = file.metadata.row_group(group).column(at).statistics if at >= 0 else None
    return known is None or not known.has_min_max or known.min <= episode <= known.max
