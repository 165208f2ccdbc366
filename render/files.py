"""The one way files and folders are written: complete under the final name, or not there at all."""

from __future__ import annotations

import ctypes
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary path beside `path`, with its suffix, to write to; on success it takes that name.

    When the block raises, or the disk is full, the old file stays as it was and the temporary one goes.
    """
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary_name(target)
    try:
        yield temporary
        os.chmod(temporary, 0o666 & ~_umask())  # some writers make files that only their owner may read
        _sync(temporary)
        os.replace(temporary, target)
        _sync(target.parent)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


@contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a new temporary folder beside `path` to fill; on success it takes the place of `path`."""
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary_name(target)
    temporary.mkdir()
    try:
        yield temporary
        for folder, _, names in os.walk(temporary):
            for name in names:
                _sync(Path(folder, name))
            _sync(Path(folder))
        if target.exists():
            _exchange(temporary, target)
        else:
            os.rename(temporary, target)
        _sync(target.parent)
    finally:
        # After an exchange this is the old folder; after a failure it is the unfinished one.
        shutil.rmtree(temporary, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _temporary_name(target: Path) -> Path:
    return target.with_name(f".{target.stem}.{secrets.token_hex(4)}.tmp{target.suffix}")


def _sync(path: Path) -> None:
    if os.name == "nt" and path.is_dir():  # Windows cannot open a folder to flush it
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() or os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _exchange(new: Path, old: Path) -> None:
    """Swaps two folders, in one step where the system can (Linux renameat2 with RENAME_EXCHANGE)."""
    with suppress(OSError, AttributeError):
        here, exchange = -100, 2
        if ctypes.CDLL(None).renameat2(here, os.fsencode(new), here, os.fsencode(old), exchange) == 0:
            return
    aside = _temporary_name(old)
    os.rename(old, aside)
    try:
        os.rename(new, old)
    except OSError:
        os.rename(aside, old)
        raise
    os.rename(aside, new)
