"""From measurements of scenes to figures: each with its interval, its target, and whether it holds."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from . import arms
from .statistics import Interval, bootstrap, holm, psnr_gain_statistic, psnr_statistic, swap_test

Record = dict[str, Any]
Errors = Sequence[Sequence[float]]  # [sum of squared errors, count] for each step


@dataclass(frozen=True)
class Figure:
    """One number of the table. kind: "figure" has a target to reach, "control" one that it must not pass,
    "shown" none. holds: whether the target is met; None where there is none, or nothing was measured."""

    row: int
    name: str
    value: float
    low: float = math.nan
    high: float = math.nan
    unit: str = ""
    n: int = 0
    target: str = ""
    holds: bool | None = None
    kind: str = "figure"
    p: float | None = None
    note: str = ""


def figure(
    row: int,
    name: str,
    interval: Interval,
    unit: str,
    target: str = "",
    *,
    kind: str = "figure",
    note: str = "",
) -> Figure:
    """A figure from an interval; `target` is like "≥ 2", with ", excludes 0" or ", low ≥ .6" for its
    bounds."""
    holds = None
    if target and not math.isnan(interval.value):
        holds = all(_meets(interval, part.strip()) for part in target.split(","))
    return Figure(
        row,
        name,
        interval.value,
        interval.low,
        interval.high,
        unit,
        interval.n,
        target,
        holds,
        kind,
        interval.p,
        note,
    )


def plain(value: float | int | None, n: int) -> Interval:
    """A value that was measured and needs no interval."""
    return Interval(math.nan if value is None else float(value), math.nan, math.nan, n)


def gain(records: Sequence[Record], first: Callable[[Record], Errors], second: Callable[[Record], Errors]) -> Interval:
    """PSNR of `first` minus PSNR of `second` in dB: errors pooled over steps and scenes, scenes kept whole."""
    samples = [[*_pool(first(r)), *_pool(second(r))] for r in records]
    samples = [row for row in samples if row[1] > 0 and row[3] > 0]
    pairs = np.reshape(np.asarray(samples, float), (-1, 4))
    return replace(bootstrap(pairs, psnr_gain_statistic), p=swap_test(pairs, psnr_gain_statistic))


def level(records: Sequence[Record], errors: Callable[[Record], Errors]) -> Interval:
    """PSNR in dB: errors pooled over steps and scenes, scenes resampled whole."""
    samples = [list(_pool(errors(r))) for r in records]
    return bootstrap(np.reshape([row for row in samples if row[1] > 0], (-1, 2)), psnr_statistic)


def curve(records: Sequence[Record], errors: Callable[[Record], Errors]) -> list[float | None]:
    """PSNR at each step, pooled over scenes; None where nothing was counted."""
    if not records:
        return []
    totals = np.sum([np.asarray(errors(r), float) for r in records], axis=0)
    return [float(psnr_statistic(t[None])) if t[1] > 0 else None for t in totals]


def with_holm(figures: Iterable[Figure]) -> list[Figure]:
    """Replaces the p-values of all paired comparisons of the table by Holm's adjusted ones."""
    figures = list(figures)
    tested = [i for i, f in enumerate(figures) if f.p is not None and f.unit == "dB"]
    for i, p in zip(tested, holm([figures[i].p or 0.0 for i in tested]), strict=True):
        figures[i] = replace(figures[i], p=p)
    return figures


def as_mapping(item: Figure) -> dict[str, Any]:
    """The figure as JSON holds it; not-a-number becomes null."""
    values = asdict(item)
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()}


def from_mapping(values: dict[str, Any]) -> Figure:
    """Inverse of `as_mapping`."""
    numbers = {k: math.nan if values.get(k) is None else values[k] for k in ("value", "low", "high")}
    return Figure(**{**values, **numbers})


def seconds_per_frame(records: Sequence[Record], arm: str) -> dict[str, float]:
    """Mean seconds a frame by part."""
    parts = [r["seconds"][arm] for r in records if arm in r.get("seconds", {})]
    frames = sum(p["frames"] for p in parts)
    names = [name for name in ("denoise", "render", "depth", "fuse") if any(name in p for p in parts)]
    return {name: sum(p.get(name, 0.0) for p in parts) / frames for name in names} if frames else {}


def arm_table(returns: Sequence[Record]) -> list[dict[str, Any]]:
    """The out-and-back in every arm and guard: PSNR by mask, SSIM, and whether it moves as much as the
    truth."""
    table = []
    for name in (*arms.ARMS, "frozen", "nearest past frame", "pure warp", "composite"):
        looks = [r["looks"][name] for r in returns]
        row: dict[str, Any] = {"name": name, "guard": name not in arms.ARMS}
        for mask in ("all", "seen", "never"):
            got = level(returns, lambda r, name=name, mask=mask: r["errors"][name][mask])
            row[mask] = {"value": got.value, "low": got.low, "high": got.high}
        for key in ("ssim", "motion", "gradient", "drift"):
            values = [look[key] for look in looks if look.get(key) is not None]
            row[key] = float(np.mean(values)) if values else None
        row["flagged"] = row["motion"] is None or not 0.9 <= row["motion"] <= 1.1
        row["seconds"] = seconds_per_frame(returns, name)
        table.append(row)
    return table


def _pool(errors: Errors) -> tuple[float, float]:
    totals = np.asarray(errors, float).reshape(-1, 2).sum(axis=0)
    return float(totals[0]), float(totals[1])


def _meets(interval: Interval, target: str) -> bool:
    if target == "excludes 0":
        return interval.excludes_zero
    value = interval.low if target.startswith("low") else interval.value
    sign, bound = target.removeprefix("low").split()
    number = float(bound.replace("−", "-"))
    return {"≥": value >= number, "≤": value <= number, "=": value == number, "≠": value != number}[sign]
