"""Refuses, before memory is taken, a render whose lists would not fit."""

from __future__ import annotations

import os
from pathlib import Path

PAIR_BYTES = 84  # sort key, two indices and their order, and a slot of the backward pass
ALWAYS = 2**28  # bytes that are not worth a look at the machine's memory
MAX_PAIRS = 2**32 - 1  # slots are counted in 32 bits


def check_pairs(pairs: int, gaussians: int, width: int, height: int) -> None:
    """Raises ValueError when this many (splat, tile) pairs take more memory than is free, or than can be counted."""
    need = pairs * PAIR_BYTES
    if need <= ALWAYS:
        return
    free = available_memory()
    if need <= free and pairs <= MAX_PAIRS:
        return
    raise ValueError(
        f"{gaussians} Gaussians reach {pairs} pairs of splat and tile in a {width} x {height} image, which need "
        f"{need / 2**30:.1f} GiB; {free / 2**30:.1f} GiB are free. Are the scales linear and in metres? Render a "
        "smaller image or fewer Gaussians."
    )


def available_memory() -> int:
    """Bytes that this machine can still give."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return 1024 * int(line.split()[1])
    except (OSError, ValueError):
        pass
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    return 2**33
