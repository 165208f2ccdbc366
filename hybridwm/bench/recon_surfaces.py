"""Scenes and meshes from posed RGB-D, at views that were kept out of everything.

`python -m hybridwm.bench.recon_surfaces DATA [PICTURES]` prints the figures of measure().
Every third view is kept out. Scenes are compared at 270 pixels' width with the nearest view shown as it is, and with
the point warp: the measured points of the nearest views, each drawn into its pixel, nearer views first. "on the warp"
means: over the pixels that the warp covers. PSNR in dB, of the images as they are: no exposure is fitted to a view
that was kept out.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from recon.agreement import FuseConfig
from recon.collision import convex_parts, free_share
from recon.measuring import EARLIER_VIEWS
from recon.observing import observe
from recon.photometric import psnr, ssim
from recon.readers import read_captured
from recon.refine import RefineConfig, refine
from recon.scene import GaussianScene
from recon.sequences import split
from recon.surface import Mesh, mesh_depth, tsdf_mesh
from recon.view import View, resize_view
from render.geometry import normals_from_depth, project, unproject
from render.images import write_png
from render.rasterize import rasterize

from .open3d_integration import integrated, mesh_colours

SEQUENCES = ("hololens000_a", "icl_nuim_livingroom_5", "7scenes_redkitchen_a")
MOST_VIEWS = 24
WIDTH = 270
WARPED = 4  # views whose points the warp draws
WITHIN = 0.05
TOLERANCE = 0.05  # metres, of the convex parts
RECONSTRUCTION = FuseConfig(max_gaussians=1_000_000)
STATUS = Path("/proc/self/status")


def measure(
    data_folder: str | Path, pictures: str | Path | None = None, names: Sequence[str] = SEQUENCES
) -> dict[str, float]:
    """Figures by name; pictures: a folder for the views kept out beside truth, warp, splats and mesh, as PNG."""
    figures: dict[str, float] = {}
    for name in names:
        folder = Path(data_folder) / "multiview" / name
        if folder.is_dir():
            views = list(read_captured(folder, max_views=MOST_VIEWS).views)
            target = None if pictures is None else Path(pictures) / f"{name}.png"
            figures |= {f"{name} {key}": value for key, value in sequence(views, target).items()}
    peak = peak_gigabytes()
    return figures if peak is None else figures | {"peak memory GB": peak}


def sequence(views: Sequence[View], picture: Path | None = None) -> dict[str, float]:
    """Of one walk: the scene of two views in three, fused and refined, and the mesh, at the third."""
    own, kept_out = split(views, 3)
    small, targets = ([_small(view) for view in some] for some in (own, kept_out))
    begun = time.perf_counter()
    _fused([*views])
    figures = {"seconds to fuse all views": time.perf_counter() - begun}
    scene = _fused(small)
    begun = time.perf_counter()
    refined = refine(scene, small, RefineConfig()).scene
    figures["seconds to refine"] = time.perf_counter() - begun
    figures["Gaussians"] = float(len(refined))

    warps = [warp(small, target) for target in targets]
    rows = [_pictures(small, target, warped) for target, warped in zip(targets, warps, strict=True)]
    figures |= _mean(rows)
    for name, shown in (("fused", scene), ("refined", refined)):
        judged = [_judge(shown, target, warped[1]) for target, warped in zip(targets, warps, strict=True)]
        figures |= {f"{name} {key}": value for key, value in _mean(judged).items()}

    begun = time.perf_counter()
    mesh = tsdf_mesh(own)
    figures["seconds to mesh"] = time.perf_counter() - begun
    depths = [mesh_depth(mesh, view.camera) for view in kept_out]
    figures |= _mean([_depth(depth, view, "mesh") for depth, view in zip(depths, kept_out, strict=True)])
    begun = time.perf_counter()
    plain = integrated(own)
    figures["Open3D seconds"] = time.perf_counter() - begun
    shown = [_judge_mesh(plain, target, warped[1]) for target, warped in zip(targets, warps, strict=True)]
    figures |= {f"Open3D {key}": value for key, value in _mean(shown).items()}
    begun = time.perf_counter()
    parts = convex_parts(mesh, tolerance=TOLERANCE)
    figures |= {
        "seconds to part": time.perf_counter() - begun,
        "convex parts": float(len(parts)),
        "share of the parts in free space": free_share(parts, views, 2 * TOLERANCE),
    }
    if picture is not None:
        _draw(targets, warps, refined, mesh, picture)
    return figures


def warp(views: Sequence[View], target: View) -> tuple[Float[Tensor, "H W 3"], Bool[Tensor, "H W"]]:
    """The target as the points of the nearest views show it, and where they do: nearer views first, and of one view's
    points the one in front."""
    image = torch.zeros_like(target.image)
    covered = torch.zeros(image.shape[:2], dtype=torch.bool)
    for view in sorted(views, key=lambda other: _away(other, target))[:WARPED]:
        assert view.depth is not None
        known = view.depth > 0
        uv, z = project(unproject(view.depth, view.camera)[known], target.camera)
        u, v = uv.floor().clamp(-1, 1e6).long().unbind(1)
        rows = ((z > 0) & (u >= 0) & (v >= 0) & (u < target.width) & (v < target.height)).nonzero().squeeze(1)
        rows = rows[z[rows].argsort(stable=True)]
        pixel = (v * target.width + u)[rows]
        first = torch.full((covered.numel(),), len(rows)).scatter_reduce(0, pixel, torch.arange(len(rows)), "amin")
        drawn = (first < len(rows)).reshape(covered.shape) & ~covered
        image[drawn] = view.image[known][rows][first.reshape(covered.shape)[drawn]]
        covered |= drawn
    return image, covered


def peak_gigabytes() -> float | None:
    """What this process held at most, where the system says (Linux)."""
    if not STATUS.is_file():
        return None
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
    return 1024 * int(line.split()[1]) / 1e9


def _fused(views: Sequence[View]) -> GaussianScene:
    scene = GaussianScene.empty()
    for step, view in enumerate(views):
        scene = observe(scene, view, views[max(0, step - EARLIER_VIEWS) : step], step=step, config=RECONSTRUCTION)
    return scene


def _small(view: View) -> View:
    view = replace(view, right=None, baseline=None)
    return resize_view(view, WIDTH, round(WIDTH * view.height / view.width))


def _away(view: View, target: View) -> float:
    """Metres between cameras, a turn by 45 degrees counting as one."""
    turn = torch.dot(view.camera.w2c[2, :3], target.camera.w2c[2, :3]).clamp(-1, 1).arccos()
    return float((view.camera.center - target.camera.center).norm() + turn / (torch.pi / 4))


def _pictures(own: Sequence[View], target: View, warped: tuple[Tensor, Tensor]) -> dict[str, float]:
    nearest = min(own, key=lambda view: _away(view, target))
    image, covered = warped
    return {
        "nearest view PSNR": psnr(nearest.image, target.image),
        "nearest view SSIM": float(ssim(nearest.image, target.image).mean()),
        "warp coverage": float(covered.float().mean()),
        "warp PSNR": psnr(image, target.image, covered),
    }


@torch.no_grad()
def _judge(scene: GaussianScene, target: View, covered: Bool[Tensor, "H W"]) -> dict[str, float]:
    output = rasterize(scene.gaussians, target.camera)
    image = output.rgb.clamp(0, 1)
    return {
        "PSNR": psnr(image, target.image),
        "PSNR on the warp": psnr(image, target.image, covered),
        "SSIM": float(ssim(image, target.image).mean()),
        "coverage": float((output.alpha > 0.5).float().mean()),
    } | _depth(output.depth, target, "depth")


def _judge_mesh(mesh: Mesh, target: View, covered: Bool[Tensor, "H W"]) -> dict[str, float]:
    image, depth = mesh_colours(mesh, target.camera)
    return {
        "PSNR": psnr(image, target.image),
        "PSNR on the warp": psnr(image, target.image, covered),
        "SSIM": float(ssim(image, target.image).mean()),
    } | _depth(depth, target, "depth")


def _depth(depth: Float[Tensor, "H W"], target: View, name: str) -> dict[str, float]:
    """Against measured depth: how much of it is covered, and of that the median error and the share within 5 %."""
    assert target.depth is not None
    known = target.depth > 0
    both = known & (depth > 0)
    error = (depth - target.depth).abs()[both]
    return {
        f"{name} coverage": float(both.sum() / known.sum()),
        f"{name} median error mm": 1000 * float(error.median()) if len(error) else float("nan"),
        f"{name} within 5 %": float((error < WITHIN * target.depth[both]).float().mean()),
    }


def _draw(
    targets: Sequence[View], warps: list[tuple[Tensor, Tensor]], scene: GaussianScene, mesh: Mesh, path: Path
) -> None:
    """Rows: truth, warp, refined scene, its error three times over, and the mesh lit from the camera."""
    rows = []
    for target, (warped, _) in list(zip(targets, warps, strict=True))[:: max(1, len(targets) // 4)]:
        with torch.no_grad():
            shown = rasterize(scene.gaussians, target.camera).rgb.clamp(0, 1)
        error = (3 * (shown - target.image).abs()).clamp(0, 1)
        rows.append(torch.cat([target.image, warped, shown, error, _lit(mesh, target)], dim=1))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_png(path, torch.cat(rows))


def _lit(mesh: Mesh, target: View) -> Float[Tensor, "H W 3"]:
    depth = mesh_depth(mesh, target.camera)
    facing = -(normals_from_depth(depth, target.camera) @ target.camera.w2c[2, :3])
    return facing.clamp(0, 1)[..., None].expand(*depth.shape, 3)


def _mean(rows: list[dict[str, float]]) -> dict[str, float]:
    return {key: sum(row[key] for row in rows) / len(rows) for key in rows[0]}


def main() -> None:
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: python -m hybridwm.bench.recon_surfaces DATA [PICTURES]")
    for name in SEQUENCES:
        for figure, value in measure(*sys.argv[1:], names=[name]).items():
            print(f"{figure}: {value:.4g}", flush=True)


if __name__ == "__main__":
    main()
