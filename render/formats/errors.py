"""What every reader raises for a file that is not what it claims to be."""

from __future__ import annotations

import os


class FormatError(ValueError):
    """A file that cannot be read: names the file, what was expected, what was found, and what to do."""

    def __init__(self, path: str | os.PathLike[str], expected: str, got: str, do: str) -> None:
        super().__init__(f"{os.fspath(path)}: expected {expected}; got {got}; {do}.")
