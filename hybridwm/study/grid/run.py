"""`hybridwm study`: plans, measures cell by cell, and writes tables, summary.json and report.html."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from safetensors.torch import load_file

from ... import environment
from ...run_folder import RunFolder
from ...weights.store import load_weights
from .. import pool
from ..media import write_panels
from . import table
from .arm import check_arms, image_size, weights_of
from .cell import GUARDS, Cell, frames_folder
from .config import StudyConfig, read_shard
from .plan import SLICE, cells, estimate, identity, kept, seconds_of, steps, units
from .report import render_study
from .setting import setting_of
from .summary import summarise
from .terminal import show

Measured = dict[Cell, dict[str, Any]]
Ask = Callable[[str], bool]


def run_study(study: StudyConfig, console: Console | None = None, ask: Ask = lambda _: True) -> dict[str, Any]:
    """Measures what is not there yet into `study.out`, and returns what summary.json holds.

    ask: shown the plan with its estimate, says whether to go on. A run that was cut short goes on where it was; a shard
    stops at its cells. Raises FileNotFoundError without the weights, ValueError for arms that cannot be.
    """
    console, began = console or Console(), time.monotonic()
    check_arms(study)
    folder, sha256 = shard_folder(study), weights_sha256(study)
    planned = cells(study)
    identities = {identity(study, cell, sha256): cell for cell in planned}
    marks = {cell: mark for mark, cell in identities.items()}
    measured = {} if study.fresh else {**kept(study.out, identities), **kept(folder, identities)}
    left = [cell for cell in planned if cell not in measured]
    console.print(
        f"{len(planned):,} cells: {len(study.arms)} arms and the guards × {len(study.trajectories)} trajectories × "
        f"{study.scenes} scenes; {steps(study, planned):,} frames; {len(measured):,} cells are there already",
        highlight=False,
    )
    with RunFolder(folder, study, keep_metrics=bool(measured)) as run:
        if left:
            told = _slice(study, left, measured, marks, run, console)
            left = [cell for cell in planned if cell not in measured]
            if left and not ask(f"{told}. Measure the other {len(left):,} cells? [y/N] "):
                console.print("stopped; what was measured is kept")
                return {}
            _measure(study, left, measured, marks, run, console)
        if read_shard(study.shard)[1] > 1:
            return {}
        results, timings = tables(study, planned, measured)
        table.write(run.file("results.parquet"), results)
        table.write(run.file("timings.parquet"), timings)
        _videos(study, folder)
        summary = summarise(study, results, timings) | {
            "weights_sha256": sha256,
            "versions": environment.describe(),
            "seconds": time.monotonic() - began,
            "peak_megabytes": pool.peak_megabytes(study.workers),
        }
        run.write_text("report.html", render_study(summary, folder))
        run.summarise(**summary)
    show(console, summary)
    console.print(f"report {folder / 'report.html'}", highlight=False, soft_wrap=True)
    return summary


def shard_folder(study: StudyConfig) -> Path:
    """Where this part of the study writes."""
    part, parts = read_shard(study.shard)
    return study.out if parts == 1 else study.out / f"shard-{part}-of-{parts}"


def weights_sha256(study: StudyConfig) -> dict[str, str]:
    """Of every weights file that the study uses, by the name that it is asked by."""
    names = {study.weights} | {name for arm in study.arms.values() for name in weights_of(study, arm)}
    return {name: hashlib.sha256(load_weights(name).path.read_bytes()).hexdigest() for name in sorted(names)}


def tables(study: StudyConfig, planned: Sequence[Cell], measured: Measured) -> tuple[Any, Any]:
    """results and timings, rows in the order of the plan, whatever the order in which cells were measured."""
    rows = list(_rows(study, planned, measured))
    return table.results_table(row for row, _ in rows), table.timings_table(spent for _, spent in rows if spent)


def _rows(
    study: StudyConfig, planned: Sequence[Cell], measured: Measured
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    for cell in planned:
        for rollout in measured[cell]["rollouts"]:
            keys = {
                "trajectory": cell.trajectory,
                "scene": study.first_seed + cell.scene,
                "arm": rollout["arm"],
                "noise_seed": rollout["noise_seed"],
                "step": -1,
            }
            yield keys | rollout["rollout"], keys | rollout["times"]
            columns = rollout["frames"]
            for step in range(len(columns["se_all"])):
                yield keys | {"step": step} | {name: values[step] for name, values in columns.items()}, {}


def _slice(
    study: StudyConfig,
    left: list[Cell],
    measured: Measured,
    marks: Mapping[Cell, str],
    run: RunFolder,
    console: Console,
) -> str:
    """Measures a slice of what is left, enough to say how long the rest will take."""
    scenes = sorted({cell.scene for cell in left})[:SLICE]
    first = [cell for cell in left if cell.scene in scenes and cell.repeat == 0]
    if len(scenes) == SLICE:
        console.print(f"measuring {len(first)} cells to see how long the rest will take", highlight=False)
        _measure(study, first, measured, marks, run, console)
    rest = [cell for cell in left if cell not in measured]
    seconds = seconds_of(measured)
    known = [cell for cell in rest if (cell.trajectory, cell.arm) in seconds]
    minutes = estimate(known, seconds, study.workers) / 60
    memory = pool.peak_megabytes(study.workers)
    told = f"{minutes:.1f} minutes on {study.workers} processes, {memory:,.0f} MB of memory"
    console.print(f"estimated: {told}", highlight=False)
    run.log(estimate_seconds=60 * minutes, estimate_of=len(known))
    return told


def _measure(
    study: StudyConfig,
    some: Sequence[Cell],
    measured: Measured,
    marks: Mapping[Cell, str],
    run: RunFolder,
    console: Console,
) -> None:
    work = units(study, some, seconds_of(measured))
    began = time.monotonic()
    # a worker writes frames into the run's own folder
    sent = replace(study, out=run.path)
    with _progress(console) as progress:
        task = progress.add_task("starting", total=sum(unit.cost for unit in work))
        for unit, found, _ in pool.measure(work, sent, study.workers):
            cell = some[unit.index]
            measured[cell] = found
            run.log(identity=marks[cell], measured=found)
            progress.update(task, advance=unit.cost, description=f"{cell.trajectory}, scene {cell.scene}")
    run.log(measured_seconds=time.monotonic() - began, measured_cells=len(some))


def _videos(study: StudyConfig, folder: Path) -> None:
    """Side-by-side videos and contact sheets of the kept scenes, from the frames that the cells left."""
    size = image_size(study)
    for name, trajectory in study.trajectories.items():
        for scene in range(min(study.videos, study.scenes)):
            stem = f"{name}-{scene:02d}"
            places = [frames_folder(folder) / stem, *sorted(folder.glob(f"shard-*/rollouts/frames/{stem}"))]
            files = {path.stem: path for place in places for path in place.glob("*.safetensors")}
            shown = [arm for arm in (*study.arms, *GUARDS) if arm in files]
            if not shown:
                continue
            episode = setting_of(trajectory, study.first_seed + scene, size, study.world).episode
            panels = {"truth": episode.truth}
            for arm in shown:
                panels[arm] = load_file(files[arm])["frames"].float() / 255
            write_panels(folder / "rollouts" / stem, episode, panels)


def _progress(console: Console) -> Progress:
    columns = (TextColumn("{task.description:<28}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    return Progress(*columns, TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(), console=console)
