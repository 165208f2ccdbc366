"""From rows of results.parquet to one value for each trajectory, arm, scene and noise seed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int

from ..metrics import PSNR_CEILING
from .table import FRAME
from .tasks import EVERYWHERE, MEASURES, MEDIANS, Measure


@dataclass(frozen=True)
class PerScene:
    """values[measure][trajectory, arm, scene, seed]; nan where nothing was measured. Measures without any are left out.

    trajectories ends with `EVERYWHERE`: a scene's mean over all trajectories that have the measure.
    """

    trajectories: tuple[str, ...]
    arms: tuple[str, ...]
    scenes: tuple[int, ...]
    values: Mapping[str, Float[np.ndarray, "T A S K"]]

    def rollouts(self, trajectory: str, measure: str, arm: str) -> Float[np.ndarray, "S K"]:
        """Of each scene and seed; all nan for an arm or a measure that the table lacks."""
        if arm not in self.arms or measure not in self.values:
            return np.full((len(self.scenes), 1), np.nan)
        return self.values[measure][self.trajectories.index(trajectory), self.arms.index(arm)]

    def scene_values(self, trajectory: str, measure: str, arm: str) -> Float[np.ndarray, " S"]:
        """Mean over a scene's noise seeds."""
        return mean_of_seeds(self.rollouts(trajectory, measure, arm))

    def differences(self, trajectory: str, measure: str, arm: str, against: str) -> Float[np.ndarray, "S K"]:
        """Of the same scene and noise: above 0 where `arm` is better. nan where either is missing."""
        first, second = (self.rollouts(trajectory, measure, name) for name in (arm, against))
        return MEASURES[measure].sign * (first - second)


def per_scene(results: pa.Table) -> PerScene:
    """The table's values. PSNR pools squared errors over frames; other measures are means or medians over frames."""
    keys = ("trajectory", "arm", "scene", "noise_seed")
    (trajectories, t), (arms, a), (scenes, s), (seeds, k) = (_coded(results, key) for key in keys)
    shape = len(trajectories), len(arms), len(scenes), len(seeds)
    frame = results.column("step").to_numpy() >= 0
    cell, size = _cells((t, a, s, k), shape), int(np.prod(shape))
    values = {}
    for name, measure in MEASURES.items():
        of_frames = frame if measure.columns[0] in FRAME else ~frame
        columns = [_numbers(results, column)[of_frames] for column in measure.columns]
        one = _measured(measure, columns, cell[of_frames], size).reshape(shape)
        if not np.isnan(one).all():
            values[name] = np.concatenate([one, _everywhere(one)[None]])
    return PerScene((*map(str, trajectories), EVERYWHERE), tuple(map(str, arms)), tuple(map(int, scenes)), values)


def by_step(results: pa.Table, mask: str) -> dict[tuple[str, str], list[float | None]]:
    """PSNR at each step by (trajectory, arm): errors pooled over scenes and seeds; None where nothing was counted."""
    (trajectories, t), (arms, a) = _coded(results, "trajectory"), _coded(results, "arm")
    step = results.column("step").to_numpy()
    frame = step >= 0
    shape = len(trajectories), len(arms), int(step.max(initial=-1)) + 1
    cell, size = _cells((t[frame], a[frame], step[frame]), shape), int(np.prod(shape))
    columns = [_numbers(results, f"{what}_{mask}")[frame] for what in ("se", "n")]
    levels = _decibels(*(_sums(column, cell, size) for column in columns)).reshape(shape)
    curves = {}
    for i, trajectory in enumerate(trajectories):
        for j, arm in enumerate(arms):
            line = levels[i, j]
            if not np.isnan(line).all():
                last = int(np.flatnonzero(~np.isnan(line))[-1]) + 1
                curves[str(trajectory), str(arm)] = [None if np.isnan(v) else float(v) for v in line[:last]]
    return curves


