"""Recalled renders for training: batched z-buffered point splatting, on the device that trains.

A stand-in for rendering the real scene (stereo, lift, fuse, rasterize), some hundred times cheaper; how far it is
from the real renders is measured by `hybridwm.training.recall_gap`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from ..core.conditioning import recall_channels
from .config import RecallConfig

BLUR = 0.22
"""Side weight of the 3-tap kernel that brings point splats nearest to the real scene's renders (measured)."""


@dataclass(frozen=True)
class Sources:
    """Past frames whose pixels memory holds. depth 0 is no measurement; observed is 1 for measured frames."""

    rgb: Float[Tensor, "B S H W 3"]
    depth: Float[Tensor, "B S H W"]
    observed: Float[Tensor, "B S"]
    w2c: Float[Tensor, "B S 4 4"]


def _blocks(shape: torch.Size, cell: int, share: float, generator: torch.Generator) -> Bool[Tensor, "B S H W"]:
    """Random cell-sized blocks that cover about `share` of each frame."""
    b, s, h, w = shape
    coarse = torch.rand(b * s, 1, -(-h // cell), -(-w // cell), generator=generator, device=generator.device)
    mask = F.interpolate((coarse < share).float(), scale_factor=cell)[:, 0, :h, :w]
    return mask.view(b, s, h, w) > 0


def corrupt(sources: Sources, config: RecallConfig, focal_baseline: float, generator: torch.Generator) -> Sources:
    """Stereo-like depth errors (noise in disparity, floaters, holes); imagined frames also blurred and off-colour."""
    device, depth = generator.device, sources.depth
    b, s = depth.shape[:2]

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, device=device)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, device=device)

    disparity = focal_baseline / depth.clamp(min=1e-3)
    # matching errors are shared by neighbouring pixels: half of the variance is smooth
    smooth = F.interpolate(normal(b * s, 1, *(x // 4 for x in depth.shape[2:])), scale_factor=4.0, mode="bilinear")
    error = 0.4 * normal(*depth.shape) + 0.9 * smooth.view(depth.shape)
    # how good stereo is differs from scene to scene
    sigma = config.disparity_noise * 2 * uniform(b, 1, 1, 1)
    disparity = (disparity + sigma * error).clamp(min=0.5)
    noisy = focal_baseline / disparity
    floater = uniform(*depth.shape) < config.outliers * 2 * uniform(b, 1, 1, 1)
    noisy = torch.where(floater, noisy * (0.4 + 1.2 * uniform(*depth.shape)), noisy)
    hole = _blocks(depth.shape, 4, config.holes, generator) | (uniform(*depth.shape) < config.holes / 2)
    noisy = torch.where(hole | (depth <= 0), 0.0, noisy)

    rgb = sources.rgb
    if config.wrong:
        # in half of the clips, so that a clean scene is still taken at its word
        share = config.wrong * uniform(b, 1, 1, 1) * (uniform(b, 1, 1, 1) < 0.5)
        wrong = uniform(*depth.shape) < share
        noisy = torch.where(wrong, 0.3 + 4.0 * uniform(*depth.shape), noisy)
        other = torch.randperm(depth[0].numel(), generator=generator, device=device)
        shuffled = rgb.flatten(1, 3)[:, other].view(rgb.shape)
        rgb = torch.where(wrong[..., None], shuffled, rgb)
    flat = rgb.flatten(0, 1).movedim(-1, 1)
    soft = F.avg_pool2d(F.pad(flat, (2, 2, 2, 2), mode="replicate"), 5, 1).movedim(1, -1).view(rgb.shape)
    imagined = 1 - sources.observed[..., None, None, None]
    blur = imagined * uniform(b, s, 1, 1, 1)
    tint = 1 + imagined * 0.05 * normal(b, s, 1, 1, 3)
    rgb = ((rgb + blur * (soft - rgb)) * tint).clamp(0, 1)
    return Sources(rgb, noisy, sources.observed, sources.w2c)


def splat(
    sources: Sources,
    known: Bool[Tensor, "B F S"],
    K: Float[Tensor, "3 3"],
    w2c: Float[Tensor, "B F E 4 4"],
    *,
    depth: bool = False,
) -> Float[Tensor, "B F r H W"]:
    """What each eye E of each frame F sees of the sources it knows: nearest point per pixel, small gaps closed.

    Returns the core's recall channels; depth: those of an rgb-d core.
    """
    b, s, h, w = sources.depth.shape
    f, e = w2c.shape[1:3]
    device = w2c.device
    v, u = torch.meshgrid(torch.arange(h, device=device) + 0.5, torch.arange(w, device=device) + 0.5, indexing="ij")
    rays = torch.stack([u, v, torch.ones_like(u)], -1) @ torch.linalg.inv(K).T
    in_source = rays * sources.depth[..., None]
    # target_from_source = target_from_world @ world_from_source
    world_from_source = torch.linalg.inv(sources.w2c)
    target_from_source = w2c[:, :, :, None] @ world_from_source[:, None, None]
    P = K @ target_from_source[..., :3, :]
    points = in_source.flatten(2, 3)[:, None, None] @ P[..., :3].mT + P[..., None, :, 3]
    z = points[..., 2]
    column = (points[..., 0] / z.clamp(min=1e-3)).floor()
    row = (points[..., 1] / z.clamp(min=1e-3)).floor()
    valid = (sources.depth.flatten(2)[:, None, None] > 0) & known[:, :, None, :, None]
    inside = valid & (z > 0.05) & (column >= 0) & (column < w) & (row >= 0) & (row < h)

    # one scatter finds the point of each pixel: depth in the high bits, the point's index in the low ones. Within 6 %
    # of depth, points are one surface and the oldest source wins, observed before imagined, as fusion has it
    points_each = s * h * w
    index = torch.arange(points_each, device=device).view(1, 1, 1, s, h * w)
    imagined = (sources.observed < 0.5).long()[:, None, None, :, None]
    layer = (z.clamp(min=0.05).log() / 0.06 + 64).long()
    key = (layer * 2 + imagined) * 2**32 + index
    blank = torch.iinfo(torch.int64).max
    pixel = torch.where(inside, row.long() * w + column.long(), h * w)
    image = torch.full((b * f * e, h * w + 1), blank, device=device)
    image.scatter_reduce_(1, pixel.view(b * f * e, -1), key.view(b * f * e, -1), "amin")
    key_image = image[:, : h * w].view(-1, h, w)

    # Gaussians are wider than a pixel, and wider still from nearby: small gaps, and far points among near ones, take
    # the nearest of their neighbours
    for _ in range(2):
        padded = key_image.new_full((len(key_image), h + 2, w + 2), blank)  # F.pad would round the value
        padded[:, 1:-1, 1:-1] = key_image
        neighbours = torch.stack([padded[:, i : i + h, j : j + w] for i in range(3) for j in range(3)])
        nearest = neighbours.amin(0)
        near_count = ((neighbours >> 33) <= (nearest >> 33) + 2).sum(0)
        gap = (key_image == blank) & ((neighbours < blank).sum(0) >= 3)
        behind = ((key_image >> 33) > (nearest >> 33) + 2) & (near_count >= 5)
        key_image = torch.where(gap | behind, nearest, key_image)

    hit = (key_image < blank).view(b, f, e, h, w)
    point = (key_image & (2**32 - 1)).clamp(max=points_each - 1).view(b, -1)
    rgb = torch.gather(sources.rgb.reshape(b, -1, 3), 1, point[..., None].expand(-1, -1, 3))
    share = torch.gather(sources.observed[..., None].expand(-1, -1, h * w).reshape(b, -1), 1, point)
    alpha = hit.float()
    metres = torch.gather(z.flatten(3), 3, point.view(b, f, e, -1)).view(b, f, e, h, w) if depth else None
    return _soften(rgb.view(b, f, e, h, w, 3), alpha, share.view(b, f, e, h, w), metres)


def _soften(
    rgb: Float[Tensor, "B F E H W 3"],
    alpha: Float[Tensor, "B F E H W"],
    share: Float[Tensor, "B F E H W"],
    depth: Float[Tensor, "B F E H W"] | None,
) -> Float[Tensor, "B F r H W"]:
    """Blur premultiplied channels as overlapping Gaussians do (a 3 x 3 kernel fitted to the real scene's renders)."""
    planes = [rgb * alpha[..., None], (share * alpha)[..., None], alpha[..., None]]
    if depth is not None:
        planes.append((depth * alpha)[..., None])
    stacked = torch.cat(planes, -1)
    h, w, n = stacked.shape[-3:]
    side = BLUR
    line = torch.tensor([side, 1 - 2 * side, side], device=rgb.device)
    kernel = (line[:, None] * line).expand(n, 1, 3, 3)
    flat = stacked.view(-1, h, w, n).movedim(-1, 1)
    flat = F.conv2d(F.pad(flat, (1, 1, 1, 1), mode="replicate"), kernel, groups=n)
    soft = flat.movedim(1, -1).view(*alpha.shape, n)
    alpha = soft[..., 4]
    # as renders have it: an expected depth, and none where little is seen
    metres = None if depth is None else torch.where(alpha > 0.5, soft[..., -1] / alpha.clamp(min=0.5), 0.0)
    return recall_channels(soft[..., :3], alpha, soft[..., 3], metres)
