"""What refinement is given, checked and brought to size; and how it draws."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from render.camera import Camera
from render.gaussians import Gaussians
from render.merging import merge_with_sources
from render.rasterize import RenderOutput, choose_backend, rasterize

from .scene import GaussianScene
from .truth import checked_depth
from .view import View

Draw = Callable[..., RenderOutput]


def check_inputs(scene: GaussianScene, views: Sequence[View], held_out: Sequence[View]) -> None:
    """Raises ValueError for no views, an empty scene, values that are not finite, or tensors on several devices."""
    if not views:
        raise ValueError("refine needs at least one view to fit; got none.")
    if len(scene) == 0:
        raise ValueError("refine needs a scene to begin with; got 0 Gaussians. Fuse the views first: recon.fuse.")
    for name in ("means", "quats", "scales", "opacities", "sh"):
        if not bool(getattr(scene.gaussians, name).isfinite().all()):
            raise ValueError(f"refine needs finite Gaussians; scene.gaussians.{name} holds NaN or infinity.")
    for name, group in (("views", views), ("held_out", held_out)):
        for i, view in enumerate(group):
            wrong = int((~view.image.isfinite()).sum())
            if wrong:
                raise ValueError(
                    f"refine needs finite images; {name}[{i}].image holds {wrong} NaN or infinite values of "
                    f"{view.image.numel()}. Leave that view out."
                )
            if not bool(view.camera.w2c.isfinite().all() & view.camera.K.isfinite().all()):
                raise ValueError(f"refine needs finite cameras; {name}[{i}].camera holds NaN or infinity.")
            if view.image.device != scene.device:
                raise ValueError(
                    f"refine needs one device; got a scene on {scene.device}, a view on {view.image.device}."
                )
            if view.depth is not None:
                checked_depth(view.depth, f"{name}[{i}].depth")


@torch.no_grad()
def typical_depth(scene: GaussianScene, cameras: Sequence[Camera]) -> float:
    """The median depth in metres of the Gaussians in the views; their distance where no camera sees one."""
    depths = []
    for camera in cameras:
        local = scene.gaussians.means @ camera.w2c[:3, :3].T + camera.w2c[:3, 3]
        ahead = local[:, 2] > 0
        u, v, w = (local @ camera.K.T).unbind(1)
        inside = ahead & (u >= 0) & (u < camera.width * w) & (v >= 0) & (v < camera.height * w)
        depths.append(local[inside, 2])
    seen = torch.cat(depths)
    if len(seen) == 0:
        seen = (scene.gaussians.means - cameras[0].center).norm(dim=1)
    return float(seen.median())


def pixel_size(depth: float, cameras: Sequence[Camera]) -> float:
    """Metres that a pixel of these cameras spans at this depth."""
    focal = sum(float(camera.K[0, 0] + camera.K[1, 1]) / 2 for camera in cameras) / len(cameras)
    return depth / focal


def within(scene: GaussianScene, max_gaussians: int, pixel: float) -> tuple[GaussianScene, Tensor]:
    """The scene with no more than max_gaussians, and which row each one's provenance is of.

    Neighbours of one rank (observed or imagined) are merged, in cells of `pixel` metres that grow until they fit.
    """
    source = torch.arange(len(scene), device=scene.device)
    for growth in range(40):
        if len(scene) <= max_gaussians:
            return scene, source
        cell, parts, rows = pixel * 2 ** (growth / 2), [], []
        for observed in (True, False):
            chosen = (scene.observed == observed).nonzero().squeeze(1)
            merged, origin = merge_with_sources(scene[chosen].gaussians, cell)
            parts.append(merged)
            rows.append(chosen[origin])
        row = torch.cat(rows)
        provenance = scene[row]
        scene = GaussianScene(
            Gaussians.cat(parts), provenance.observed, provenance.step, provenance.confirmations,
            provenance.confidence, provenance.direction,
        )  # fmt: skip
        source = source[row]
    best = scene.confidence.argsort(descending=True, stable=True)[:max_gaussians].sort().values
    return scene[best], source[best]


@contextmanager
def drawing(gaussians: Gaussians) -> Iterator[Draw]:
    """draw(gaussians, camera), while torch's own operations have one thread if the CPU kernels draw: torch's threads
    spin after every small operation, and would take the cores from those of the kernels."""
    if choose_backend(gaussians) != "cpu":
        yield rasterize
        return
    from render.rasterize_cpu import rasterize_cpu

    threads = torch.get_num_threads()

    def draw(splats: Gaussians, camera: Camera) -> RenderOutput:
        batch = Camera(camera.K[None], camera.w2c[None], camera.width, camera.height)
        output = rasterize_cpu(splats, batch, threads=threads)
        features = None if output.features is None else output.features[0]
        return RenderOutput(output.rgb[0], output.alpha[0], output.depth[0], features)

    torch.set_num_threads(1)
    try:
        yield draw
    finally:
        torch.set_num_threads(threads)
