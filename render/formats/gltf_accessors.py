"""The values of glTF accessors, as arrays over the bytes of the buffers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from .gltf_document import Document, shown

FLOAT = {(5126, False)}
_DTYPES = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}


@dataclass
class Column:
    """One attribute, in the file's own bytes and number type."""

    raw: np.ndarray
    normalized: bool

    def floats(self) -> Float32[np.ndarray, "N C"]:
        """The values that the bytes stand for; normalised integers as 0..1 or -1..1."""
        values = self.raw.astype(np.float32)
        if self.normalized:
            values /= np.iinfo(self.raw.dtype).max
            np.maximum(values, -1, out=values)
        return values


def read_column(document: Document, index: object, name: str, kind: str, types: set[tuple[int, bool]]) -> Column:
    """Accessor `index`, which must be of this kind and one of these component types, as (number, normalised).

    Raises FormatError for another one, and where its values do not lie within its buffer view.
    """
    accessor = document.entry("accessors", index)
    stored = [accessor.get("componentType"), accessor.get("normalized", False)]
    allowed = [found for found in types if list(found) == stored]
    if accessor.get("type") != kind or not allowed:
        got = f"{shown(accessor.get('type'))} of {', '.join(shown(value) for value in stored)}"
        document.fail(f"{name} as {kind} of an allowed component type", got)
    number, normalized = allowed[0]
    if "sparse" in accessor or "bufferView" not in accessor:
        document.fail(f"{name} in a buffer view", "a sparse or empty accessor", "export it without")
    dtype, width = np.dtype(_DTYPES[number]), _WIDTHS[kind]
    row = width * dtype.itemsize
    view, stride = document.buffer_view(accessor["bufferView"])
    stride = row if stride is None else stride
    if stride < row:
        document.fail(f"a byteStride of at least {row} for {name}", f"{stride}")
    offset = document.integer(accessor.get("byteOffset", 0), f"the byteOffset of {name}", 0, len(view) - row)
    most = (len(view) - offset - row) // stride + 1
    count = document.integer(accessor.get("count"), f"the count of {name}", 1, most)
    return Column(np.ndarray((count, width), dtype, view, offset, (stride, dtype.itemsize)), normalized)
