"""The fast CPU rasterizer: float32, forward only. The stages are in render/cpu."""

from __future__ import annotations

import threading

import numpy as np
import torch
from torch import Tensor

from .camera import Camera
from .cpu.bins import TILE_HEIGHT, TILE_WIDTH, count_pairs, sort_pairs
from .cpu.composite import OUTPUTS, composite
from .cpu.project import CHANNELS, RECORD, project
from .gaussians import Gaussians
from .rasterize import DILATION, MIN_ALPHA, NEAR, RenderOutput, requires_gradients
from .spherical_harmonics import evaluate_sh

MAX_PAIRS = 2**29  # of (splat, tile): 8 GB of sort keys and scratch
_LIMITS = np.array([NEAR, DILATION], np.float32)
_buffers = threading.local()


def rasterize_cpu(gaussians: Gaussians, cameras: Camera) -> RenderOutput:
    """The Gaussians from cameras [V], over black.

    Raises ValueError for tensors that are not float32 on the CPU, that need gradients, or not finite.
    """
    if gaussians.device.type != "cpu" or gaussians.dtype != torch.float32:
        raise ValueError(
            f'backend "cpu" needs float32 tensors on the CPU; got {gaussians.dtype} on {gaussians.device}. '
            'Use .to("cpu", torch.float32), or backend "torch".'
        )
    if requires_gradients(gaussians, cameras):
        raise ValueError(
            'backend "cpu" has no backward pass, but a tensor requires gradients. Use backend "torch", or '
            "torch.no_grad() if no gradient is wanted."
        )
    gaussians = gaussians.detach()
    _check_values(gaussians)
    with torch.no_grad():
        views = [_render(gaussians, cameras[i]) for i in range(len(cameras))]
    image, alpha = (
        torch.stack(parts) if len(views) > 1 else parts[0][None] for parts in zip(*views, strict=True)
    )
    depth_sum = image[..., -1]
    depth = torch.where(alpha > 0.5, depth_sum / alpha.clamp(min=0.5), torch.zeros_like(alpha))
    features = None if gaussians.features is None else image[..., 3:-1].contiguous()
    return RenderOutput(image[..., :3].contiguous(), alpha, depth, features)


def _render(gaussians: Gaussians, camera: Camera) -> tuple[Tensor, Tensor]:
    """Sums of weight * (rgb, features, z) [H, W, 3 + F + 1], and alpha [H, W]."""
    n, width, height = len(gaussians), camera.width, camera.height
    records = _buffer("records", RECORD * ((n + 7) // 8 * 8), np.float32)
    _project(gaussians, camera, records)

    tiles_x, tiles_y = -(-width // TILE_WIDTH), -(-height // TILE_HEIGHT)
    offsets = np.empty(tiles_x * tiles_y + 1, np.int64)
    pairs = count_pairs(records, n, tiles_x, offsets)
    if pairs > MAX_PAIRS:
        raise ValueError(
            f"{n} Gaussians cover {pairs} tiles of a {width} x {height} image, more than {MAX_PAIRS}. "
            "Are their scales linear and in metres? Render a smaller image or fewer Gaussians."
        )
    keys, scratch = _buffer("keys", pairs, np.uint64), _buffer("scratch", pairs, np.uint64)
    sort_pairs(records, n, tiles_x, offsets, keys, scratch)

    alpha = np.empty(height * width, np.float32)
    sums = np.empty(height * width * OUTPUTS, np.float32)
    composite(records, keys, offsets, tiles_x, width, height, sums, alpha)
    image = torch.from_numpy(sums.reshape(height, width, OUTPUTS))
    features = torch.empty(n, 0) if gaussians.features is None else gaussians.features
    parts = [image[..., : 3 + min(features.shape[1], 1)]]
    # One feature rides with the colours; the others take another pass for each four.
    for first in range(1, features.shape[1], 4):
        more = features.numpy()[:, first : first + 4]
        records.reshape(-1, RECORD)[:n, CHANNELS : CHANNELS + more.shape[1]] = more
        sums = np.empty(height * width * OUTPUTS, np.float32)
        composite(records, keys, offsets, tiles_x, width, height, sums, alpha)
        parts.append(torch.from_numpy(sums.reshape(height, width, OUTPUTS))[..., : more.shape[1]])
    return torch.cat([*parts, image[..., -1:]], dim=-1), torch.from_numpy(alpha.reshape(height, width))


def _project(gaussians: Gaussians, camera: Camera, records: np.ndarray) -> None:
    rgb = evaluate_sh(gaussians.sh, gaussians.means - camera.center)
    feature = torch.zeros_like(gaussians.opacities)
    if gaussians.features is not None and gaussians.features.shape[1] > 0:
        feature = gaussians.features[:, 0]
    columns = [
        gaussians.means,
        gaussians.quats,
        gaussians.scales,
        gaussians.opacities,
        torch.log(gaussians.opacities / MIN_ALPHA),
        rgb,
        feature,
    ]
    w2c = camera.w2c[:3].detach().contiguous().numpy().reshape(-1)
    K = camera.K.detach()[[0, 1, 0, 1], [0, 1, 2, 2]].numpy()  # fx, fy, cx, cy
    # The kernel takes groups of eight rows: the last few are copied and padded, the others passed as is.
    whole = len(gaussians) // 8 * 8
    groups = [([column[:whole] for column in columns], records[: whole * RECORD])]
    if whole < len(gaussians):
        padded = [torch.cat([c[whole:], c.new_zeros(8, *c.shape[1:])])[:8] for c in columns]
        groups.append((padded, records[whole * RECORD :]))
    for rows, part in groups:
        flat = [row.contiguous().numpy().reshape(-1) for row in rows]
        project(*flat, w2c, K, camera.width, camera.height, _LIMITS, part)


def _buffer(name: str, size: int, dtype: type) -> np.ndarray:
    """Memory kept between calls, one set for each thread; fresh pages cost as much as the projection."""
    held = getattr(_buffers, name, None)
    if held is None or held.size < size:
        held = np.empty(size + size // 8, dtype)
        setattr(_buffers, name, held)
    return held[:size]


def _check_values(gaussians: Gaussians) -> None:
    """The kernels assume finite numbers. A finite sum proves it cheaply; else each value is looked at."""
    for name in ("means", "quats", "scales", "opacities", "sh", "features"):
        values = getattr(gaussians, name)
        if values is None or values.sum().isfinite() or values.isfinite().all():
            continue
        bad = int((~values.isfinite()).flatten(1 if values.ndim > 1 else 0).sum())
        raise ValueError(f"Gaussians.{name} must be finite to be rendered; got {bad} NaN or infinite values.")
    if len(gaussians) and not 0 <= gaussians.opacities.amin() <= gaussians.opacities.amax() <= 1:
        raise ValueError("Gaussians.opacities must lie in 0..1. Logits? Apply sigmoid.")
