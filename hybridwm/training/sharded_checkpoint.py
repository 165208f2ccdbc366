"""Checkpoints by several processes, each writing its part: folders of torch.distributed.checkpoint.

Only folders of the own run are read: the format's index is a pickle. The library is imported by those who use it only,
since that takes a second.
"""

from __future__ import annotations

import json
import os
import shutil
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from .distributed import Ranks
from .hardware import boot

CONTENT = "content.json"
"""Written last: the step, the size in bytes of every file, and the boot of the machine."""


def save(path: Path, step: int, tensors: dict[str, Tensor], ranks: Ranks, *, durable: bool = True) -> None:
    """Writes the folder under a temporary name and renames it; replaces an earlier one. All processes call it."""
    from torch.distributed.checkpoint.filesystem import FileSystemWriter
    from torch.distributed.checkpoint.state_dict_saver import save as write_tensors

    temporary = path.with_name(f".{path.name}.tmp")
    if ranks.first:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
    ranks.wait()
    writer = FileSystemWriter(temporary, sync_files=durable)
    write_tensors(tensors, storage_writer=writer, process_group=ranks.waiting, no_dist=ranks.world == 1)
    if ranks.first:
        sizes = {file.name: file.stat().st_size for file in sorted(temporary.iterdir())}
        (temporary / CONTENT).write_text(json.dumps({"step": step, "sizes": sizes, "boot": boot()}))
        if durable:
            _sync(temporary / CONTENT)
            _sync(temporary)
        shutil.rmtree(path, ignore_errors=True)
        os.rename(temporary, path)
        if durable:
            _sync(path.parent)
    ranks.wait()


def step_of(path: Path) -> tuple[int, str | None]:
    """The step of a folder, and the boot that wrote it. Raises ValueError, KeyError, OSError where it is not whole."""
    content = json.loads((path / CONTENT).read_text())
    for name, size in content["sizes"].items():
        found = (path / name).stat().st_size
        if found != size:
            raise ValueError(f"{name}: expected {size} bytes; found {found}")
    return int(content["step"]), content["boot"]


def load(path: Path, network: nn.Module, ranks: Ranks) -> tuple[int, dict[str, Tensor]]:
    """The step, and the tensors, shared out as the network's are. All processes call it.

    Raises ValueError, KeyError, OSError for a folder that is not whole.
    """
    from torch.distributed.checkpoint.api import CheckpointException
    from torch.distributed.checkpoint.filesystem import FileSystemReader
    from torch.distributed.checkpoint.metadata import TensorStorageMetadata
    from torch.distributed.checkpoint.state_dict_loader import load as read_tensors

    step, _ = step_of(path)
    reader = FileSystemReader(path)
    try:
        stored_tensors = reader.read_metadata().state_dict_metadata
    except Exception as error:
        raise ValueError(f"{path}: expected an index of tensors; got {error}") from error
    like = {f"network.{name}": value for name, value in network.state_dict().items()}
    for name, value in network.state_dict().items():
        like |= {f"average.{name}": value}
        like |= {f"optimiser.{name}.{moment}": value for moment in ("exp_avg", "exp_avg_sq")}
    tensors = {}
    for name, stored in stored_tensors.items():
        if not isinstance(stored, TensorStorageMetadata):
            raise ValueError(f"{name}: expected a tensor; found {type(stored).__name__}")
        same = name in like and like[name].shape == stored.size
        tensors[name] = (
            torch.zeros_like(like[name]) if same else torch.zeros(stored.size, dtype=stored.properties.dtype)
        )
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "torch.distributed is disabled")  # so it is where one process reads
            read_tensors(tensors, storage_reader=reader, process_group=ranks.waiting, no_dist=ranks.world == 1)
    except CheckpointException as error:
        raise ValueError("; ".join(str(each[0]) for each in error.failures.values())) from error
    return step, tensors


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
