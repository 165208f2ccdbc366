"""The range of depths that posed views show, in the units of their cameras: structure from motion has no metres.

Keypoints are matched between views and triangulated with the cameras as given.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from render.geometry import project
from render.transforms import invert_rigid

from .features import Features, find_features, match_features
from .view import View, resize_view

VIEWS, AHEAD = 12, (1, 3)  # views that are looked at, evenly; and which ones after each it is compared with
WIDEST, KEYPOINTS = 640, 2000  # pixels of width at which keypoints are looked for, and how many
LEAST_ANGLE = 1.0  # degrees between the rays to a point: less tells no depth
NEAR_RAY = 1.5  # pixels, at that width, between a keypoint and its point seen again
FEWEST = 40  # points; with less nothing is said
TAILS, SLACK = (0.02, 0.98), 2.0  # quantiles of the depths, and how far the range goes beyond
DEEPEST = 15.0  # of the median depth, or the median over it, that the range reaches: wrong matches lie anywhere


@torch.no_grad()
def depth_range(views: Sequence[View], usual: tuple[float, float]) -> tuple[float, float]:
    """The nearest and farthest depth to look for: `usual`, unless a quarter of the points that the views share lie
    nearer or farther; then what holds them, with slack.

    views: in the order of the path, with known cameras; NaN in an image counts as no texture. Never reads View.depth.
    """
    step = max(1, len(views) // VIEWS)
    chosen = [_small(view) for view in views[::step]]
    found = [find_features(view.image, KEYPOINTS) for view in chosen]
    depths = [
        _depths(chosen[i], chosen[i + ahead], found[i], found[i + ahead])
        for i in range(len(chosen))
        for ahead in AHEAD
        if i + ahead < len(chosen)
    ]
    known = torch.cat(depths) if depths else torch.zeros(0)
    if len(known) < FEWEST:
        return usual
    low, quarter, median, three, high = known.quantile(known.new_tensor([TAILS[0], 0.25, 0.5, 0.75, TAILS[1]])).tolist()
    if usual[0] <= quarter and three <= usual[1]:
        return usual
    return max(low / SLACK, median / DEEPEST), min(high * SLACK, median * DEEPEST)


def _small(view: View) -> View:
    width = min(view.width, WIDEST)
    bare = View(view.image.nan_to_num(0.0, 0.0, 0.0).cpu(), view.camera.to("cpu"))
    return resize_view(bare, width, max(1, round(view.height * width / view.width)))


def _depths(a: View, b: View, found_a: Features, found_b: Features) -> Float[Tensor, "N"]:
    """Depths in both views of the points that they share."""
    pairs = match_features(found_a, found_b)
    pixels = [found_a.pixels[pairs[:, 0]], found_b.pixels[pairs[:, 1]]]
    centers, rays = [], []
    for view, uv in zip((a, b), pixels, strict=True):
        K, c2w = view.camera.K.double(), invert_rigid(view.camera.w2c.double())
        local = torch.cat([(uv - K[:2, 2]) / K[[0, 1], [0, 1]], torch.ones_like(uv[:, :1])], dim=1)
        rays.append(torch.nn.functional.normalize(local @ c2w[:3, :3].T, dim=1))
        centers.append(c2w[:3, 3])
    # the middle of the shortest line between two rays
    between, cosine = centers[1] - centers[0], (rays[0] * rays[1]).sum(1)
    along = torch.stack([rays[0] @ between, rays[1] @ between])
    sine2 = (1 - cosine**2).clamp(min=1e-12)
    s = (along[0] - cosine * along[1]) / sine2
    t = (cosine * along[0] - along[1]) / sine2
    points = 0.5 * (centers[0] + s[:, None] * rays[0] + centers[1] + t[:, None] * rays[1])
    good = sine2.sqrt() >= torch.sin(torch.deg2rad(sine2.new_tensor(LEAST_ANGLE)))
    depths = []
    for view, uv in zip((a, b), pixels, strict=True):
        again, z = project(points.float(), view.camera)
        good = good & (z > 0) & ((again - uv).norm(dim=1) < NEAR_RAY)
        depths.append(z)
    return torch.cat([z[good] for z in depths])
