"""What a study will measure, in order; which of it is there already; and how long the rest will take."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from ... import __version__
from ...configuration import to_mapping
from ...run_folder import read_metrics
from ..pool import Unit
from .arm import repeats_of, weights_of
from .cell import GUARD, Cell, measure_cell
from .config import StudyConfig, read_shard
from .table import FRAME, ROLLOUT

SLICE = 2  # scenes that are measured before the estimate: the first one also loads weights and compiles


def cells(study: StudyConfig) -> list[Cell]:
    """Every cell of the study, or of its shard, scene by scene, so that the arms of a scene follow each other."""
    part, parts = read_shard(study.shard)
    found = []
    for scene in range(part, study.scenes, parts):
        for trajectory in study.trajectories:
            found.append(Cell(trajectory, scene, GUARD, 0))
            for name, arm in study.arms.items():
                found += [Cell(trajectory, scene, name, repeat) for repeat in repeats_of(study, arm, scene)]
    return found


def steps(study: StudyConfig, some: Iterable[Cell]) -> int:
    """Frames that the cells imagine, of walks as long as they were asked for."""
    return sum(study.trajectories[cell.trajectory].steps for cell in some if cell.arm != GUARD)


def identity(study: StudyConfig, cell: Cell, sha256: Mapping[str, str]) -> str:
    """What a cell's figures depend on, hashed: a kept cell of another identity is not used.

    sha256: of each weights file by name. Scenes, workers and other arms may change: what is measured stays good.
    """
    arm = study.arms.get(cell.arm)
    depends = {
        "version": __version__,
        "measures": [*FRAME, *ROLLOUT],
        "world": study.world,
        "trajectory": to_mapping(study.trajectories[cell.trajectory]),
        "scene": study.first_seed + cell.scene,
        "repeat": cell.repeat,
        "noise_seeds": study.noise_seeds,
        "use": [study.solver_steps, study.guidance, study.context_noise],
        "arm": to_mapping(arm) if arm else to_mapping(study.arms),
        "weights": [sha256[name] for name in (weights_of(study, arm) if arm else [study.weights])],
    }
    return hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()[:16]


def kept(folder: Path, identities: Mapping[str, Cell]) -> dict[Cell, dict[str, Any]]:
    """The measured cells that the folder and its shards hold, by the identities that are asked for."""
    found: dict[Cell, dict[str, Any]] = {}
    for path in [folder / "metrics.jsonl", *sorted(folder.glob("shard-*-of-*/metrics.jsonl"))]:
        for line in read_metrics(path) if path.is_file() else []:
            cell = identities.get(line.get("identity", ""))
            if cell is not None and "measured" in line:
                found.setdefault(cell, line["measured"])
    return found


def units(study: StudyConfig, some: Sequence[Cell], seconds: Mapping[tuple[str, str], float]) -> list[Unit]:
    """Cells as units of work; seconds by trajectory and arm, where they are known."""
    return [
        Unit(str(i), i, functools.partial(_measure, cell), seconds.get((cell.trajectory, cell.arm), 1.0))
        for i, cell in enumerate(some)
    ]


def seconds_of(measured: Mapping[Cell, Mapping[str, Any]]) -> dict[tuple[str, str], float]:
    """Seconds of a cell by trajectory and arm, the median over what was measured after its first scene."""
    spent: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for cell, found in measured.items():
        pair = cell.trajectory, cell.arm
        spent.setdefault(pair, []).append((cell.scene, found["rollouts"][0]["times"]["cell"]))
    last = {pair: max(scene for scene, _ in each) for pair, each in spent.items()}
    first = {pair: min(scene for scene, _ in each) for pair, each in spent.items()}
    return {
        pair: median(s for scene, s in each if scene > first[pair] or first[pair] == last[pair])
        for pair, each in spent.items()
    }


def estimate(some: Iterable[Cell], seconds: Mapping[tuple[str, str], float], workers: int) -> float:
    """Seconds that the cells will take on so many processes; nan-free only where each pair was measured."""
    return sum(seconds[cell.trajectory, cell.arm] for cell in some) / workers


def _measure(cell: Cell, study: StudyConfig, _: int) -> dict[str, Any]:
    return measure_cell(cell, study)
