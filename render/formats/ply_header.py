"""The text header of a binary PLY file, read with limits and checked against the file's length."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from .errors import FormatError

MAX_HEADER_BYTES = 64 * 1024
MAX_COUNT = 2**32

_NUMBERS = {
    "<i1": ("char", "int8"),
    "<u1": ("uchar", "uint8"),
    "<i2": ("short", "int16"),
    "<u2": ("ushort", "uint16"),
    "<i4": ("int", "int32"),
    "<u4": ("uint", "uint32"),
    "<f4": ("float", "float32"),
    "<f8": ("double", "float64"),
}
_CODES = {name: code for code, names in _NUMBERS.items() for name in names}


@dataclass
class Element:
    """One table of the file: its rows have these (name, numpy type code) columns."""

    name: str
    count: int
    columns: list[tuple[str, str]]

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(self.columns)

    @property
    def size(self) -> int:
        """Bytes of all rows."""
        return self.count * self.dtype.itemsize


def read_header(file: BinaryIO, path: Path) -> tuple[list[Element], int]:
    """The tables and the offset where the first one starts.

    Raises FormatError, before any memory is taken for rows, unless the rows end exactly where the file does.
    """
    start = file.read(MAX_HEADER_BYTES)
    lines, offset = _header_lines(start, path)
    elements = _parse(lines, path)
    total = offset + sum(element.size for element in elements)
    length = file.seek(0, 2)
    if total != length:
        promised = ", ".join(f"{element.count} {element.name} rows" for element in elements)
        raise FormatError(
            path,
            f"{total} bytes for the {promised} that the header promises",
            f"{length} bytes",
            "the file is cut short or its header is wrong: export it again",
        )
    return elements, offset


def read_table(file: BinaryIO, elements: list[Element], offset: int, name: str) -> np.ndarray:
    """The rows of the table of this name, which must be among those that `read_header` found."""
    for element in elements:
        if element.name == name:
            file.seek(offset)
            return np.fromfile(file, dtype=element.dtype, count=element.count)
        offset += element.size
    raise KeyError(name)


def _header_lines(start: bytes, path: Path) -> tuple[list[str], int]:
    if not start.startswith((b"ply\n", b"ply\r\n")):
        raise FormatError(path, "a PLY file starting with 'ply'", repr(start[:12]), "check the file")
    end = start.find(b"\nend_header")
    stop = start.find(b"\n", end + 1) if end >= 0 else -1
    if stop < 0 or start[end + 1 : stop].rstrip(b"\r") != b"end_header":
        raise FormatError(
            path,
            f"'end_header' within {MAX_HEADER_BYTES} bytes",
            "none",
            "the file is damaged: export it again",
        )
    try:
        lines = start[:end].decode("ascii").splitlines()
    except UnicodeDecodeError:
        raise FormatError(
            path, "an ASCII header", "other bytes", "the file is damaged: export it again"
        ) from None
    return lines, stop + 1


def _parse(lines: list[str], path: Path) -> list[Element]:
    elements: list[Element] = []
    file_format = None
    for line in lines[1:]:
        words = line.split()
        if not words or words[0] in ("comment", "obj_info"):
            continue
        if words[0] == "format" and len(words) == 3 and file_format is None:
            file_format = words[1]
        elif words[0] == "element" and len(words) == 3:
            if words[1] in [element.name for element in elements]:
                raise FormatError(path, "each table once", f"{words[1][:40]!r} twice", "export it again")
            elements.append(Element(words[1], _count(words[2], path), []))
        elif words[0] == "property" and len(words) == 3 and words[1] in _CODES and elements:
            if words[2] in dict(elements[-1].columns):
                raise FormatError(path, "each property once", f"{words[2]!r} twice", "export it again")
            elements[-1].columns.append((words[2], _CODES[words[1]]))
        elif words[:2] == ["property", "list"]:
            raise FormatError(
                path, "a splat PLY without lists", f"{line[:60]!r}", "a mesh? Only splats can be read here"
            )
        else:
            raise FormatError(
                path, "a PLY header line", repr(line[:60]), "the file is damaged: export it again"
            )
    if file_format != "binary_little_endian":
        raise FormatError(
            path,
            "format binary_little_endian",
            str(file_format)[:40],
            "export it as binary little-endian PLY",
        )
    return elements


def _count(word: str, path: Path) -> int:
    # The length test comes first: converting a million digits takes minutes.
    if len(word) > 12 or not word.isdecimal() or int(word) > MAX_COUNT:
        raise FormatError(
            path, f"a row count of 0..{MAX_COUNT}", repr(word[:20]), "the file is damaged: export it again"
        )
    return int(word)
