"""Multiview depth on recorded sequences with known cameras and on rooms.

`python -m hybridwm.bench.recon_multiview DATA [PICTURES]` prints the figures of measure().
Depth is measured from colours and cameras alone; true depth, where there is some, only judges. Every figure is the mean
over the views of a sequence: coverage is the share of the pixels with true depth that were measured, within_5 of these
the share within 5 %, right the product of both. Bins of confidence show whether it is the share that is right.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from recon.multiview import multiview_depth
from recon.multiview_sequence import multiview_depths
from recon.quality import assess
from recon.readers import read_captured
from recon.refine import RefineConfig
from recon.sequences import SequenceConfig, reconstruct_sequence
from recon.view import View, resize_view
from render.camera import Camera
from render.images import write_png

from ..worlds.collection import walk_rooms
from ..worlds.rooms.rig import RoomsRig

TOLERANCE = 0.05
EARLIER = 8  # views that the causal source looks back at
EVERY = 3  # views are measured causally
MOST_VIEWS = 24  # of a sequence
BINS = (0.5, 0.7, 0.85, 0.95, 1.0001)  # edges of confidence
KEEP_OUT, REFINED_SIZE = 3, (270, 180)  # every third view; width and height
NEAR_POINT = 0.05  # metres within which a point counts as found
ROOMS, FRAMES = (30_000_001, 30_000_002), 28  # seeds for settings; others judge
HELD_OUT = tuple(range(10_000_000, 10_000_004))

Measured = list[tuple[Float[Tensor, "H W"], Float[Tensor, "H W"]]]


def measure(data_folder: str | Path, pictures: str | Path | None = None) -> dict[str, float]:
    """Figures by name; pictures: a folder for the depth beside the truth, as PNG."""
    figures: dict[str, float] = {}
    folder = Path(data_folder) / "multiview"
    for name in ("hololens000_a", "icl_nuim_livingroom_5", "7scenes_redkitchen_a", "tum_fr2_desk_10"):
        if (folder / name).is_dir():
            views = [_single(view) for view in read_captured(folder / name, max_views=MOST_VIEWS).views]
            figures |= {f"{name} {key}": value for key, value in _sequence(views, name, pictures).items()}
            if name == "hololens000_a":
                figures |= {f"{name} {key}": value for key, value in refined(views).items()}
    for seed in ROOMS:
        figures |= {f"room {seed} {key}": value for key, value in room(seed).items()}
    return figures | {f"held-out rooms {key}": value for key, value in held_out_reliability().items()}


def held_out_reliability(seeds: Sequence[int] = HELD_OUT) -> dict[str, float]:
    """Whether the confidence is the share that is right, in rooms that set nothing."""
    walks = [[_single(view) for view in walk_rooms([seed], FRAMES, RoomsRig())[0].views()] for seed in seeds]
    found = [multiview_depths([replace(view, depth=None) for view in views]) for views in walks]
    return reliability([view for views in walks for view in views], [one for depths in found for one in depths])


def _single(view: View) -> View:
    return replace(view, right=None, baseline=None)


def refined(views: Sequence[View]) -> dict[str, float]:
    """The refined scene from colours and cameras at the views kept out, at REFINED_SIZE."""
    small = [replace(resize_view(view, *REFINED_SIZE), depth=None) for view in views]
    config = SequenceConfig(depth="multiview", held_out_every=KEEP_OUT, refine=RefineConfig(steps=300))
    made = reconstruct_sequence(small, config)
    quality, _ = assess(made.scene, made.held_out, made.views)
    return {
        "refined scene PSNR (>= 23)": quality.psnr,
        "refined scene coverage": quality.coverage,
        "nearest view PSNR": quality.nearest_psnr,
    }


def _sequence(views: list[View], name: str, pictures: str | Path | None) -> dict[str, float]:
    blind = [replace(view, depth=None) for view in views]
    started = time.perf_counter()
    found = multiview_depths(blind)
    seconds = (time.perf_counter() - started) / len(views)
    if pictures is not None:
        _draw(views, found, Path(pictures) / f"{name}.png")
    figures = {"seconds a view": seconds}
    if views[0].depth is None:
        return figures | photometric(views, found)
    figures |= judge(views, found) | reliability(views, found)
    late = list(range(min(EARLIER, len(views) - 1), len(views), EVERY))
    causal = [multiview_depth(blind[max(0, index - EARLIER) : index + 1]) for index in late]
    return figures | {f"causal {key}": value for key, value in judge([views[index] for index in late], causal).items()}


def judge(views: Sequence[View], found: Measured) -> dict[str, float]:
    """coverage, within_5, right over the pixels with true depth, and the worst view's within_5."""
    rows = []
    for view, (depth, _) in zip(views, found, strict=True):
        assert view.depth is not None
        known = view.depth > 0
        measured = known & (depth > 0)
        right = measured & ((depth - view.depth).abs() <= TOLERANCE * view.depth)
        rows.append([float(measured.sum() / known.sum()), float(right.sum() / measured.sum().clamp(min=1))])
    table = torch.tensor(rows)
    return {
        "coverage": float(table[:, 0].mean()),
        "within_5": float(table[:, 1].mean()),
        "worst within_5": float(table[:, 1].min()),
        "right": float((table[:, 0] * table[:, 1]).mean()),
    }


