"""Scenes of rooms by each depth source, held against those from true depth of the same walk.

`python -m hybridwm.bench.recon_rooms [SIZE]` prints the figures of measure() for a rig of SIZE pixels.
Every third view is kept out. The F-score is that of the fused Gaussians' centres against the surfaces that the walk
saw, at 5 cm; "ratio" is over that of the scene from true depth. Metric scale is the median of measured over true depth.
The views kept out are compared with the nearest view shown as it is, and with the nearest view warped to them by the
depth measured in it (its holes filled from around); "refined" is the scene after a few steps on its own views.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from recon.photometric import psnr
from recon.quality import assess
from recon.refine import RefineConfig, refine
from recon.sequences import Reconstruction, SequenceConfig, reconstruct_sequence
from recon.uncovered import filled
from recon.view import View
from render.camera import Camera

from ..worlds.collection import WALK_SEED
from ..worlds.rooms.layout import make_room, stack_rooms
from ..worlds.rooms.raycast import raycast
from ..worlds.rooms.rig import RoomsRig
from ..worlds.rooms.walkers import walk
from .fusion_walks import views_along
from .recon_surfaces import _away, warp

SEEDS = tuple(range(10_000_000, 10_000_006))  # held out: they judge, nothing is set by them
SIZE = 128  # pixels: at 64, surfaces 2 m away are sampled each 5 cm, the F-score's own tolerance
FRAMES = 60  # views of a walk, of which none repeats another
STEPS = 4 * FRAMES  # in which that many are found
APART = (0.1, 10.0)  # metres or degrees between any two views
SOURCES = ("truth", "stereo", "learned_stereo", "multiview", "monocular")
REFINED = ("stereo", "multiview")
REFINE_STEPS = 150
KEEP_OUT = 3  # every third view
NEAR_POINT = 0.05  # metres within which a point counts as found
TRUTH_SIZE = 160  # pixels a side of the views whose points are the truth
CELL = 0.02  # metres; of the truth one point in each such cube is kept
QUERIES = 4000  # points of which the nearest one is looked for
DEPTH_RIGHT = 0.05


def measure(
    data_folder: str | Path | None = None,
    seeds: Sequence[int] = SEEDS,
    size: int = SIZE,
    frames: int = FRAMES,
    refine_steps: int = REFINE_STEPS,
) -> dict[str, float]:
    """Mean and worst figures over the rooms of these seeds, over those in which a source measured anything at all
    ("rooms" says how many); needs no recorded data."""
    rows = [room(seed, size, frames, refine_steps) for seed in seeds]
    figures = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        values = [row[name] for row in rows if name in row]
        worst = max(values) if "error" in name else min(values)
        figures |= {f"{name}, mean": sum(values) / len(values), f"{name}, worst": worst}
    counts = {source: float(sum(f"{source} precision" in row for row in rows)) for source in SOURCES}
    return figures | {f"{source} rooms": count for source, count in counts.items()}


def room(seed: int, size: int = SIZE, frames: int = FRAMES, refine_steps: int = REFINE_STEPS) -> dict[str, float]:
    """The figures of one walk by depth source; of a source that measured nothing the F-score alone, which is 0."""
    rooms, rig = stack_rooms([make_room(seed)]), RoomsRig(size=size)
    path = distinct(walk(rooms, STEPS, WALK_SEED, rig=rig).w2c[0])[:frames]
    views = list(views_along(rooms, path, rig))
    surface = seen_surface(rooms, path)
    figures: dict[str, float] = {}
    for source in SOURCES:
        blind = [view if source == "truth" else replace(view, depth=None) for view in views]
        try:
            made = reconstruct_sequence(blind, SequenceConfig(depth=source, held_out_every=KEEP_OUT))
        except ValueError:  # a walk that only turns tells multiview nothing
            figures[f"{source} F-score"] = 0.0
            continue
        figures |= {f"{source} {name}": value for name, value in _judge(made, views, surface).items()}
        if source in REFINED and refine_steps:
            scene = refine(made.scene, made.views, RefineConfig(steps=refine_steps)).scene
            refined = _pictures(replace(made, scene=scene))
            figures |= {f"{source} refined {name}": value for name, value in refined.items()}
    for source in SOURCES[1:]:
        figures[f"{source} F-score ratio"] = figures[f"{source} F-score"] / figures["truth F-score"]
    return figures


def distinct(path: Float[Tensor, "T 4 4"]) -> Float[Tensor, "K 4 4"]:
    """The cameras that are APART from all before: a walker who waits or goes back shows nothing new."""
    chosen: list[int] = []
    centers = -(path[:, :3, :3].mT @ path[:, :3, 3:])[..., 0]
    for i in range(len(path)):
        metres = (centers[chosen] - centers[i]).norm(dim=-1)
        degrees = (path[chosen, 2, :3] @ path[i, 2, :3]).clamp(-1, 1).arccos().rad2deg()
        if bool(((metres > APART[0]) | (degrees > APART[1])).all()):
            chosen.append(i)
    return path[chosen]


def seen_surface(rooms, path: Float[Tensor, "T 4 4"]) -> Float[Tensor, "N 3"]:
    """Points of the surfaces that cameras along the path see, one in each CELL."""
    rig = RoomsRig(size=TRUTH_SIZE)
    points = torch.zeros(0, 3)
    for w2c in path:
        camera = rig.camera(w2c)
        depth = raycast(rooms, Camera(camera.K[None, None], camera.w2c[None, None], rig.size, rig.size)).depth[0, 0]
        origin, rays = camera.rays()
        points = thinned(torch.cat([points, (origin + depth[..., None] * rays)[depth > 0]]), CELL)
    return points


def thinned(points: Float[Tensor, "N 3"], cell: float) -> Float[Tensor, "M 3"]:
    """The first of the points in each cube of this many metres."""
    cube = (points / cell).floor().long()
    cube = cube - cube.amin(0)
    span = cube.amax(0) + 1
    key = (cube[:, 0] * span[1] + cube[:, 1]) * span[2] + cube[:, 2]
    order = key.argsort(stable=True)
    key = key[order]
    first = torch.ones_like(key, dtype=torch.bool)
    first[1:] = key[1:] != key[:-1]
    return points[order[first]]


def f_score(points: Float[Tensor, "N 3"], truth: Float[Tensor, "M 3"]) -> tuple[float, float, float]:
    """Harmonic mean, and the two shares: of points near the truth, and of the truth near points."""
    if not len(points):
        return 0.0, 0.0, 0.0
    precision, recall = (
        float((_distance(a, b) < NEAR_POINT).float().mean()) for a, b in ((points, truth), (truth, points))
    )
    return 2 * precision * recall / max(precision + recall, 1e-9), precision, recall


def _distance(some: Float[Tensor, "N 3"], others: Float[Tensor, "M 3"]) -> Float[Tensor, "K"]:
    """To the nearest of the others, from QUERIES of the points that are drawn at random."""
    chosen = torch.randperm(len(some), generator=torch.Generator().manual_seed(0))[:QUERIES]
    return torch.cat([torch.cdist(part, others).amin(1) for part in some[chosen].split(200)])


def _judge(made: Reconstruction, views: Sequence[View], surface: Float[Tensor, "N 3"]) -> dict[str, float]:
    truth = {view.image.data_ptr(): view for view in views}
    score, precision, recall = f_score(made.scene.gaussians.means, surface)
    ratios, known = [], 0
    for view in made.views:
        true = truth[view.image.data_ptr()].depth
        assert true is not None and view.depth is not None
        both = (true > 0) & (view.depth > 0)
        known += int((true > 0).sum())
        ratios.append(view.depth[both] / true[both])
    ratio = torch.cat(ratios)
    return {
        "F-score": score,
        "precision": precision,
        "recall": recall,
        "scale error": abs(float(ratio.median()) - 1),
        "depth coverage": len(ratio) / known,
        "depth within 5 %": float(((ratio - 1).abs() <= DEPTH_RIGHT).float().mean()),
    } | _pictures(made)


def _pictures(made: Reconstruction) -> dict[str, float]:
    """At the views kept out: PSNR in dB, and over the two guards."""
    quality, _ = assess(made.scene, made.held_out, made.views)
    warped = [psnr(_warped(made.views, view), view.image) for view in made.held_out]
    return {
        "held-out PSNR": quality.psnr,
        "held-out coverage": quality.coverage,
        "dB over nearest view": quality.psnr - quality.nearest_psnr,
        "dB over nearest-view warp": quality.psnr - sum(warped) / len(warped),
    }


def _warped(own: Sequence[View], target: View) -> Float[Tensor, "H W 3"]:
    nearest = min(own, key=lambda view: _away(view, target))
    image, covered = warp([nearest], target)
    if not bool(covered.any()):
        return nearest.image
    return torch.stack([filled(channel, covered) for channel in image.unbind(-1)], dim=-1)


if __name__ == "__main__":
    for key, value in measure(size=int(sys.argv[1]) if len(sys.argv) > 1 else SIZE).items():
        print(f"{key:60} {value:.3f}", flush=True)
