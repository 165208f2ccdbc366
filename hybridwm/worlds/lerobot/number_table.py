"""A parquet table of numbers, such as the actions of a plain folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float32

from render.formats.errors import FormatError

from .tables import read_table, wrapped


def read_number_table(path: Path) -> tuple[Float32[np.ndarray, "N C"], tuple[str, ...]]:
    """Columns of numbers side by side, with their names. Raises FileNotFoundError, FormatError."""
    table = read_table(path)
    kinds: list[Any] = [field.type for field in table.schema]
    if not kinds or not table.num_rows:
        raise FormatError(path, "rows of numbers", "none", "is it complete? copy it again")
    for name, kind in zip(table.column_names, kinds, strict=True):
        number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
        if not number or table[name].null_count:
            raise FormatError(path, "columns of numbers", f"{name[:40]!r} of {kind}", "keep numbers only")
    with wrapped(path):
        columns = [table[name].to_numpy().astype(np.float32) for name in table.column_names]
    return np.stack(columns, 1), tuple(table.column_names)
