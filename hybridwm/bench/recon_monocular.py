"""Depth from one image by the packaged network: in held-out rooms, in scenes made of it, and on a recorded sequence.

`python -m hybridwm.bench.recon_monocular [DATA]` prints the figures of measure().
abs_rel: mean of |depth - true| over true; median: the median of the same; delta_1.25: the share within a factor of
1.25; within_10: the share within 10 %, which is what confidence is the chance of: its bins show whether that holds.
"alone": at the network's word; "half known": true depth of the left half is known, and the right half judged; "plane
sweep": aligned to what earlier views of a walk tell. Beside it the best constant depth, which sees every truth, and the
network's depth of another image. "scene F-score ratio": of the scene that a walk gives by this depth over that by true
depth.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

import torch
from jaxtyping import Float
from torch import Tensor

from recon import DepthContext, GaussianScene, View, depth_source
from recon.dynamic_gate import without_moving
from recon.fuse import fuse
from recon.readers import read_captured
from render import Camera, rasterize

from ..training.depth.monocular_config import SightsConfig
from ..training.depth.monocular_sights import Sights, make_sights
from ..worlds.collection import walk_rooms
from ..worlds.rooms.rig import RoomsRig
from .recon_rooms import f_score

HELD_OUT = 10_000_000
ROOMS = 32  # held out, some images of each
WALKS, FRAMES = 6, 24
EARLIER = 4  # views, as many as a world model keeps
BINS = (0.0, 0.3, 0.5, 0.7, 0.85, 1.0001)  # edges of confidence
RECORDED, MOST_VIEWS = "hololens000_a", 24

Measured = tuple[Float[Tensor, "H W"], Float[Tensor, "H W"]]


def measure(
    data_folder: str | Path | None = None, first_seed: int = HELD_OUT, rooms: int = ROOMS, walks: int = WALKS
) -> dict[str, float]:
    """Figures by name; the recorded sequence only where the folder holds it."""
    figures = in_rooms(first_seed, rooms) | along_walks(first_seed, walks)
    if data_folder is not None and (Path(data_folder) / "multiview" / RECORDED).is_dir():
        figures |= recorded(Path(data_folder) / "multiview" / RECORDED)
    return figures | {"milliseconds at 64 x 64, one thread": milliseconds(first_seed)}


def in_rooms(first_seed: int = HELD_OUT, rooms: int = ROOMS) -> dict[str, float]:
    """Single images by cameras of many kinds."""
    source = depth_source("monocular")
    views = views_of(make_sights(list(range(first_seed, first_seed + rooms)), SightsConfig(), 64))
    truths = [_true(view) for view in views]
    blind = [replace(view, depth=None) for view in views]
    alone = [source([view]) for view in blind]
    right_half = [torch.where(torch.arange(t.shape[1]) >= t.shape[1] // 2, t, 0.0) for t in truths]
    known = [source([v], DepthContext((), t - r)) for v, t, r in zip(blind, truths, right_half, strict=True)]
    best = torch.cat([truth.flatten() for truth in truths]).median()
    constant = [(torch.full_like(truth, float(best)), torch.ones_like(truth)) for truth in truths]
    other = alone[1:] + alone[:1]
    figures = {}
    for name, found, judged in (
        ("alone", alone, truths),
        ("alone, right half", alone, right_half),
        ("half known, right half", known, right_half),
        ("guard: best constant", constant, truths),
        ("control: depth of another image", other, truths),
    ):
        figures |= {f"rooms, {name}: {key}": value for key, value in errors(found, judged).items()}
    for name, found, judged in (("alone", alone, truths), ("half known", known, right_half)):
        figures |= {f"rooms, {name}: {key}": value for key, value in reliability(found, judged).items()}
    return figures


def along_walks(first_seed: int = HELD_OUT, walks: int = WALKS) -> dict[str, float]:
    """Walks: alignment by plane sweep, and the scenes that depth from one image gives."""
    source = depth_source("monocular")
    ratios, alone, aligned, truths = [], [], [], []
    for episode in walk_rooms(list(range(first_seed, first_seed + walks)), FRAMES, RoomsRig()):
        views = [replace(view, right=None, baseline=None) for view in episode.views()]
        blind = [replace(view, depth=None) for view in views]
        late = range(EARLIER, FRAMES, 3)
        truths += [_true(views[i]) for i in late]
        alone += [source([blind[i]]) for i in late]
        aligned += [source(blind[i - EARLIER : i + 1]) for i in late]
        every = torch.cat([_points(view) for view in views])
        by_truth = f_score(scene_of(views, depth_source("truth")).gaussians.means, every)[0]
        by_one = f_score(scene_of(views, source).gaussians.means, every)[0]
        ratios.append(by_one / by_truth)
    figures = {"walks, scene F-score ratio": sum(ratios) / len(ratios), "walks, worst scene F-score ratio": min(ratios)}
    for name, found in (("alone", alone), ("plane sweep", aligned)):
        figures |= {f"walks, {name}: {key}": value for key, value in errors(found, truths).items()}
    return figures


def recorded(folder: Path) -> dict[str, float]:
    """A real sequence, of a kind that the network has never seen."""
    source = depth_source("monocular")
    views = [replace(v, right=None, baseline=None) for v in read_captured(folder, max_views=MOST_VIEWS).views]
    truths, blind = [_true(view) for view in views], [replace(view, depth=None) for view in views]
    alone = [source([view]) for view in blind]
    aligned = [source(blind[max(0, i - EARLIER) : i + 1]) for i in range(len(blind))]
    known = torch.cat([truth[truth > 0] for truth in truths])
    constant = [(torch.full_like(truth, float(known.median())), torch.ones_like(truth)) for truth in truths]
    figures = {}
    for name, found in (("alone", alone), ("plane sweep", aligned), ("guard: best constant", constant)):
        figures |= {f"{folder.name}, {name}: {key}": value for key, value in errors(found, truths).items()}
    for name, found in (("alone", alone), ("plane sweep", aligned)):
        figures |= {f"{folder.name}, {name}: {key}": value for key, value in reliability(found, truths).items()}
    return figures


def errors(found: Sequence[Measured], truths: Sequence[Float[Tensor, "H W"]]) -> dict[str, float]:
    """abs_rel, median, delta_1.25 and within_10 of the pixels that have depth, and which share of them was measured."""
    pairs = [
        (depth[(truth > 0) & (depth > 0)], truth[(truth > 0) & (depth > 0)])
        for (depth, _), truth in zip(found, truths, strict=True)
    ]
    depth, truth = (torch.cat(parts) for parts in zip(*pairs, strict=True))
    if not len(truth):
        return {"coverage": 0.0}
    error = (depth - truth).abs() / truth
    return {
        "coverage": len(truth) / sum(int((one > 0).sum()) for one in truths),
        "abs_rel": float(error.mean()),
        "median": float(error.median()),
        "delta_1.25": float((torch.maximum(depth / truth, truth / depth) < 1.25).float().mean()),
        "within_10": float((error <= 0.1).float().mean()),
    }


def reliability(found: Sequence[Measured], truths: Sequence[Float[Tensor, "H W"]]) -> dict[str, float]:
    """The share within 10 % in each bin of confidence."""
    sure = torch.cat([c[(t > 0) & (d > 0)] for (d, c), t in zip(found, truths, strict=True)])
    right = torch.cat([((d - t).abs() <= 0.1 * t)[(t > 0) & (d > 0)] for (d, _), t in zip(found, truths, strict=True)])
    figures = {}
    for low, high in zip(BINS[:-1], BINS[1:], strict=True):
        inside = (sure >= low) & (sure < high)
        if int(inside.sum()) >= 200:
            name = f"confidence {low:.2f} to {min(high, 1):.2f}"
            figures[f"{name}: mean confidence"] = float(sure[inside].mean())
            figures[f"{name}: share within 10 %"] = float(right[inside].float().mean())
    return figures


def scene_of(views: Sequence[View], source: Callable[..., Measured]) -> GaussianScene:
    """The scene of a walk, each view measured with what the scene recalls of it, as a world model does."""
    scene, earlier = GaussianScene.empty(), []
    for step, view in enumerate(views):
        recalled = rasterize(scene.with_observed_share(), view.camera) if len(scene) else None
        depth, confidence = source([view], DepthContext(tuple(earlier), recalled.depth if recalled else None))
        measured = without_moving(replace(view, depth=depth, confidence=confidence), recalled, earlier)
        scene = fuse(scene, measured, observed=True, step=step, recalled=recalled)
        earlier = [*earlier, measured][-EARLIER:]
    return scene


def milliseconds(seed: int = HELD_OUT, repeats: int = 40) -> float:
    """Median time of the source for one image without context."""
    source = depth_source("monocular")
    view = views_of(make_sights([seed], SightsConfig(images=1), 64))[0]
    threads, spent = torch.get_num_threads(), []
    torch.set_num_threads(1)
    try:
        for _ in range(repeats):
            begun = time.perf_counter()
            source([view])
            spent.append(1000 * (time.perf_counter() - begun))
    finally:
        torch.set_num_threads(threads)
    return median(spent)


def views_of(sights: Sights) -> list[View]:
    """Each image as a view with true depth; all cameras at the origin, since one image has no place."""
    views = []
    for i in range(len(sights)):
        height, width = sights.rgb.shape[1:3]
        K = torch.eye(3)
        K[0, 0] = K[1, 1] = sights.focal[i]
        K[:2, 2] = sights.principal[i]
        views.append(View(sights.rgb[i].float() / 255, Camera(K, torch.eye(4), width, height), sights.depth[i].float()))
    return views


def _true(view: View) -> Float[Tensor, "H W"]:
    assert view.depth is not None
    return view.depth


def _points(view: View) -> Float[Tensor, "N 3"]:
    origin, rays = view.camera.rays()
    depth = _true(view)
    return (origin + depth[..., None] * rays)[depth > 0]


if __name__ == "__main__":
    for line, figure in measure(sys.argv[1] if len(sys.argv) > 1 else None).items():
        print(f"{figure:10.4f}  {line}", flush=True)
