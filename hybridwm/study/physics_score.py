"""Does it move as things do? A rollout against the simulator, in units of the simulator's own two takes (row 20).

After Physics-IQ (Motamed et al. 2025): where things move, where and when, how much, and the pixels themselves; each is
divided by what a second true take with a slightly different start reaches. The camera stands still, and a thing is what
differs from the empty scene (the plate).
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

MOVES = 24 / 255  # in some channel, from the plate
GRAVITY = 9.81  # m/s²
SPAN = 3  # frames, over which speeds are taken
SMALLEST = 6  # pixels of a thing that can be tracked


def moving_mask(frames: Float[Tensor, "T H W 3"], plate: Float[Tensor, "H W 3"]) -> Bool[Tensor, "T H W"]:
    """The pixels that differ from the empty scene by more than 24/255 in some channel."""
    return (frames - plate).abs().amax(-1) > MOVES


def similarities(frames: Float[Tensor, "T H W 3"], take: Float[Tensor, "T H W 3"], plate: Float[Tensor, "H W 3"]
                 ) -> tuple[float, float, float, float]:  # fmt: skip
    """(spatial IoU, spatiotemporal IoU, weighted spatial IoU, mean squared error) of moving pixels.

    Spatial: of the pixels that move at any time. Spatiotemporal: over all pixels of all frames. Weighted: Σ min / Σ max
    of how often each pixel moves. The error is over the pixels that move in either.
    """
    a, b = moving_mask(frames, plate), moving_mask(take, plate)
    often = torch.stack([a.float().mean(0), b.float().mean(0)])
    either = a | b
    error = float((frames - take)[either].double().square().mean()) if bool(either.any()) else 0.0
    return (
        _ratio(int((a.any(0) & b.any(0)).sum()), int((a.any(0) | b.any(0)).sum())),
        _ratio(int((a & b).sum()), int(either.sum())),
        _ratio(float(often.amin(0).sum()), float(often.amax(0).sum())),
        error,
    )


def physics_score(
    frames: Float[Tensor, "T H W 3"],
    take: Float[Tensor, "T H W 3"],
    second: Float[Tensor, "T H W 3"],
    plate: Float[Tensor, "H W 3"],
) -> float:
    """100 × mean over the four measures of (rollout against a take) / (second take against it), each at most 1.

    For the error the ratio is turned over. 100: no further from the take than the other true take is.
    """
    mine, other = similarities(frames, take, plate), similarities(second, take, plate)
    ratios = [m / o if o > 0 else 1.0 for m, o in zip(mine[:3], other[:3], strict=True)]
    ratios.append((other[3] + 1e-6) / (mine[3] + 1e-6))
    return 100 * sum(min(r, 1.0) for r in ratios) / 4


def energy(track: Float[Tensor, "T 3"], fps: float, floor: float = 0.0) -> Float[Tensor, "S"]:
    """J/kg from tracked centres (z up, metres): ½ v² + g (z − floor), over spans of SPAN frames."""
    track = track.double()
    height = track[:, 2].unfold(0, SPAN + 1, 1).mean(-1) - floor
    return ((track[SPAN:] - track[:-SPAN]).norm(dim=-1) * fps / SPAN).square() / 2 + GRAVITY * height


def energy_drift(track: Float[Tensor, "T 3"], truth: Float[Tensor, "T 3"], fps: float) -> float:
    """Mean |E − E_true| / the first E_true: 0 for a true track, however much energy bounces and friction take.

    Heights count from the truth's lowest; the track is moved so that its first point is the truth's.
    What hangs in the air keeps its energy: that is for `physics_score` to see.
    """
    floor = float(truth[:, 2].min())
    mine, true = energy(track - track[0] + truth[0], fps, floor), energy(truth, fps, floor)
    return float((mine - true).abs().mean() / true[0].clamp(min=1e-9))


def track_of(depth: Float[Tensor, "T H W"], mask: Bool[Tensor, "T H W"], w2c: Float[Tensor, "4 4"],
             K: Float[Tensor, "3 3"], radius: float | None = None) -> Float[Tensor, "T 3"]:  # fmt: skip
    """Where a thing is in each frame (world, metres), from the depth under its mask; nan where that is too little.

    With a `radius`, the centre of the ball that fits the surface best (Gauss-Newton on distance − radius); else the
    mean of the surface points, which lies nearer to the camera.
    """
    height, width = depth.shape[1:]
    v, u = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    rays = torch.stack([(u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1], torch.ones_like(u)], -1)
    points = ((depth[..., None] * rays - w2c[:3, 3]) @ w2c[:3, :3]).double()
    eye = (-w2c[:3, 3] @ w2c[:3, :3]).double()
    out = torch.full((len(depth), 3), math.nan, dtype=torch.float64)
    for t, on in enumerate(mask):
        if int(on.sum()) < SMALLEST:
            continue
        surface = points[t][on]
        centre = surface.mean(0)
        if radius is not None:
            centre = centre + 0.6 * radius * torch.nn.functional.normalize(centre - eye, dim=0)
            for _ in range(10):
                away = centre - surface
                far = away.norm(dim=-1, keepdim=True).clamp(min=1e-9)
                step = torch.linalg.lstsq(away / far, radius - far).solution[:, 0]
                centre = centre + step.clamp(-radius, radius)
        out[t] = centre
    return out.float()


def copy_on(context: Float[Tensor, "C H W 3"], count: int) -> Float[Tensor, "N H W 3"]:
    """Control: the last context frame, again and again."""
    return context[-1].expand(count, -1, -1, -1)


def coast_on(context: Float[Tensor, "C H W 3"], plate: Float[Tensor, "H W 3"], count: int) -> Float[Tensor, "N H W 3"]:
    """Control: what moved in the last two frames goes on across the image at that speed (pixels a frame)."""
    masks = moving_mask(context[-2:], plate)
    if not bool(masks.flatten(1).any(1).all()):
        return copy_on(context, count)
    centres = [m.nonzero().double().mean(0) for m in masks]
    pace, thing = centres[1] - centres[0], masks[1].nonzero()
    out = plate.expand(count, -1, -1, -1).clone()
    for n in range(count):
        row, column = (thing + (pace * (n + 1)).round().long()).unbind(1)
        inside = (row >= 0) & (row < plate.shape[0]) & (column >= 0) & (column < plate.shape[1])
        out[n, row[inside], column[inside]] = context[-1][thing[inside, 0], thing[inside, 1]]
    return out


def nearest_clip(context: Float[Tensor, "C H W 3"], clips: Float[Tensor, "M T H W 3"]) -> Float[Tensor, "N H W 3"]:
    """Control: what came next in the training clip whose first frames are nearest to the context (mean square)."""
    size = len(context)
    return clips[int((clips[:, :size] - context).square().flatten(1).mean(1).argmin()), size:]


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 1.0
