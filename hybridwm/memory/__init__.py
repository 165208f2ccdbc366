"""What the dream remembers beside its recent frames, chosen by name."""

from __future__ import annotations

from typing import Literal

from recon import FuseConfig
from recon.of_your_own import import_named

from .loopy import LoopyMemory
from .nothing import NothingMemory
from .protocol import Memory
from .retrieved import RetrievedMemory
from .routed import RoutedMemory
from .splat import SplatMemory

MemoryName = Literal["none", "recent", "loopy", "retrieved", "routed", "splat"]
PARTS = ("frames", "grounded", "begin", "recall", "observe", "scene")  # of protocol.Memory
MEMORIES: tuple[MemoryName, ...] = ("none", "recent", "loopy", "retrieved", "routed", "splat")


def make_memory(name: str, *, eyes: int, fuse: FuseConfig | None = None, window: int = 4, patch: int = 8) -> Memory:
    """The memory of that name. Without depth: none (the last frame only), recent (the last frames: video only), loopy
    (samples of the last 124 frames), retrieved (frames whose cameras saw what the next one will). With depth, in a
    scene: routed (past frames' pixels, warped by the scene), splat (the scene itself, rendered). Or module:Class of
    your own, called as Class(eyes=…, window=…, patch=…), which has what protocol.Memory has.

    window, patch: those of the core. Raises ValueError for unknown names and for what is no memory.
    """
    if ":" in name:
        made = import_named(name, "memory")(eyes=eyes, window=window, patch=patch)
        if not isinstance(made, Memory):
            missing = [part for part in PARTS if not hasattr(made, part)]
            raise ValueError(f"memory: expected {name} to make a Memory; it lacks {', '.join(missing)}.")
        return made
    if name not in MEMORIES:
        raise ValueError(f"memory: expected one of {', '.join(MEMORIES)}, or module:Class; got {name!r}.")
    if name in ("splat", "routed"):
        splats = SplatMemory(eyes=eyes, fuse_config=fuse or FuseConfig())
        return splats if name == "splat" else RoutedMemory(splats)
    if name == "loopy":
        return LoopyMemory(patch=patch)
    if name == "retrieved":
        return RetrievedMemory(window=window)
    return NothingMemory(frames=1 if name == "none" else None)


__all__ = [
    "MEMORIES",
    "LoopyMemory",
    "Memory",
    "MemoryName",
    "NothingMemory",
    "RetrievedMemory",
    "RoutedMemory",
    "SplatMemory",
    "make_memory",
]
