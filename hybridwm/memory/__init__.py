"""What the dream remembers beside its recent frames, chosen by name."""

from __future__ import annotations

from typing import Literal

from recon import FuseConfig

from .nothing import NothingMemory
from .protocol import Memory
from .splat import SplatMemory

MemoryName = Literal["none", "recent", "splat"]
MEMORIES: tuple[MemoryName, ...] = ("none", "recent", "splat")


def make_memory(name: str, *, eyes: int, fuse: FuseConfig | None = None) -> Memory:
    """The memory of that name: none (the last frame only), recent (the last frames: video only), splat (a scene)."""
    if name not in MEMORIES:
        raise ValueError(f"memory: expected one of {', '.join(MEMORIES)}; got {name!r}.")
    if name == "splat":
        return SplatMemory(eyes=eyes, fuse_config=fuse or FuseConfig())
    return NothingMemory(frames=1 if name == "none" else None)


__all__ = ["MEMORIES", "Memory", "MemoryName", "NothingMemory", "SplatMemory", "make_memory"]
