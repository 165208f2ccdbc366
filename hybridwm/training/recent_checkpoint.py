"""The state after the last steps, kept against a killed process: cheap enough to be written after every step.

Two safetensors files are overwritten in turn through the page cache, which outlives the process but not the machine;
so a file is believed by the boot that wrote it only. A tensor beside the others says which step the file is of, and
while it is being overwritten that it is of none. Of several processes with copies of the state the first writes; where
they share it out, each writes its part, into folders.
"""

from __future__ import annotations

import json
import mmap
import os
import shutil
import struct
import time
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from . import sharded_checkpoint
from .distributed import ALONE, Ranks
from .hardware import boot

STEP = "hybridwm.step"
NONE = -1
SHARE = 0.05
"""Of the time since the last one that writing one may take."""


def whole_ones(folder: Path) -> list[tuple[int, Path]]:
    """(step, path) of what this boot wrote and no kill cut short."""
    found = []
    for path in sorted(folder.glob("recent-*")):
        try:
            if path.is_dir():
                step, by = sharded_checkpoint.step_of(path)
                found += [(step, path)] if by == boot() else []
                continue
            with safe_open(path, "pt") as file:
                step = int(file.get_tensor(STEP))
                if step != NONE and file.metadata()["boot"] == boot():
                    found.append((step, path))
        except (SafetensorError, KeyError, TypeError, ValueError, OSError):
            continue  # half made, and the other one is not
    return found


class RecentCheckpoints:
    """Writes them no more often than pays: writing takes at most SHARE of the time."""

    def __init__(self, folder: Path, ranks: Ranks = ALONE, *, sharded: bool = False) -> None:
        self.folder = folder
        self.cost = 0.0  # seconds that the last one took
        self._ranks, self._sharded = ranks, sharded
        self._ended = time.perf_counter()
        self._maps: dict[int, dict[str, Tensor]] = {}
        newest = max(whole_ones(folder), default=None) if ranks.first else None
        self._slot = 0 if newest is None or newest[1].stem != "recent-0" else 1  # the newest is overwritten last

    def due(self) -> bool:
        """Whether the time since the last one pays for another, and this process has a part in it."""
        pays = boot() is not None and self.cost <= SHARE * (time.perf_counter() - self._ended)
        return self._ranks.shared(pays) if self._sharded else pays and self._ranks.first

    @torch.no_grad()
    def write(self, step: int, tensors: dict[str, Tensor]) -> None:
        """Writes the state after `step` steps."""
        slot = self._ranks.shared(self._slot) if self._sharded else self._slot
        if not self._sharded and self._maps.get(slot, {}).keys() - {STEP} != tensors.keys():
            self._maps[slot] = self._make(slot, tensors)
        began = time.perf_counter()
        if self._sharded:
            sharded_checkpoint.save(self.folder / f"recent-{slot}", step, tensors, self._ranks, durable=False)
        else:
            kept = self._maps[slot]
            kept[STEP].fill_(NONE)
            for name, value in tensors.items():
                kept[name].copy_(value)
            kept[STEP].fill_(step)
        self._slot = 1 - slot
        self._ended = time.perf_counter()
        self.cost = self._ended - began

    def remove(self) -> None:
        """Removes the files: a run that has ended needs them no more."""
        self._maps.clear()
        for path in self.folder.glob("recent-*") if self._ranks.first else ():
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _make(self, slot: int, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """A new file for the slot, of no step yet, as tensors that write through to it."""
        path = self.folder / f"recent-{slot}.safetensors"
        self.folder.mkdir(parents=True, exist_ok=True)
        content = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
        temporary = path.with_name(f".{path.name}.tmp")
        save_file({**content, STEP: torch.tensor(NONE)}, temporary, metadata={"boot": boot() or ""})
        os.replace(temporary, path)
        with open(path, "r+b") as file:
            memory = mmap.mmap(file.fileno(), 0)
        (length,) = struct.unpack("<Q", memory[:8])
        header = json.loads(memory[8 : 8 + length])
        return {
            name: torch.frombuffer(
                memory, dtype=value.dtype, count=value.numel(), offset=8 + length + header[name]["data_offsets"][0]
            ).view(value.shape)
            for name, value in {**content, STEP: torch.tensor(NONE)}.items()
        }
