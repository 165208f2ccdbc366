"""All that the report shows, from the two tables: values, comparisons, verdicts, flags, planted truths, costs."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from ..studentised import studentised
from .comparison import Comparison, compare
from .config import StudyConfig
from .costs import costs
from .flags import blurred_share, looks
from .per_scene import PerScene, by_step, per_scene
from .planted import planted_checks
from .roles import Role, roles_of
from .tasks import ALL, EVERYWHERE
from .verdict import controls, judge
from .words import answer

LEFT_OUT = "LPIPS, DINO and FVD: no local weights were named."


def summarise(config: StudyConfig, results: pa.Table, timings: pa.Table) -> dict[str, Any]:
    """JSON-able; numbers that are not finite are null. `config` says which arm plays which part."""
    values = per_scene(results)
    roles = roles_of(config, values.arms)
    found = looks(results, values)
    verdicts, others = [], []
    judged = [measure for measure in ALL if measure.kind != "motion" and measure.name in values.values]
    for measure in judged:
        verdicts += judge(values, roles, found, measure.name)
        others += controls(values, roles, measure.name)
    ours = [name for name, role in roles.items() if role.part not in ("planted", "guard") and name in values.arms]
    slow = [found[EVERYWHERE, arm] for arm in ours if (EVERYWHERE, arm) in found]
    mapped = [verdict.as_mapping() for verdict in verdicts]
    summary = {
        "run": str(config.out),
        "command": command(config),
        "config": {
            "weights": config.weights,
            "scenes": config.scenes,
            "noise_seeds": config.noise_seeds,
            "seed_scenes": config.seed_scenes,
            "first_seed": config.first_seed,
            "solver_steps": config.solver_steps,
            "trajectories": {name: asdict(one) for name, one in config.trajectories.items()},
        },
        "scenes": len(values.scenes),
        "trajectories": list(values.trajectories),
        "arms": [asdict(role) | {"measured": name in values.arms} for name, role in roles.items()],
        "measures": [asdict(measure) for measure in ALL if measure.name in values.values],
        "missing": [measure.title for measure in ALL if measure.name not in values.values],
        "left_out": LEFT_OUT,
        "answer": answer(mapped),
        "verdicts": mapped,
        "comparisons": _comparisons(values, roles, [c for v in verdicts for c in v.rivals], others),
        "levels": _levels(values),
        "looks": [look.as_mapping() for look in found.values()],
        "blurred_share": blurred_share(found, ours),
        "slowest": [look.as_mapping() for look in sorted(slow, key=lambda look: look.motion)[:4]],
        "planted": planted_checks(values, roles, found, others),
        "curves": _curves(results),
        "costs": costs(results, timings),
    }
    return _plain(summary)


def command(config: StudyConfig) -> str:
    """What makes every number again; the run folder holds its own configuration."""
    return f"hybridwm study {shlex.quote(str(config.out / 'config.yaml'))} --fresh"


def _comparisons(
    values: PerScene, roles: Mapping[str, Role], rivals: list[Comparison], others: list[Comparison]
) -> list[dict[str, Any]]:
    """Of the verdicts, of the controls, and of guards with video only, each once."""
    made = {comparison.name: comparison for comparison in [*rivals, *others]}
    video = next((role.name for role in roles.values() if role.part == "video"), None)
    for role in roles.values():
        against = role.twin if role.part == "planted" else video if role.part == "guard" else None
        if against is None or against not in values.arms or role.name not in values.arms:
            continue
        for trajectory in values.trajectories:
            for measure in ("psnr_seen", "psnr_all"):
                one = compare(values, trajectory, measure, role.name, against)
                if one.test.n:
                    made.setdefault(one.name, one)
    return [comparison.as_mapping() for comparison in made.values()]


def _levels(values: PerScene) -> list[dict[str, Any]]:
    """Every arm's own value on every measure and trajectory, with its 95 % interval over scenes."""
    found = []
    for measure in values.values:
        for trajectory in values.trajectories:
            for arm in values.arms:
                test = studentised(values.scene_values(trajectory, measure, arm))
                if test.n:
                    interval = test.interval()
                    found.append(
                        {
                            "trajectory": trajectory,
                            "measure": measure,
                            "arm": arm,
                            "value": interval.value,
                            "low": interval.low,
                            "high": interval.high,
                            "n": interval.n,
                        }
                    )
    return found


def _curves(results: pa.Table) -> dict[str, dict[str, dict[str, list[float | None]]]]:
    """{mask: {trajectory: {arm: PSNR at each step}}}."""
    curves: dict[str, dict[str, dict[str, list[float | None]]]] = {}
    for mask in ("seen", "all"):
        for (trajectory, arm), line in by_step(results, mask).items():
            curves.setdefault(mask, {}).setdefault(trajectory, {})[arm] = line
    return curves


def _plain(value: Any) -> Any:
    """Nothing but what JSON holds, with eight significant digits, so that machines agree on the text."""
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, int):
        return value
    number = float(value)
    return float(f"{number:.8g}") if math.isfinite(number) else None
