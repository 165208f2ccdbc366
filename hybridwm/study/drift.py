"""Drift without downloaded weights: Fréchet distances in a random network whose weights are a fixed seed."""

from __future__ import annotations

import functools

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

STACK = 4  # frames that one sample sees: appearance and motion together


@functools.lru_cache(maxsize=1)
def _network() -> nn.Sequential:
    generator = torch.Generator().manual_seed(20_240)
    layers: list[nn.Module] = []
    for channels_in, channels_out in ((3 * STACK, 32), (32, 32), (32, 24)):
        layer = nn.Conv2d(channels_in, channels_out, 5, stride=2, padding=2)
        with torch.no_grad():
            scale = (2 / (channels_in * 25)) ** 0.5
            layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator) * scale)
            layer.bias.zero_()  # pyright: ignore[reportOptionalMemberAccess]
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers).eval().requires_grad_(False)


def random_features(frames: Float[Tensor, "T H W 3"]) -> Float[np.ndarray, "N 24"]:
    """One 24-vector for every 8×8-pixel cell of every stack of four successive frames."""
    if len(frames) < STACK:
        raise ValueError(f"expected at least {STACK} frames; got {len(frames)}; do use a longer window")
    x = frames.detach().float().cpu().permute(0, 3, 1, 2) * 2 - 1
    stacks = torch.stack([x[t : t + STACK].flatten(0, 1) for t in range(len(x) - STACK + 1)])
    return _network()(stacks).permute(0, 2, 3, 1).reshape(-1, 24).double().numpy()


def frechet_distance(a: Float[np.ndarray, "N D"], b: Float[np.ndarray, "M D"]) -> float:
    """|μa − μb|² + tr(Σa + Σb − 2 (Σa Σb)^½) of two sets of features."""
    mean_a, mean_b = a.mean(0), b.mean(0)
    cov_a, cov_b = np.atleast_2d(np.cov(a, rowvar=False)), np.atleast_2d(np.cov(b, rowvar=False))
    root_a = _square_root(cov_a)
    trace_root = np.sqrt(np.clip(np.linalg.eigvalsh(root_a @ cov_b @ root_a), 0, None)).sum()
    distance = ((mean_a - mean_b) ** 2).sum() + np.trace(cov_a) + np.trace(cov_b) - 2 * trace_root
    return float(max(distance, 0.0))


def fd_r(frames: Float[Tensor, "T H W 3"], truth: Float[Tensor, "S H W 3"]) -> float:
    """Fréchet distance of random-network features between imagined and true frames."""
    return frechet_distance(random_features(frames), random_features(truth))


def drift_ratio(frames: Float[Tensor, "T H W 3"], truth: Float[Tensor, "T H W 3"], window: int = 16) -> float:
    """FD_r of the last `window` frames over FD_r of the first, each against the truth of the same steps."""
    if len(frames) < 2 * window or len(frames) != len(truth):
        raise ValueError(
            f"expected frames and truth of one length >= {2 * window}; got {len(frames)} and "
            f"{len(truth)}; do use a longer rollout or a smaller window"
        )
    first = fd_r(frames[:window], truth[:window])
    return fd_r(frames[-window:], truth[-window:]) / first if first > 0 else float("nan")


def _square_root(matrix: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
