"""How the kernels are compiled and where the machine code is kept."""

# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

import hashlib
import inspect
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numba
from numba.core import config

ROOM = 2**26  # bytes; the compiled kernels take a few MB, and Numba fails on a full disk


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
    name = Path("hybridwm-render", version.hexdigest()[:16])
    for base in _bases():
        folder = base / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # Root may write anywhere as far as os.access knows: only writing tells. Numba itself would fail later.
            with tempfile.NamedTemporaryFile(dir=folder):
                pass
            if shutil.disk_usage(folder).free >= ROOM:
                return folder
        except OSError:
            continue
    return None


def _bases() -> list[Path]:
    """Where caches may lie, the first choice first. A folder that was named is the only one."""
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    if chosen:
        return [Path(chosen)]
    bases = []
    named = os.environ.get("LOCALAPPDATA" if os.name == "nt" else "XDG_CACHE_HOME")
    if named:
        bases.append(Path(named))
    with suppress(RuntimeError):  # no home at all
        bases.append(Path.home() / ".cache")
    return bases


CACHE_FOLDER = _cache_folder()
if CACHE_FOLDER is None:
    warnings.warn(
        "render: no folder to keep compiled kernels in, so each process compiles them anew (about 12 s). "
        "Set NUMBA_CACHE_DIR to a writable one.",
        RuntimeWarning,
        stacklevel=2,
    )
