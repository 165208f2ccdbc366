"""What a training process takes of its machine."""

from __future__ import annotations

import platform
import resource
import sys
from pathlib import Path

import torch

_BOOT = Path("/proc/sys/kernel/random/boot_id")


def boot() -> str | None:
    """Which boot of which machine this is; None where the system does not say."""
    return _BOOT.read_text().strip() if _BOOT.exists() else None


def peak_memory(device: torch.device) -> float:
    """Most memory so far in MB: of the device's allocator on CUDA, resident in this process elsewhere."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB on Linux, bytes on macOS
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def machine(device: torch.device, processes: int) -> str:
    """One line for a model card."""
    each = f"{torch.get_num_threads()} threads, torch {torch.__version__}"
    return f"{device.type}, {platform.machine()}, {each}" + (f", {processes} processes" if processes > 1 else "")
