"""Tables as a study writes them, from planted gains in dB, so that verdicts can be held against the truth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from hybridwm.study.grid import table
from hybridwm.study.grid.config import ArmConfig, StudyConfig, TrajectoryConfig

PIXELS = 300.0
ARMS = {
    "video": ArmConfig("recent"),
    "no memory": ArmConfig("none"),
    "loopy": ArmConfig("loopy"),
    "retrieved": ArmConfig("retrieved"),
    "stereo": ArmConfig("splat", "stereo"),
    "monocular": ArmConfig("splat", "monocular"),
    "multiview": ArmConfig("splat", "multiview"),
    "truth": ArmConfig("splat", "truth"),
    "plane": ArmConfig("splat", "constant(2)"),
    "shuffled": ArmConfig("splat", "shuffled"),
}
GAINS = {"no memory": -1.0, "loopy": 0.2, "retrieved": 0.3, "stereo": 2.0, "truth": 2.5, "shuffled": 0.0, "plane": 0.1}


def config(arms: Mapping[str, ArmConfig] | None = None, scenes: int = 16, seeds: int = 1, **more: Any) -> StudyConfig:
    """Two trajectories unless more says otherwise."""
    options: dict[str, Any] = {
        "arms": dict(ARMS if arms is None else arms),
        "trajectories": {"back": TrajectoryConfig("out_and_back", 6), "turn": TrajectoryConfig("full_turn", 6)},
        "scenes": scenes,
        "noise_seeds": seeds,
    }
    return StudyConfig(**{**options, **more})


def tables(
    study: StudyConfig,
    gains: Mapping[str, float],
    *,
    spread: float = 0.3,
    seed_spread: float = 0.0,
    looks: Mapping[str, Mapping[str, float]] | None = None,
    measures: Mapping[str, Mapping[str, float]] | None = None,
    guards: bool = False,
    seed: int = 0,
) -> tuple[pa.Table, pa.Table]:
    """gains: dB over 20 dB + what the scene adds, equal in all masks but "never", which has none.

    spread, seed_spread: standard deviations in dB between scenes and between seeds of one, of each arm apart.
    looks: {arm: {"flow", "change", "gradient", "copied"}} relative to the truth; measures: {arm: {column: value}}.
    """
    rng, rows, times = np.random.default_rng(seed), [], []
    names = [*study.arms, *(("frozen frame", "nearest past frame") if guards else ())]
    for scene in range(study.scenes):
        ease = rng.normal(0, 2)
        for trajectory, walk in study.trajectories.items():
            for arm in names:
                own = gains.get(arm, 0.0) + rng.normal(0, spread)
                look = {"flow": 1.0, "change": 1.0, "gradient": 0.9, **(looks or {}).get(arm, {})}
                for repeat in range(study.noise_seeds if arm in study.arms else 1):
                    keys = {"trajectory": trajectory, "scene": study.first_seed + scene, "arm": arm}
                    keys |= {"noise_seed": repeat, "step": -1}
                    gain = own + rng.normal(0, seed_spread)
                    rows.append(keys | {"drift": -0.1} | _rollout(look, (measures or {}).get(arm, {})))
                    if arm in study.arms:
                        times.append(keys | {"frames": walk.steps, "denoise": 0.1 * walk.steps, "depth": 0.02})
                    for step in range(walk.steps):
                        rows.append(keys | {"step": step} | _frame(20 + ease + gain, ease, look))
    return table.results_table(rows), table.timings_table(times)


def _frame(level: float, ease: float, look: Mapping[str, float]) -> dict[str, float]:
    found = {}
    for mask in ("all", "seen", "never"):
        mse = 255**2 * 10 ** (-(level if mask != "never" else 20 + ease) / 10)
        found |= {f"se_{mask}": mse * PIXELS, f"n_{mask}": PIXELS}
    found |= {"flow": look["flow"], "flow_true": 1.0, "change": 0.05 * look["change"], "change_true": 0.05}
    return found | {"gradient": 0.01 * look["gradient"], "gradient_true": 0.01, "ssim": 0.5 + level / 100}


def _rollout(look: Mapping[str, float], values: Mapping[str, float]) -> dict[str, float]:
    return {**({"copied": look["copied"]} if "copied" in look else {}), **values}
