"""Drift without downloaded weights: Fréchet distances in a random network whose weights are a fixed seed, and the four
bounds that a rollout keeps at once: windowed distance (noise), gradient energy (blur), motion (freezing), likeness to
its own beginning (looping back)."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from .metrics import gradient_energy, motion
from .retrieval import view_distances
from .statistics import Interval, bootstrap

STACK = 4  # frames that one sample sees: appearance and motion together
WINDOW = 16  # frames at the beginning and at the end of a rollout that are compared
RESAMPLES = 1000  # of the bootstrap over scenes
BOUNDS = {
    "FD_r ratio": (0.0, 2.0),
    "gradient energy ratio": (0.6, 1.6),
    "motion ratio": (0.5, 2.0),
    "likeness to the beginning above the truth's": (-math.inf, 0.0),
}


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


@dataclass(frozen=True)
class Moments:
    """The features of S scenes as sums, so that the Fréchet distance of any pool of scenes is a matter of adding."""

    count: Float[np.ndarray, " S"]
    total: Float[np.ndarray, "S D"]
    outer: Float[np.ndarray, "S D D"]

    @staticmethod
    def of(features: Float[np.ndarray, "N D"]) -> Moments:
        """One scene's."""
        return Moments(np.array([float(len(features))]), features.sum(0)[None], (features.T @ features)[None])

    @staticmethod
    def join(scenes: Sequence[Moments]) -> Moments:
        """Those of several, in order."""
        return Moments(
            np.concatenate([scene.count for scene in scenes]),
            np.concatenate([scene.total for scene in scenes]),
            np.concatenate([scene.outer for scene in scenes]),
        )

    def pooled(self, scenes: Int[np.ndarray, "*R S"]) -> tuple[np.ndarray, np.ndarray]:
        """Mean [*R, D] and covariance [*R, D, D] of all features of the scenes chosen, each as often as it is."""
        count = self.count[scenes].sum(-1)[..., None]
        mean = self.total[scenes].sum(-2) / count
        outer = self.outer[scenes].sum(-3) - count[..., None] * mean[..., :, None] * mean[..., None, :]
        return mean, outer / (count[..., None] - 1)


def pooled_distance(a: Moments, b: Moments, scenes: Int[np.ndarray, "*R S"]) -> np.ndarray:
    """Fréchet distance [*R] of the pooled features of the scenes chosen."""
    (mean_a, cov_a), (mean_b, cov_b) = a.pooled(scenes), b.pooled(scenes)
    root_a = _square_root(cov_a)
    trace_root = np.sqrt(np.clip(np.linalg.eigvalsh(root_a @ cov_b @ root_a), 0, None)).sum(-1)
    traces = np.trace(cov_a, axis1=-2, axis2=-1) + np.trace(cov_b, axis1=-2, axis2=-1)
    return np.asarray(np.maximum(((mean_a - mean_b) ** 2).sum(-1) + traces - 2 * trace_root, 0.0))


def over_scenes(scenes: int, statistic: Callable[[np.ndarray], np.ndarray], *, resamples: int = RESAMPLES) -> Interval:
    """`statistic` of all scenes, with its bootstrap interval; it maps indices of scenes [*R, S] to numbers [*R]."""
    return bootstrap(np.arange(scenes, dtype=float), lambda index: statistic(index.astype(int)), resamples=resamples)


