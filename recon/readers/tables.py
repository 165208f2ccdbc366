"""Text of numbers in lines, read with limits: what most of the camera files of this field are."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from render.formats.errors import FormatError

LARGEST_FILE = 32_000_000  # bytes
LONGEST_LINE = 4096  # characters


def lines(path: Path, *, largest: int = LARGEST_FILE, longest: int = LONGEST_LINE) -> Iterator[tuple[int, list[str]]]:
    """The words of each line that is neither empty nor a comment (#), with its number; commas are as spaces.

    Raises FileNotFoundError, or FormatError for a file or line that is too long or is not text.
    """
    for at, line in raw_lines(path, largest=largest, longest=longest):
        words = line.partition("#")[0].replace(",", " ").split()
        if words:
            yield at, words


def raw_lines(path: Path, *, largest: int, longest: int) -> Iterator[tuple[int, str]]:
    """All lines as they are, with their numbers. Raises what `lines` raises."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; check the path.")
    size = path.stat().st_size
    if size > largest:
        raise FormatError(path, f"a text file of at most {largest} bytes", f"{size} bytes", "name the right file")
    with path.open("rb") as file:
        at = 0
        while line := file.readline(longest + 1):
            at += 1
            if len(line) > longest:
                got = f"a longer one in line {at}"
                raise FormatError(path, f"lines of at most {longest} characters", got, "name the right file")
            try:
                yield at, line.decode("utf-8-sig")
            except UnicodeDecodeError:
                raise FormatError(path, "text", f"other bytes in line {at}", "name the right file") from None


def number(path: Path, word: object, where: str) -> float:
    """A finite number from a file. Raises FormatError."""
    try:
        value = float(word)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        value = math.nan
    if not math.isfinite(value):
        raise FormatError(path, f"a finite number in {where}", repr(word)[:40], "correct the file")
    return value


def numbers(path: Path, words: Iterable[object], where: str) -> list[float]:
    return [number(path, word, where) for word in words]


def table(path: Path, columns: Sequence[int], *, meaning: str) -> Float64[np.ndarray, "N C"]:
    """All rows of a file, whose number of columns is one of `columns`; `meaning` says in errors what a row is.

    Raises FileNotFoundError, or FormatError for an empty file, uneven rows and what is not a finite number.
    """
    rows: list[np.ndarray] = []
    for at, words in lines(path):
        wanted = columns if not rows else (len(rows[0]),)
        if len(words) not in wanted:
            expected = f"{' or '.join(map(str, wanted))} numbers ({meaning}) in line {at}"
            raise FormatError(path, expected, f"{len(words)} words", "name the right file")
        rows.append(np.array(numbers(path, words, f"line {at}")))
    if not rows:
        raise FormatError(path, f"rows of {meaning}", "none", "is it complete? copy it again")
    return np.stack(rows)
