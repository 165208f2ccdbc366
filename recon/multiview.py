"""Depth from posed views by plane sweep: earlier views are warped onto planes of constant depth and compared.

Collins, "A space-sweep approach to true multi-image matching" (CVPR 1996), with zero-mean normalised
cross-correlation. Plain torch, on the device of the views.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import grid_sample

from .view import DepthContext, View

NEAR, FAR = 0.3, 15.0  # metres, the swept range
MAX_SOURCES = 3
PLANE_STEP = 0.75  # pixels of parallax between neighbouring planes
MAX_PLANES = 64
LEAST_PARALLAX = 0.75  # pixels at 1 m of depth (or at the recalled depth): less gives no depth
LARGEST_TURN = 45.0  # degrees between optical axes
WINDOW = 5
TEXTURE_FLOOR = 0.008  # contrast (standard deviation in 0..1) at which texture is trusted by half
CHUNK = 4_000_000  # pixels times planes that are warped at a time


def multiview_depth(
    views: Sequence[View],
    context: DepthContext | None = None,
    *,
    near: float = NEAR,
    far: float = FAR,
) -> tuple[Float[Tensor, "H W"], Float[Tensor, "H W"]]:
    """Depth [H, W] in metres (0 = none) and confidence [H, W] in 0..1 of the newest view, from earlier ones.

    Earlier views are views[:-1] and context.views, with known cameras of any size. Never reads View.depth.
    When none has a baseline (the camera only turned, or there is one view), depth and confidence are 0
    everywhere.
    Raises ValueError when there is no view or the range is not 0 < near < far.
    """
    if not views:
        raise ValueError("depth source 'multiview' needs at least one view; got none.")
    if not 0 < near < far < math.inf:
        raise ValueError(f"multiview needs 0 < near < far metres; got near {near}, far {far}.")
    view = views[-1]
    earlier = [*(context.views if context else ()), *views[:-1]]
    typical = 1.0
    if context is not None and context.recalled_depth is not None:
        known = context.recalled_depth[context.recalled_depth > 0]
        typical = float(known.median()) if known.numel() else typical
    sources = _with_baseline(view, earlier, typical)
    none = torch.zeros_like(view.image[..., 0])
    if not sources:
        return none, none.clone()

    widest = max(_parallax(view, source, 1.0) for source in sources)
    planes = int(min(MAX_PLANES, max(16, math.ceil(widest * (1 / near - 1 / far) / PLANE_STEP))))
    inverse = torch.linspace(1 / far, 1 / near, planes, device=none.device, dtype=none.dtype)
    scores = [_scores(view, source, inverse) for source in sources]
    score = _best_half(torch.stack([s for s, _ in scores]), torch.stack([i for _, i in scores]))
    return _winner(view, score, inverse, widest)


def _with_baseline(view: View, earlier: list[View], typical: float) -> list[View]:
    """At most MAX_SOURCES earlier views that look the same way from elsewhere, the most parallax first."""
    axis = view.camera.w2c[2, :3]
    ranked: list[tuple[float, int]] = []
    for position, source in enumerate(earlier):
        turn = float(torch.dot(axis, source.camera.w2c[2, :3]).clamp(-1, 1).arccos()) * 180 / math.pi
        parallax = _parallax(view, source, typical)
        if turn <= LARGEST_TURN and parallax >= LEAST_PARALLAX:
            # beyond a quarter of the image the overlap shrinks faster than the precision grows
            ranked.append((min(parallax, view.width / 4), position))
    return [earlier[position] for _, position in sorted(ranked, reverse=True)[:MAX_SOURCES]]


def _parallax(view: View, source: View, depth: float) -> float:
    """Pixels by which a point at this depth moves, at most, because of the distance between the cameras."""
    baseline = float((view.camera.center - source.camera.center).norm())
    return float(source.camera.K[0, 0]) * baseline / depth


def _scores(
    view: View, source: View, inverse: Float[Tensor, "P"]
) -> tuple[Float[Tensor, "P H W"], Bool[Tensor, "P H W"]]:
    """ZNCC in -1..1 of the view with the source warped onto each plane; where the warp falls inside it."""
    camera, other = view.camera, source.camera
    source_from_view = other.w2c @ camera.c2w
    _, rays = camera.rays()
    rays = rays @ camera.w2c[:3, :3].T
    turned = rays @ (other.K @ source_from_view[:3, :3]).T
    moved = other.K @ source_from_view[:3, 3]
    image, size = source.image.mean(-1)[None], turned.new_tensor([other.width, other.height])
    reference = view.image.mean(-1)[None, None]
    rows = max(1, CHUNK // (view.width * view.height))
    scores, insides = [], []
    for planes in inverse.split(rows):
        projected = turned + planes[:, None, None, None] * moved
        depth = projected[..., 2:]
        grid = 2 * projected[..., :2] / depth.clamp(min=1e-6) / size - 1
        inside = (grid.abs() <= 1).all(-1) & (depth[..., 0] > 1e-6)
        warped = grid_sample(image.expand(len(planes), -1, -1, -1), grid, padding_mode="border", align_corners=False)
        scores.append(_zncc(reference, warped))
        insides.append(inside)
    return torch.cat(scores), torch.cat(insides)


def _zncc(a: Float[Tensor, "1 C H W"], b: Float[Tensor, "P C H W"]) -> Float[Tensor, "P H W"]:
    """Zero-mean normalised cross-correlation over windows, all channels together."""
    mean_a, mean_b = _box(a), _box(b)
    # channels are summed before the window, which costs one box filter instead of one for each channel
    covariance = _box((a * b).sum(1, keepdim=True))[:, 0] - (mean_a * mean_b).sum(1)
    variance_a = _box((a * a).sum(1, keepdim=True))[:, 0] - (mean_a * mean_a).sum(1)
    variance_b = _box((b * b).sum(1, keepdim=True))[:, 0] - (mean_b * mean_b).sum(1)
    return covariance / (variance_a.clamp(min=0) * variance_b.clamp(min=0) + 1e-10).sqrt()


def _box(values: Float[Tensor, "P C H W"], window: int = WINDOW) -> Float[Tensor, "P C H W"]:
    """Mean over a window, of what lies inside the image."""
    rows = _running_sum(values, window, axis=-2)
    total = _running_sum(rows, window, axis=-1)
    ones = torch.ones_like(values[:1, :1])
    return total / _running_sum(_running_sum(ones, window, axis=-2), window, axis=-1)


def _running_sum(values: Tensor, window: int, axis: int) -> Tensor:
    total = values.clone()
    size = values.shape[axis]
    for shift in range(1, min(window // 2, size - 1) + 1):
        total.narrow(axis, shift, size - shift).add_(values.narrow(axis, 0, size - shift))
        total.narrow(axis, 0, size - shift).add_(values.narrow(axis, shift, size - shift))
    return total


def _best_half(scores: Float[Tensor, "S P H W"], inside: Bool[Tensor, "S P H W"]) -> Float[Tensor, "P H W"]:
    """Mean over the better half of the sources (the others may not see the point); -1 where none does."""
    scores = torch.where(inside, scores, -torch.ones_like(scores))
    half = (len(scores) + 1) // 2
    return scores.topk(half, dim=0).values.mean(0)


def _winner(
    view: View, score: Float[Tensor, "P H W"], inverse: Float[Tensor, "P"], parallax_at_1m: float
) -> tuple[Float[Tensor, "H W"], Float[Tensor, "H W"]]:
    planes = len(inverse)
    smooth = _box(score[:, None], 3)[:, 0]
    best = smooth.argmax(0, keepdim=True)
    middle = best.clamp(1, planes - 2)
    below, peak, above = (smooth.gather(0, middle + shift)[0] for shift in (-1, 0, 1))
    # vertex of the parabola through the best plane and its neighbours
    curvature = (below - 2 * peak + above).clamp(max=-1e-6)
    offset = (0.5 * (below - above) / curvature).clamp(-1, 1)
    step = inverse[1] - inverse[0]
    depth = 1 / (inverse[middle[0]] + offset * step).clamp(min=float(inverse[0]) / 2)

    top = smooth.gather(0, best)[0]
    index = torch.arange(planes, device=score.device)[:, None, None]
    rival = torch.where((index - best).abs() <= 2, -torch.ones_like(smooth), smooth).amax(0)
    unique = ((top - rival) / 0.1).clamp(0, 1)
    similar = ((top - 0.5) / 0.4).clamp(0, 1)
    grey = view.image.mean(-1)[None, None]
    contrast = (_box(grey * grey) - _box(grey) ** 2).clamp(min=0)[0, 0]
    # below half a grey level it is quantisation
    texture = (contrast - (0.5 / 255) ** 2).clamp(min=0)
    texture = texture / (texture + TEXTURE_FLOOR**2)
    precise = parallax_at_1m / depth
    confidence = similar * unique * texture * precise / (precise + 0.5)
    # the end planes are where everything beyond the range piles up
    ends = (best[0] == 0) | (best[0] == planes - 1)
    valid = (confidence >= 0.05) & ~ends
    zero = torch.zeros_like(depth)
    return torch.where(valid, depth, zero), torch.where(valid, confidence, zero)
