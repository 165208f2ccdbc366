"""How true the scene is that a rollout leaves: depth, coverage, and F-score at 5 cm, at cameras with true depth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from recon.scene import GaussianScene
from render.camera import Camera
from render.geometry import unproject
from render.rasterize import rasterize

COVERED = 0.5  # alpha
CLOSE = 0.05  # metres (Knapitsch et al., Tanks and Temples, 2017: F-score)
MOST_CAMERAS = 8  # spread evenly over those given
MOST_POINTS = 3000  # of each cloud that look for a neighbour, spread evenly over it


@dataclass(frozen=True)
class SceneScore:
    """depth_error: median |rendered / true - 1| over covered pixels; nan where none is. coverage: share of the pixels
    with true depth that are covered. f_score: harmonic mean of the share of the scene's points that are within 5 cm of
    the truth and the share of true points that are within 5 cm of the scene; 0 for an empty scene."""

    depth_error: float
    coverage: float
    f_score: float


@torch.no_grad()
def score_scene(
    scene: GaussianScene, cameras: Sequence[Camera], depths: Float[Tensor, "T H W"], most_cameras: int = MOST_CAMERAS
) -> SceneScore:
    """Against the true depth (metres, 0 = none) at cameras of one size. Points are those of the rendered depth, so what
    nobody sees does not count; each looks for its neighbour among all points of the other cloud that are in the same or
    the next cell of 5 cm. Raises ValueError for no cameras, or other numbers of them and of depths."""
    if not cameras or len(cameras) != len(depths):
        raise ValueError(f"score_scene: expected a camera for each depth; got {len(cameras)} and {len(depths)}")
    chosen = torch.linspace(0, len(cameras) - 1, min(most_cameras, len(cameras))).round().long().tolist()
    true_depth = depths[chosen]
    camera = Camera.stack([cameras[i] for i in chosen])
    if len(scene) == 0:
        return SceneScore(math.nan, 0.0, 0.0)
    renders = [rasterize(scene.gaussians, cameras[i]) for i in chosen]
    alpha, depth = torch.stack([r.alpha for r in renders]), torch.stack([r.depth for r in renders])
    measured = true_depth > 0
    covered = (alpha > COVERED) & (depth > 0) & measured
    error = (depth[covered] / true_depth[covered] - 1).abs()
    found, true = unproject(depth, camera)[covered], unproject(true_depth, camera)[measured]
    precision, recall = (float(near(a, b).float().mean()) if len(a) else 0.0 for a, b in ((found, true), (true, found)))
    return SceneScore(
        float(error.median()) if len(error) else math.nan,
        float(covered.sum() / measured.sum().clamp(min=1)),
        2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0,
    )


def near(
    points: Float[Tensor, "N 3"], others: Float[Tensor, "M 3"], within: float = CLOSE, most: int = MOST_POINTS
) -> Bool[Tensor, " K"]:
    """Whether each of (at most `most`, evenly chosen) points has another one within so many metres."""
    if len(points) > most:
        points = points[torch.linspace(0, len(points) - 1, most).round().long()]
    if not len(points) or not len(others):
        return torch.zeros(len(points), dtype=torch.bool)
    origin = torch.minimum(points.amin(0), others.amin(0)) - within
    cell, home = ((others - origin) / within).long(), ((points - origin) / within).long()
    size = torch.maximum(cell.amax(0), home.amax(0)) + 2
    key, order = ((cell[:, 0] * size[1] + cell[:, 1]) * size[2] + cell[:, 2]).sort()
    others = others[order]
    is_near = torch.zeros(len(points), dtype=torch.bool)
    steps = torch.cartesian_prod(*[torch.arange(-1, 2)] * 2)
    for x, y in steps.tolist():
        # three cells along z are next to each other in the order
        column = ((home[:, 0] + x) * size[1] + home[:, 1] + y) * size[2] + home[:, 2]
        first, last = torch.searchsorted(key, column - 1), torch.searchsorted(key, column + 1, right=True)
        for offset in range(int((last - first).max())):
            at = first + offset
            some = (at < last) & ~is_near
            if not bool(some.any()):
                break
            is_near[some] = (others[at[some]] - points[some]).norm(dim=1) <= within
    return is_near
