"""Films of a splat scene: what `render` and `reconstruct` share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import UInt8
from torch import Tensor
from tqdm import tqdm

from recon import load_cameras
from render import Camera, Gaussians, load, rasterize
from render.images import to_uint8
from render.rasterize import Backend
from render.trajectory import interpolate, orbit, sway

# Rotations that turn the world so that its up is +z, about which orbits go.
LEVEL_FROM_WORLD = {
    "z": [[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]],
    "-y": [[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]],
}
SWAY = 0.08  # of the distance: enough parallax to see depth, little enough to stay on what was seen


def open_scene(path: Path) -> tuple[Gaussians, Camera | None]:
    """The Gaussians of a file that `render.load` opens, of a scene folder or of a run folder, and the cameras [V]
    saved with them, if any."""
    if path.is_dir():
        for folder in (path, path / "scene"):
            if (folder / "scene.ply").is_file():
                return load(folder / "scene.ply"), load_cameras(folder)
        raise FileNotFoundError(f"{path}: expected scene.ply or scene/scene.ply in the folder, found neither")
    return load(path), load_cameras(path.parent)


def resized(camera: Camera, width: int | None) -> Camera:
    """The camera with images of this width and the same proportions; as it is for None."""
    if width is None or width == camera.width:
        return camera
    return camera.resized(width, max(1, round(camera.height * width / camera.width)))


def camera_path(
    gaussians: Gaussians,
    cameras: Camera | None,
    kind: str,
    frames: int,
    width: int | None = None,
    up: str = "z",
) -> Camera:
    """`frames` cameras: sway around the first saved camera, along the saved cameras, or an orbit of the scene.

    "auto" is along the saved cameras, sway where there is one, orbit where there is none. Raises ValueError where
    a path needs saved cameras and there are none.
    """
    if len(gaussians) == 0:
        raise ValueError("expected a scene with Gaussians, got an empty one; there is nothing to film")
    count = 0 if cameras is None else len(cameras)
    if kind == "auto":
        kind = "orbit" if count == 0 else "sway" if count == 1 else "cameras"
    if kind == "orbit":
        level = torch.tensor(LEVEL_FROM_WORLD[up])
        low, high = torch.quantile(_thinned(gaussians.means) @ level[:3, :3].T, torch.tensor([0.05, 0.95]), dim=0)
        radius = max(float((high - low).norm()), 1e-3)
        wide = width or 640
        path = orbit((low + high) / 2, radius, frames, width=wide, height=round(wide * 0.75), fov_x_degrees=60.0)
        return replace(path, w2c=path.w2c @ level)
    if cameras is None or count == 0:
        raise ValueError(f"the path '{kind}' needs a cameras.json beside the scene, found none; use --path orbit")
    cameras = resized(cameras, width)
    if kind == "sway":
        distance = median_distance(gaussians, cameras[0])
        return sway(cameras[0], distance, SWAY * distance, frames)
    if count == 1 or frames == 1:
        return Camera.stack([cameras[0]] * frames)
    ends = torch.linspace(0, count - 1, frames).tolist()
    pairs = [(min(int(end), count - 2), end) for end in ends]
    return Camera.stack([_between(cameras[i], cameras[i + 1], end - i) for i, end in pairs])


def median_distance(gaussians: Gaussians, camera: Camera) -> float:
    """Median depth, metres, of the Gaussians in front of the camera."""
    means = _thinned(gaussians.means)
    depth = means @ camera.w2c[2, :3] + camera.w2c[2, 3]
    ahead = depth[depth > 0]
    if len(ahead) == 0:
        raise ValueError("expected Gaussians in front of the first camera, found none; use --path orbit")
    return float(ahead.median())


@torch.no_grad()
def film(
    gaussians: Gaussians,
    cameras: Camera,
    *,
    backend: Backend = "auto",
    background: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> UInt8[Tensor, "T H W 3"]:
    """One frame for each camera [T], with a progress bar."""
    colour = torch.tensor(background)
    gaussians = replace(gaussians, features=None)
    frames = [
        torch.from_numpy(to_uint8(rasterize(gaussians, cameras[i], backend=backend, background=colour).rgb))
        for i in tqdm(range(len(cameras)), desc="film", unit="frame")
    ]
    return torch.stack(frames)


def _between(first: Camera, last: Camera, share: float) -> Camera:
    """The camera `share` of the way from one to the next, to a 64th."""
    return interpolate(first, last, 65)[round(64 * share)]


def _thinned(points: Tensor, most: int = 1_000_000) -> Tensor:
    """At most about a million points, evenly picked: torch.quantile takes no more than 16 million."""
    return points[:: max(1, len(points) // most)]
