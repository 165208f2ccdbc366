"""An episode of any world or robot, and its form on disk: one safetensors file, complete or absent.

    rgb      uint8   [T, H, W, 3]   the left eye
    right    uint8   [T, H, W, 3]   the right eye, `baseline` metres along the left camera's +x
    depth    float32 [T, H, W]      metres, 0 = no measurement
    w2c      float32 [T, 4, 4]      world to camera, OpenCV axes
    K        float32 [3, 3]         pixels
    proprio  float32 [T, P]         what the body feels of itself, in the order of `proprio_names`
    touch    float32 [T, C]         contacts and forces, in the order of `touch_names`
    actions  float32 [T - 1, A]     actions[i] leads from frame i to i + 1, in the order of `action_names`

What a world or a recording does not have is absent; cameras are `w2c` and `K` together. The file's metadata holds
`baseline` in metres, `disparity_offset` in pixels (recon.View), `up` (the world's up, a unit vector), frames per
second, the names, the task in words, the world's name and the seed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
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

from ..actions.walker import NAMES

VERSION = "1"

@dataclass(frozen=True)
class Episode:
    """T frames, T - 1 actions between them. Raises ValueError when lengths, sizes or names do not fit each other.

    fps: frames per second of the world's own time, or None where it has none. task: what was asked for, in words.
    """

    rgb: UInt8[Tensor, "T H W 3"]
    w2c: Float[Tensor, "T 4 4"] | None
    K: Float[Tensor, "3 3"] | None
    actions: Float[Tensor, "T_1 A"]
    right: UInt8[Tensor, "T H W 3"] | None = None
    depth: Float[Tensor, "T H W"] | None = None
    baseline: float | None = None
    disparity_offset: float = 0.0
    up: tuple[float, float, float] = (0.0, 0.0, 1.0)
    world: str = ""
    seed: int = 0
    proprio: Float[Tensor, "T P"] | None = None
    touch: Float[Tensor, "T C"] | None = None
    action_names: tuple[str, ...] = NAMES
    proprio_names: tuple[str, ...] = ()
    touch_names: tuple[str, ...] = ()
    fps: float | None = None
    task: str = ""

    def __post_init__(self) -> None:
        frames, size = self.rgb.shape[0], tuple(self.rgb.shape[:3])
        expected = {"w2c": (frames, 4, 4), "K": (3, 3), "actions": (frames - 1, len(self.action_names))}
        expected |= {"rgb": (*size, 3), "right": (*size, 3), "depth": size}
        expected |= {"proprio": (frames, len(self.proprio_names)), "touch": (frames, len(self.touch_names))}
        for name, shape in expected.items():
            value = getattr(self, name)
            if value is not None and tuple(value.shape) != shape:
                raise ValueError(f"Episode.{name} must be {list(shape)}; got {list(value.shape)}.")
        if (self.w2c is None) != (self.K is None):
            raise ValueError("Episode: expected cameras as w2c and K together; got one of them. Give both or neither.")
        if self.fps is not None and not (math.isfinite(self.fps) and self.fps > 0):
            raise ValueError(f"Episode.fps must be above 0, or None; got {self.fps}.")
        if self.right is not None and not (self.baseline and math.isfinite(self.baseline)):
            raise ValueError(
                f"Episode.baseline must be metres when there is a right eye; got {self.baseline}."
            )
        if not 0.999 < math.hypot(*self.up) < 1.001:
            raise ValueError(f"Episode.up must be a unit vector; got {self.up}.")

    def __len__(self) -> int:
        return len(self.rgb)

    def view(self, i: int) -> View:
        """Frame i as a measured view. Raises ValueError where there are no cameras."""
        if self.w2c is None or self.K is None:
            raise ValueError("Episode.view: expected cameras; this episode has none. Convert it with its cameras.")
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


_NAMES = ("action_names", "proprio_names", "touch_names")


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
    metadata |= {name: json.dumps(getattr(episode, name)) for name in _NAMES} | {"task": episode.task}
    metadata |= {name: repr(float(v)) for name in ("baseline", "fps") if (v := getattr(episode, name)) is not None}
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
    missing = {"rgb", "actions"} - set(tensors)
    if missing:
        raise FormatError(path, "the tensors of an episode", f"no {sorted(missing)[0]}", again)
    try:
        baseline, fps = (float(metadata[name]) if name in metadata else None for name in ("baseline", "fps"))
        actions, proprio, touch = (_names(metadata, name) for name in _NAMES)
        x, y, z = (float(value) for value in metadata.get("up", "0 0 1").split())
        cameras = {name: tensors.pop(name, None) for name in ("w2c", "K")}
        return Episode(
            **tensors,
            w2c=cameras["w2c"],
            K=cameras["K"],
            baseline=baseline,
            disparity_offset=float(metadata.get("disparity_offset", 0)),
            up=(x, y, z),
            world=metadata.get("world", ""),
            seed=int(metadata.get("seed", 0)),
            action_names=actions or NAMES,
            proprio_names=proprio,
            touch_names=touch,
            fps=fps,
            task=metadata.get("task", ""),
        )
    except (TypeError, ValueError, IndexError) as error:
        raise FormatError(path, "a whole episode", str(error)[:120], again) from None


def _names(metadata: Mapping[str, str], key: str) -> tuple[str, ...]:
    return tuple(map(str, json.loads(metadata.get(key, "[]"))))