@dataclass(frozen=True)
class Look:
    """What one scene's rollout and its truth give to the four bounds, as numbers that pool over scenes.

    Each pair is (imagined, true) over the last window. likeness: 1 - the distance to the nearest of the first window.
    """

    first: tuple[Moments, Moments]
    last: tuple[Moments, Moments]
    gradient: tuple[float, float]
    motion: tuple[float, float]
    likeness: tuple[float, float]

    @staticmethod
    def of(frames: Float[Tensor, "T H W 3"], truth: Float[Tensor, "S H W 3"], window: int = WINDOW) -> Look:
        """Raises ValueError for rollouts shorter than two windows, or of another length than the truth."""
        if len(frames) < 2 * window or len(frames) != len(truth):
            raise ValueError(
                f"expected frames and truth of one length >= {2 * window}; got {len(frames)} and {len(truth)}; "
                "do use a longer rollout or a smaller window"
            )
        both = (frames, truth)
        ends = [(shown[:window], shown[-window:]) for shown in both]
        return Look(
            (Moments.of(random_features(ends[0][0])), Moments.of(random_features(ends[1][0]))),
            (Moments.of(random_features(ends[0][1])), Moments.of(random_features(ends[1][1]))),
            (gradient_energy(ends[0][1]), gradient_energy(ends[1][1])),
            (motion(ends[0][1]), motion(ends[1][1])),
            (_likeness(*ends[0]), _likeness(*ends[1])),
        )


@dataclass(frozen=True)
class Drift:
    """The four figures of rollouts in several scenes, and the two distances whose ratio the first one is."""

    figures: dict[str, Interval]
    first: Interval
    last: Interval

    @property
    def failed(self) -> tuple[str, ...]:
        """The bounds that are broken. A ratio that is not a number breaks its bound; likeness breaks it where the
        whole interval is above, since a world that is walked back through is like its beginning in truth too."""
        broken = []
        for name, (low, high) in BOUNDS.items():
            figure = self.figures[name]
            value = figure.low if math.isinf(low) and not math.isnan(figure.low) else figure.value
            if not low <= value <= high:
                broken.append(name)
        return tuple(broken)


def drift_of(looks: Sequence[Look], *, resamples: int = RESAMPLES) -> Drift:
    """The four bounds' figures over scenes, with bootstrap intervals; energies and motions are pooled before ratios."""

    def over(statistic: Callable[[np.ndarray], np.ndarray]) -> Interval:
        return over_scenes(len(looks), statistic, resamples=resamples)

    def pooled_ratio(values: list[tuple[float, float]]) -> Interval:
        pairs = np.array(values)
        return over(lambda scenes: _over(pairs[scenes, 0].sum(-1), pairs[scenes, 1].sum(-1)))

    excess = np.array([look.likeness[0] - look.likeness[1] for look in looks])
    intervals = (
        over(growth(looks)),
        pooled_ratio([look.gradient for look in looks]),
        pooled_ratio([look.motion for look in looks]),
        over(lambda scenes: excess[scenes].mean(-1)),
    )
    first, last = distance([look.first for look in looks]), distance([look.last for look in looks])
    return Drift(dict(zip(BOUNDS, intervals, strict=True)), over(first), over(last))


def growth(looks: Sequence[Look]) -> Callable[[np.ndarray], np.ndarray]:
    """FD_r of the last window over FD_r of the first, as a statistic of the scenes chosen."""
    first, last = distance([look.first for look in looks]), distance([look.last for look in looks])
    return lambda scenes: _over(last(scenes), first(scenes))


def distance(pairs: Sequence[tuple[Moments, Moments]]) -> Callable[[np.ndarray], np.ndarray]:
    """FD_r of scenes' (imagined, true) features, pooled, as a statistic of the scenes chosen."""
    imagined, true = (Moments.join([pair[i] for pair in pairs]) for i in range(2))
    return lambda scenes: pooled_distance(imagined, true, scenes)


def _likeness(beginning: Float[Tensor, "W H W2 3"], end: Float[Tensor, "V H W2 3"]) -> float:
    nearest = [float(view_distances(frame, beginning).min()) for frame in end]
    return 1 - sum(nearest) / len(nearest)


def _over(a: np.ndarray | np.floating, b: np.ndarray | np.floating) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(b > 0, a / b, np.nan)


def _square_root(matrices: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(matrices)
    return (vectors * np.sqrt(np.clip(values, 0, None))[..., None, :]) @ np.swapaxes(vectors, -1, -2)
