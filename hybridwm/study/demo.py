"""`hybridwm demo`: the same walks in every arm, beside truth, guards and controls, and a report of it."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from .. import __version__, environment
from ..configuration import to_mapping
from ..run_folder import RunFolder, read_metrics
from ..weights.store import load_weights
from . import arms
from .demo_config import DemoConfig
from .figures import Record, arm_table, as_mapping, curve, seconds_per_frame
from .measure_endurance import measure_endurance
from .measure_returns import measure_return
from .measure_stares import measure_stare
from .measure_walks import measure_walk
from .pool import Unit, measure, peak_megabytes
from .report import render_report
from .rows import table
from .terminal import show

FULL_SUMMARY = Path(__file__).parent / "full_summary.json"
SAME = ("walk_views", "walk_steps", "out_steps", "stare_steps", "long_steps", "first_seed")


def run_demo(config: DemoConfig, console: Console | None = None) -> dict[str, Any]:
    """Measures, writes `config.out`, prints the table, and returns what summary.json holds.

    A run that was cut short goes on where it was: finished rooms are kept in metrics.jsonl. Raises
    FileNotFoundError without the weights, ValueError for a folder that belongs to something else.
    """
    console, began = console or Console(), time.monotonic()
    config = config.resolved()
    weights = load_weights(config.weights)
    if config.stares and config.stare_steps < 2 * weights.core.window:
        raise ValueError(
            f"DemoConfig.stare_steps: expected at least {2 * weights.core.window}, twice the context of "
            f"{config.weights}; got {config.stare_steps}."
        )
    sha256 = hashlib.sha256(weights.path.read_bytes()).hexdigest()
    mark = fingerprint(config, sha256)
    kept = {} if config.fresh else unfinished(config.out, mark)
    units = plan(config)
    left = [unit for unit in units if unit.key not in kept]
    if kept:
        console.print(f"{len(units) - len(left)} of {len(units)} measurements are kept from a run cut short")
    measured = {unit.key: kept[unit.key] for unit in units if unit.key in kept}
    with RunFolder(config.out, config, keep_metrics=bool(kept)) as run:
        if not kept:  # no picture of an earlier run may stand beside the figures of this one
            shutil.rmtree(config.out / "rollouts", ignore_errors=True)
        beside = [unit for unit in left if unit.kind != "endurance"]
        alone = [unit for unit in left if unit.kind == "endurance"]
        with _progress(console) as progress:
            task = progress.add_task("starting", total=sum(unit.cost for unit in left))
            for batch, workers in ((beside, config.workers), (alone, 1)):
                for unit, values, seconds in measure(batch, config, workers):
                    measured[unit.key] = {"took": seconds, **_without_nan(values)}
                    run.log(kind=unit.kind, index=unit.index, mark=mark, values=measured[unit.key])
                    progress.update(task, advance=unit.cost, description=f"{unit.kind} {unit.index + 1}")
        records = {kind: [measured[u.key] for u in units if u.kind == kind] for kind in _kinds(units)}
        before = sum(values["took"] for values in kept.values()) / config.workers
        summary = summarise(config, records, sha256, before + time.monotonic() - began)
        full = None if config.full else full_summary()
        run.write_text("report.html", render_report(summary, config.out, full))
        run.summarise(**summary)
    show(console, config.out, summary, full)
    return summary


def plan(config: DemoConfig) -> list[Unit]:
    """What is measured; the long walk comes last and alone, so that its times are the machine's own."""
    units = [Unit("return", i, measure_return, 2.0) for i in range(config.scenes)]
    units += [Unit("walk", i, measure_walk, 1.5) for i in range(config.scenes)]
    units += [Unit("stare", i, measure_stare, 1.6) for i in range(config.stares)]
    if config.long_steps:
        units.append(Unit("endurance", 0, measure_endurance, config.long_steps / 40))
    return units


def fingerprint(config: DemoConfig, weights_sha256: str) -> str:
    """What a measurement depends on, beside its room: kept ones of another fingerprint are not used."""
    content = [__version__, weights_sha256, *(getattr(config, name) for name in SAME)]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def unfinished(out: Path, mark: str) -> dict[tuple[str, int], Record]:
    """The measurements that an unfinished run left in its folder; none of a finished one."""
    path = out / "metrics.jsonl"
    if (out / "summary.json").exists() or not path.is_file():
        return {}
    lines = [line for line in read_metrics(path) if line.get("mark") == mark]
    return {(line["kind"], line["index"]): line["values"] for line in lines}


def summarise(
    config: DemoConfig, records: dict[str, list[Record]], weights_sha256: str, seconds: float
) -> dict[str, Any]:
    """What summary.json holds: every figure that the report shows."""
    returns, walks = records.get("return", []), records.get("walk", [])
    endurance = records["endurance"][0] if records.get("endurance") else {}
    grounded = (arms.VIDEO, arms.STEREO) if endurance else ()
    alone = [{"seconds": {arm: endurance[arm]["seconds"] for arm in grounded}}]
    milliseconds = {arm: [1000 * s for s in endurance[arm]["block_seconds"]] for arm in grounded}
    return {
        "command": config.command,
        "scenes": config.scenes,
        "stares": config.stares,
        "seconds": seconds,
        "peak_megabytes": peak_megabytes(config.workers),
        "weights_sha256": weights_sha256,
        "config": to_mapping(replace(config, out=Path(config.out.name))),
        "versions": environment.describe(),
        "figures": [as_mapping(f) for f in table(records)],
        "arms": _without_nan(arm_table(returns)),
        "curves": {
            "all": _curves(returns, lambda r, name: r["errors"][name]["all"]),
            "seen": _curves(returns, lambda r, name: r["errors"][name]["seen"]),
            "walk": _curves(walks, lambda r, name: r["errors"][name]),
        },
        "seconds_per_frame": {arm: seconds_per_frame(returns, arm) for arm in arms.ARMS},
        "seconds_alone": {arm: seconds_per_frame(alone, arm) for arm in grounded},
        "endurance": milliseconds,
        "block": endurance.get("block", 0),
        "gaussians": next((r["gaussians"] for r in (*records.get("stare", []), *returns)), 0),
    }


def full_summary() -> dict[str, Any] | None:
    """The summary of the full run that comes with the package, where there is one."""
    if not FULL_SUMMARY.is_file():
        return None
    return json.loads(FULL_SUMMARY.read_text(encoding="utf-8"))


def _curves(records: Sequence[Record], errors: Any) -> dict[str, list[float | None]]:
    names = [*arms.ARMS, "frozen", "copy", "nearest past frame", "pure warp", "composite"]
    found: dict[str, list[float | None]] = {}
    for name in names:
        if records and name in records[0]["errors"]:
            found[name] = curve(records, lambda r, name=name: errors(r, name))
    return found


def _progress(console: Console) -> Progress:
    columns = (TextColumn("{task.description:<14}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    return Progress(*columns, TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(), console=console)


def _kinds(units: Sequence[Unit]) -> list[str]:
    return list(dict.fromkeys(unit.kind for unit in units))


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
