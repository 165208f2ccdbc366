"""Whether the measured depth fits the cameras: points of one view are looked for in its neighbours.

A wrong focal length, baseline or depth scale moves every point along its ray, so depth multiplied by a factor fits the
images better than the depth itself; with wrong cameras no factor fits. What this cannot tell: depth that multiview
measured with the same wrong focal length, under motion that is sideways only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample

from render.camera import Camera
from render.geometry import project

from .lift import trusted_pixels
from .multiview_sources import choose_sources
from .view import View

FACTORS = tuple(1.08**k for k in range(-7, 8))  # of the depth
VIEWS, SOURCES, AROUND = 12, 2, 8  # views that are judged, neighbours of each, among so many before and after
POINTS, FEWEST = 2000, 200  # of a view; with fewer it is not judged
TEXTURED = 0.02  # contrast of a point that is looked for
CLIPPED = 0.15  # difference of grey beyond which a point counts as hidden
MOVED = 0.25  # pixels by which a tenth more depth must move the points, in the median, over the views together
BETTER = 0.8  # of the error with the depth as it is: what another factor must come down to
OFF = 1.1  # factors nearer to 1 are not told apart
UNRELATED = 0.75  # of the error of points exchanged among each other


@dataclass(frozen=True)
class ScaleStatus:
    """Whether depth and cameras belong together; if not, `reason` says what is wrong.

    numbers: pairs (of views that were compared), factor (of the depth, that fits best), error and error_at_factor
    (mean difference of grey), chance (that of unrelated points).
    """

    ok: bool
    reason: str = ""
    numbers: dict[str, float] = field(default_factory=dict)


@torch.no_grad()
def check_scale(views: Sequence[View]) -> ScaleStatus:
    """Looks at up to VIEWS of the measured views, in the order of their path. Fine where too little can be compared."""
    usable = [view for view in views if view.depth is not None and bool((view.depth > 0).any())]
    judged = [usable[i] for i in torch.linspace(0, len(usable) - 1, min(VIEWS, len(usable))).long().tolist()]
    places = {id(view): i for i, view in enumerate(usable)}
    rows = []
    for view in judged:
        i = places[id(view)]
        near = [*usable[max(0, i - AROUND) : i], *usable[i + 1 : i + 1 + AROUND]]
        assert view.depth is not None
        typical = float(view.depth[view.depth > 0].median())
        for j in choose_sources(view.camera, [other.camera for other in near], typical, SOURCES):
            row = _errors(view, near[j])
            if row is not None:
                rows.append(row)
    if not rows:
        return ScaleStatus(True)
    errors = torch.stack(rows).mean(0)
    own, chance, moved = float(errors[len(FACTORS) // 2]), float(errors[-2]), float(errors[-1])
    best = int(errors[: len(FACTORS)].argmin())
    factor, least = FACTORS[best], float(errors[best])
    numbers = {"pairs": float(len(rows)), "factor": factor, "error": own, "error_at_factor": least, "chance": chance}
    if moved < MOVED:
        return ScaleStatus(True, "", numbers)
    if least > UNRELATED * chance:
        reason = "wrong cameras: what a view shows is not where its depth and the cameras say in the others. Check the "
        return ScaleStatus(False, reason + "poses, their order, their axes and the focal length.", numbers)
    if max(factor, 1 / factor) > OFF and least < BETTER * own:
        reason = f"wrong calibration: depth times {factor:.2f} fits the images better than the depth itself. Check the "
        return ScaleStatus(False, reason + "focal length, the baseline and the units of depth and cameras.", numbers)
    return ScaleStatus(True, "", numbers)


def _errors(view: View, other: View) -> Float[Tensor, "E"] | None:
    """Of the view's points in the other one: the mean clipped difference of grey at each factor of the depth, that of
    points exchanged at random, and the pixels by which a tenth more depth moves them."""
    assert view.depth is not None
    grey, its = (avg_pool2d(v.image.mean(-1)[None, None], 3, 1, 1) for v in (view, other))
    contrast = torch.zeros_like(view.depth)
    contrast[:, 1:-1] = (grey[0, 0, :, 2:] - grey[0, 0, :, :-2]).abs()
    contrast[1:-1] = torch.maximum(contrast[1:-1], (grey[0, 0, 2:] - grey[0, 0, :-2]).abs())
    pixels = (trusted_pixels(view) & (contrast > TEXTURED)).flatten().nonzero().squeeze(1)
    if len(pixels) < FEWEST:
        return None
    pixels = pixels[torch.linspace(0, len(pixels) - 1, min(POINTS, len(pixels))).long()]
    origin, rays = view.camera.rays()
    rays, depth = rays.reshape(-1, 3)[pixels], view.depth.flatten()[pixels]
    factors = depth.new_tensor(FACTORS)
    points = origin + (factors[:, None] * depth)[..., None] * rays
    places, inside = _places(points, other.camera)
    inside = inside.all(0)
    if int(inside.sum()) < FEWEST:
        return None
    places, mine = places[:, inside], grey.flatten()[pixels][inside]
    size = places.new_tensor([other.width, other.height])
    found = grid_sample(its, (2 * places / size - 1)[None], padding_mode="border", align_corners=False)[0, 0]
    # each image's own mean apart: exposures differ
    difference = (found - found.mean(1, keepdim=True)) - (mine - mine.mean())
    errors = difference.abs().clamp(max=CLIPPED).mean(1)
    middle = found[len(FACTORS) // 2]
    half = (middle - middle.mean()).roll(len(middle) // 2) - (mine - mine.mean())
    chance = half.abs().clamp(max=CLIPPED).mean()
    one = len(FACTORS) // 2
    moved = (places[one + 1] - places[one]).norm(dim=-1).median() * 0.1 / (FACTORS[one + 1] - 1)
    return torch.cat([errors, chance[None], moved[None]])


def _places(points: Float[Tensor, "F N 3"], camera: Camera) -> tuple[Tensor, Tensor]:
    """Pixels [F, N, 2] and whether they lie in the image."""
    flat, depth = project(points.reshape(-1, 3), camera)
    size = flat.new_tensor([camera.width, camera.height])
    inside = (depth > 0) & (flat >= 1).all(-1) & (flat <= size - 1).all(-1)
    return flat.reshape(*points.shape[:2], 2), inside.reshape(points.shape[:2])
