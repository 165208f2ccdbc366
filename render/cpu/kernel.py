"""How the kernels are compiled and where the machine code is kept."""

# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

import hashlib
import inspect
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core import config


def kernel(function: Callable) -> Any:
    """Numba's njit with one set of options: no bounds checks, no GIL, cached where a folder is writable."""
    before = getattr(config, "CACHE_DIR", "")
    config.CACHE_DIR = "" if CACHE_FOLDER is None else str(CACHE_FOLDER)  # read when njit is applied
    try:
        # Run-time type checkers wrap every function of a package; Numba needs the bare one.
        bare = inspect.unwrap(function)
        return numba.njit(fastmath=True, error_model="numpy", nogil=True, cache=CACHE_FOLDER is not None)(
            bare
        )
    finally:
        config.CACHE_DIR = before


def _cache_folder() -> Path | None:
    """A writable folder of this user's for this version of the kernels; if None each process compiles anew.

    Numba notices a changed file but not a changed import of that file, so the name is a hash of all files.
    """
    version = hashlib.sha256(f"{numba.__version__} {sys.version_info[:2]}".encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        version.update(source.read_bytes())
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    caches = os.environ.get("LOCALAPPDATA" if os.name == "nt" else "XDG_CACHE_HOME")
    base = Path(chosen or caches or Path.home() / ".cache")
    folder = base / "hybridwm-render" / version.hexdigest()[:16]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK | os.X_OK) else None


CACHE_FOLDER = _cache_folder()