def pooled_ratios(results: pa.Table, column: str) -> dict[tuple[str, str], tuple[float, float]]:
    """(ratio to the truth's, mean of the truth's) by (trajectory, arm): sums over all frames that have both.

    `EVERYWHERE` is among the trajectories. The ratio is nan where the truth's sum is 0.
    """
    (trajectories, t), (arms, a) = _coded(results, "trajectory"), _coded(results, "arm")
    own, true = _numbers(results, column), _numbers(results, f"{column}_true")
    both, shape = ~(np.isnan(own) | np.isnan(true)), (len(trajectories), len(arms))
    cell, size = _cells((t[both], a[both]), shape), int(np.prod(shape))
    sums = [_sums(x, cell, size).reshape(shape) for x in (own[both], true[both], np.ones(int(both.sum())))]
    sums = [np.concatenate([x, x.sum(axis=0)[None]]) for x in sums]
    found = {}
    for i, trajectory in enumerate((*trajectories, EVERYWHERE)):
        for j, arm in enumerate(arms):
            total, reference, count = (float(x[i, j]) for x in sums)
            if count:
                found[trajectory, arm] = total / reference if reference > 0 else math.nan, reference / count
    return found


def mean_of_seeds(rollouts: Float[np.ndarray, "S K"]) -> Float[np.ndarray, " S"]:
    """The mean of what is there; nan where nothing is."""
    there = ~np.isnan(rollouts)
    count = there.sum(axis=1)
    return np.where(count > 0, np.where(there, rollouts, 0.0).sum(axis=1) / np.maximum(count, 1), np.nan)


def _measured(
    measure: Measure, columns: list[Float[np.ndarray, " R"]], cell: Int[np.ndarray, " R"], size: int
) -> Float[np.ndarray, " C"]:
    if measure.name in MEDIANS:
        return _medians(columns[0], cell, size)
    if measure.unit == "dB" and len(columns) == 2:
        return _decibels(*(_sums(column, cell, size) for column in columns))
    if len(columns) == 2:  # only frames that have both, so that the ratio is of the same frames
        both = ~(np.isnan(columns[0]) | np.isnan(columns[1]))
        first, second = (_sums(column[both], cell[both], size) for column in columns)
        return np.where(second > 0, first / np.where(second > 0, second, 1.0), np.nan)
    there = ~np.isnan(columns[0])
    total = _sums(columns[0], cell, size)
    count = np.bincount(cell[there], minlength=size).astype(float)
    return (
        _decibels(total, count) if measure.unit == "dB" else np.where(count > 0, total / np.maximum(count, 1), np.nan)
    )


def _everywhere(values: Float[np.ndarray, "T A S K"]) -> Float[np.ndarray, "A S K"]:
    """Mean over the trajectories that have the measure; nan where a rollout lacks one of them."""
    return values[~np.isnan(values).all(axis=(1, 2, 3))].mean(axis=0)


def _decibels(total: np.ndarray, count: np.ndarray) -> np.ndarray:
    counted = count > 0
    mse = np.where(counted, total, 1.0) / np.where(counted, count, 1.0)
    level = 10 * np.log10(255**2 / np.maximum(mse, 255**2 * 10 ** (-PSNR_CEILING / 10)))
    return np.where(counted, level, np.nan)


def _cells(places: tuple[np.ndarray, ...], shape: tuple[int, ...]) -> np.ndarray:
    return np.ravel_multi_index(places, shape) if len(places[0]) else np.zeros(0, np.int64)


def _sums(column: np.ndarray, cell: np.ndarray, size: int) -> np.ndarray:
    return np.bincount(cell, weights=np.nan_to_num(column), minlength=size)


def _medians(column: np.ndarray, cell: np.ndarray, size: int) -> np.ndarray:
    there = ~np.isnan(column)
    column, cell = column[there], cell[there]
    order = np.lexsort((column, cell))
    column, count = column[order], np.bincount(cell, minlength=size)
    first = np.cumsum(count) - count
    found = np.full(size, np.nan)
    some = count > 0
    lower, upper = first[some] + (count[some] - 1) // 2, first[some] + count[some] // 2
    found[some] = (column[lower] + column[upper]) / 2
    return found


def _numbers(table: pa.Table, column: str) -> np.ndarray:
    return table.column(column).to_numpy().astype(float)


def _coded(table: pa.Table, key: str) -> tuple[list[Any], np.ndarray]:
    """A key's distinct values in order of first appearance, and each row's place among them."""
    encoded = table.column(key).combine_chunks().dictionary_encode()
    return encoded.dictionary.to_pylist(), encoded.indices.to_numpy().astype(np.int64)
