"""`hybridwm render runs/reconstruct`"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from ..configuration import load_yaml


@dataclass(frozen=True)
class Options:
    """Film a splat scene along a camera path, or take one picture of it."""

    scene: tyro.conf.Positional[Path]
    """Any of .ply, compressed .ply, .splat, .spz, .glb/.gltf; a scene folder; the run folder of reconstruct,
    rollout or demo."""
    out: Path = Path("render.mp4")
    """The film (.mp4), or one picture from the path's first camera (.png)."""
    path: Literal["auto", "cameras", "sway", "orbit"] = "auto"
    """Along the scene's saved cameras; swaying around the first; a circle around the scene; auto is the first
    of these that the scene has what it needs for."""
    up: Literal["z", "-y"] = "z"
    """The world's up, for an orbit: -y in the worlds of reconstruct, COLMAP and most splat files."""
    frames: int = 72
    """Frames of the film."""
    fps: float = 24.0
    """Frames per second."""
    width: int | None = None
    """Width of the film, pixels; by default the saved cameras' own, 640 without any."""
    background: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Colour behind the scene, 0…1."""
    backend: Literal["auto", "torch", "cpu", "gsplat"] = "auto"
    """Rasterizer; one asked for by name is used or refused."""
    config: Annotated[Path | None, tyro.conf.arg(metavar="FILE.yaml")] = None
    """YAML file that fills these options; the command line overrides it."""

    def __post_init__(self) -> None:
        if self.out.suffix.lower() not in (".mp4", ".png"):
            raise ValueError(f"render.out: expected a name ending in .mp4 or .png; got '{self.out}'.")
        if not 1 <= self.frames <= 100_000:
            raise ValueError(f"render.frames: expected 1 to 100000; got {self.frames}.")
        if not (math.isfinite(self.fps) and 0 < self.fps <= 240):
            raise ValueError(f"render.fps: expected a rate above 0, at most 240; got {self.fps}.")
        if self.width is not None and not 8 <= self.width <= 8192:
            raise ValueError(f"render.width: expected 8 to 8192 pixels; got {self.width}.")
        if not all(0 <= value <= 1 for value in self.background):
            raise ValueError(f"render.background: expected three numbers in 0…1; got {self.background}.")

    def from_file(self, path: Path) -> Options:
        """Options filled from a YAML file, of the same scene where the file names none."""
        return load_yaml(path, Options, given={"scene": self.scene})


def run(options: Options) -> None:
    """Writes the film or the picture."""
    from render.images import write_png
    from render.video import write_mp4

    from .filming import camera_path, film, open_scene

    gaussians, cameras = open_scene(options.scene)
    path = camera_path(gaussians, cameras, options.path, options.frames, options.width, options.up)
    picture = options.out.suffix.lower() == ".png"
    frames = film(gaussians, path[:1] if picture else path, backend=options.backend, background=options.background)
    if picture:
        write_png(options.out, frames[0])
    else:
        write_mp4(options.out, frames, options.fps)
    count = "1 frame" if len(frames) == 1 else f"{len(frames)} frames"
    print(f"{options.out}: {count} of {frames.shape[2]}x{frames.shape[1]}, {len(gaussians)} Gaussians")
