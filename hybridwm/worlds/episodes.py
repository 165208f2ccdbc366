"""Episodes on disk: one safetensors file for each walk, complete or absent.

    rgb      uint8   [T, H, W, 3]   the left eye
    right    uint8   [T, H, W, 3]   the right eye, `baseline` metres along the left camera's +x
    depth    float32 [T, H, W]      metres, 0 = no measurement
    w2c      float32 [T, 4, 4]      world to camera, OpenCV axes
    K        float32 [3, 3]         pixels
    actions  float32 [T - 1, 4]     actions[i] leads from frame i to i + 1: forward m, right m, yaw rad, pitch rad

The file's metadata holds `baseline` in metres, `disparity_offset` in pixels (recon.View), `up` (the world's up,
a unit vector), the world's name and the seed. `right` and `depth` may be absent.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from recon import View
from render import Camera, FormatError
from render.files import atomic_write

VERSION = "1"


@dataclass(frozen=True)
class Episode:
    """One walk: T frames, T - 1 actions between them. Raises ValueError when lengths or sizes differ."""

    rgb: UInt8[Tensor, "T H W 3"]
    w2c: Float[Tensor, "T 4 4"]
    K: Float[Tensor, "3 3"]
    actions: Float[Tensor, "T_1 4"]
    right: UInt8[Tensor, "T H W 3"] | None = None
    depth: Float[Tensor, "T H W"] | None = None
    baseline: float | None = None
    disparity_offset: float = 0.0
    up: tuple[float, float, float] = (0.0, 0.0, 1.0)
    world: str = ""
    seed: int = 0

    def __post_init__(self) -> None:
        frames, size = self.rgb.shape[0], tuple(self.rgb.shape[:3])
        expected = {"w2c": (frames, 4, 4), "K": (3, 3), "actions": (frames - 1, 4)}
        expected |= {"rgb": (*size, 3), "right": (*size, 3), "depth": size}
        for name, shape in expected.items():
            value = getattr(self, name)
            if value is not None and tuple(value.shape) != shape:
                raise ValueError(f"Episode.{name} must be {list(shape)}; got {list(value.shape)}.")
        if self.right is not None and not (self.baseline and math.isfinite(self.baseline)):
            raise ValueError(
                f"Episode.baseline must be metres when there is a right eye; got {self.baseline}."
            )
        if not 0.999 < math.hypot(*self.up) < 1.001:
            raise ValueError(f"Episode.up must be a unit vector; got {self.up}.")

    def __len__(self) -> int:
        return len(self.rgb)

    def view(self, i: int) -> View:
        """Frame i as a measured view."""
        height, width = self.rgb.shape[1:3]
        return View(
            self.rgb[i].float() / 255,
            Camera(self.K, self.w2c[i], width, height),
            depth=None if self.depth is None else self.depth[i],
            right=None if self.right is None else self.right[i].float() / 255,
            baseline=self.baseline,
            disparity_offset=self.disparity_offset,
        )

    def views(self) -> list[View]:
        """All frames, in time order."""
        return [self.view(i) for i in range(len(self))]


def save_episode(episode: Episode, path: Path) -> None:
    """Writes the file; when the call returns it is on disk, and at no time is there half of one."""
    tensors = {
        field.name: value.contiguous()
        for field in fields(episode)
        if isinstance(value := getattr(episode, field.name), Tensor)
    }
    metadata = {"version": VERSION, "world": episode.world, "seed": str(episode.seed)}
    metadata["disparity_offset"] = repr(float(episode.disparity_offset))
    metadata["up"] = " ".join(repr(float(value)) for value in episode.up)
    if episode.baseline is not None:
        metadata["baseline"] = repr(float(episode.baseline))
    with atomic_write(path) as temporary:
        save_file(tensors, temporary, metadata)


def load_episode(path: Path) -> Episode:
    """Reads a file that save_episode wrote. Raises FormatError, with the file's name, when it is not one."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: expected an episode, found no such file; check the path")
    again = "collect it again"
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError) as error:
        raise FormatError(path, "a safetensors episode", " ".join(str(error).split())[:120], again) from None
    if metadata.get("version") != VERSION:
        raise FormatError(path, f"an episode of version {VERSION}", str(metadata.get("version")), again)
    names = {field.name for field in fields(Episode)}
    for name, tensor in tensors.items():
        kind = torch.uint8 if name in ("rgb", "right") else torch.float32
        if name not in names or tensor.dtype != kind:
            raise FormatError(path, "the tensors of an episode", f"{name[:40]} of {tensor.dtype}", again)
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise FormatError(path, "finite numbers", f"NaN or infinity in {name}", again)
    missing = {"rgb", "w2c", "K", "actions"} - set(tensors)
    if missing:
        raise FormatError(path, "the tensors of an episode", f"no {sorted(missing)[0]}", again)
    try:
        baseline = float(metadata["baseline"]) if "baseline" in metadata else None
        x, y, z = (float(value) for value in metadata.get("up", "0 0 1").split())
        return Episode(
            **tensors,
            baseline=baseline,
            disparity_offset=float(metadata.get("disparity_offset", 0)),
            up=(x, y, z),
            world=metadata.get("world", ""),
            seed=int(metadata.get("seed", 0)),
        )
    except (TypeError, ValueError, IndexError) as error:
        raise FormatError(path, "a whole episode", str(error)[:120], again) from None