def reliability(views: Sequence[View], found: Measured) -> dict[str, float]:
    """The share of depths within 5 % in each bin of confidence."""
    sure, right = [], []
    for view, (depth, confidence) in zip(views, found, strict=True):
        assert view.depth is not None
        both = (view.depth > 0) & (depth > 0)
        sure.append(confidence[both])
        right.append(((depth - view.depth).abs() <= TOLERANCE * view.depth)[both].float())
    confidences, shares = torch.cat(sure), torch.cat(right)
    figures = {}
    for low, high in zip(BINS[:-1], BINS[1:], strict=True):
        inside = (confidences >= low) & (confidences < high)
        if int(inside.sum()) >= 100:
            figures[f"confidence {float(confidences[inside].mean()):.2f}: within_5"] = float(shares[inside].mean())
    return figures


def photometric(views: Sequence[View], found: Measured) -> dict[str, float]:
    """Median difference in grey levels (0..255) of each view from the next one, warped by the measured depth, and by
    a plane at its median, on the same pixels."""
    by_depth, by_plane, covered = [], [], []
    for (view, other), (depth, _) in zip(zip(views[:-1], views[1:], strict=True), found, strict=False):
        known = depth > 0
        covered.append(known.float().mean())
        if int(known.sum()) < 100:
            continue
        plane = torch.full_like(depth, float(depth[known].median()))
        for sums, one in ((by_depth, depth), (by_plane, plane)):
            warped, inside = warp(other, view.camera, one)
            sums.append(255 * (warped - view.image).abs().mean(-1)[known & inside].median())
    return {
        "coverage": float(torch.stack(covered).mean()),
        "grey levels": float(torch.stack(by_depth).mean()),
        "grey levels by a plane": float(torch.stack(by_plane).mean()),
    }


def warp(other: View, camera: Camera, depth: Float[Tensor, "H W"]) -> tuple[Tensor, Tensor]:
    """The other view's image as this camera sees it at this depth [H, W, 3], and where it lies inside."""
    origin, rays = camera.rays()
    points = origin + depth[..., None] * rays
    seen = points @ other.camera.w2c[:3, :3].T + other.camera.w2c[:3, 3]
    pixels = seen @ other.camera.K.T
    size = pixels.new_tensor([other.width, other.height])
    grid = 2 * pixels[..., :2] / pixels[..., 2:].clamp(min=1e-6) / size - 1
    image = other.image.permute(2, 0, 1)[None]
    warped = torch.nn.functional.grid_sample(image, grid[None], padding_mode="border", align_corners=False)
    return warped[0].permute(1, 2, 0), (grid.abs() <= 1).all(-1) & (pixels[..., 2] > 0)


def room(seed: int) -> dict[str, float]:
    """A walk through one room: as judge(), and the F-score of its points over that of the true depth's."""
    views = [_single(view) for view in walk_rooms([seed], FRAMES, RoomsRig())[0].views()]
    found = multiview_depths([replace(view, depth=None) for view in views])
    every = torch.cat([_points(view, view.depth) for view in views])
    half = torch.cat([_points(view, view.depth) for view in views[::2]])
    measured = torch.cat([_points(view, depth) for view, (depth, _) in zip(views, found, strict=True)])
    score = f_score(measured, every)
    figures = judge(views, found) | reliability(views, found)
    return figures | {"f_score": score, "f_score by every other true view": f_score(half, every)}


def f_score(points: Float[Tensor, "N 3"], truth: Float[Tensor, "M 3"]) -> float:
    """Harmonic mean of the shares of either that have a point of the other within NEAR_POINT."""
    if not len(points):
        return 0.0
    precision, recall = (
        float((_distance(a, b) < NEAR_POINT).float().mean()) for a, b in ((points, truth), (truth, points))
    )
    return 2 * precision * recall / max(precision + recall, 1e-9)


def _distance(a: Float[Tensor, "N 3"], b: Float[Tensor, "M 3"]) -> Float[Tensor, "N"]:
    return torch.cat([torch.cdist(part, b).amin(1) for part in a[::7].split(500)])


def _points(view: View, depth: Float[Tensor, "H W"] | None) -> Float[Tensor, "N 3"]:
    assert depth is not None
    origin, rays = view.camera.rays()
    return (origin + depth[..., None] * rays)[depth > 0]


def _draw(views: Sequence[View], found: Measured, path: Path) -> None:
    """Rows of image, true depth, measured depth: near is bright; of every so-manieth view."""
    rows = []
    for index in range(0, len(views), max(1, len(views) // 6)):
        view, depth = views[index], found[index][0]
        near = depth[depth > 0].quantile(0.02) if bool((depth > 0).any()) else depth.new_tensor(1.0)
        maps = [torch.zeros_like(depth) if view.depth is None else view.depth, depth]
        shades = [torch.where(one > 0, near / one.clamp(min=1e-3), 0.0).clamp(0, 1) for one in maps]
        rows.append(torch.cat([view.image, *[shade[..., None].expand(-1, -1, 3) for shade in shades]], dim=1))
    write_png(path, torch.cat(rows)[::2, ::2])


if __name__ == "__main__":
    for key, value in measure(*sys.argv[1:3]).items():
        print(f"{key:60} {value:.3f}")
