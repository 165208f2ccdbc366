"""History guidance: exact at weights 1 and 0, what it costs, and what it does to motion, sharpness and FD_r.

The claim to test: fractional history keeps motion that plain guidance loses (Song et al. 2025). A twin, trained with
histories that are whole or not there at all, has never seen the noisy history that fractional guidance shows.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from ..core.conditioning import Recalled
from ..core.guidance import HistoryGuidance
from ..run_folder import RunFolder
from ..study import arms
from ..study.drift import Moments, distance, over_scenes, random_features
from ..study.episodes import Episode
from ..study.metrics import gradient_energy, motion
from ..study.pool import Unit
from ..study.pool import measure as in_workers
from ..study.trajectories import random_walk
from ..world_model import WorldModel
from .core_setup import VIEWS, CoreSetup, described, keep

SCENES = 16
STEPS = 24  # imagined frames
WEIGHTS = (1.0, 1.5, 3.0)
NOISE = 0.5  # flow time of the noisy history
# Fractional guidance of weight 1 is plain guidance of weight 1.
KINDS = {"vanilla": WEIGHTS, "fractional": WEIGHTS[1:], "temporal": WEIGHTS}
PLAIN = "vanilla, weight 1"


def guidance_of(kind: str, weight: float, window: int) -> HistoryGuidance:
    """By kind; temporal guidance is over the newest frame and over all of the window."""
    if kind == "fractional":
        return HistoryGuidance.fractional(weight, NOISE)
    return HistoryGuidance.temporal(weight, (1, window)) if kind == "temporal" else HistoryGuidance.vanilla(weight)


def measure(weights: str, setup: CoreSetup, folder: RunFolder | None = None) -> dict[str, Any]:
    """Differences that must be 0, and figures by kind and weight, each also over plain guidance of that weight."""
    units = [Unit("guidance", i, scene) for i in range(setup.scenes(SCENES))]
    records = [record for _, record, _ in in_workers(units, setup, setup.workers)]
    records.sort(key=lambda record: record["seed"])
    for record in records:
        looks = {
            whose: {name: {k: v for k, v in look.items() if k != "features"} for name, look in looks.items()}
            for whose, looks in record["looks"].items()
        }
        keep(folder, area="guidance", seed=record["seed"], ends=record["ends"], looks=looks)
    ends = {name: max(record["ends"][name] for record in records) for name in records[0]["ends"]}
    figures: dict[str, Any] = {"ends": ends, **_figures([record["looks"]["ours"] for record in records])}
    if setup.twin:
        figures["twin"] = _figures([record["looks"]["twin"] for record in records])
    return figures


def scene(setup: CoreSetup, index: int) -> dict[str, Any]:
    """One room: the differences at the ends, and what rollouts look like by guidance."""
    walk = random_walk(setup.first_seed + index, VIEWS + STEPS, arms.rig(setup.weights))
    episode = walk.window(0, VIEWS, STEPS)
    whose = {"ours": setup.weights} | ({"twin": setup.twin} if setup.twin else {})
    models = {name: arms.world(weights, arms.VIDEO) for name, weights in whose.items()}
    return {
        "seed": setup.first_seed + index,
        "ends": ends_of(models["ours"], episode),
        "looks": {name: looks_of(model, episode) for name, model in models.items()},
    }


@torch.no_grad()
def ends_of(model: WorldModel, episode: Episode) -> dict[str, float]:
    """Largest differences of the next frame (-1…1) from the one with all of the history, and from the one with none."""
    core, context = model.core, arms.begin(model, episode).context

    def next_frame(guidance: HistoryGuidance | None, shown: bool = True) -> torch.Tensor:
        seen = context if shown else replace(context, pages=())
        camera, action = episode.cameras[0], episode.actions[0]
        return core.imagine(seen, Recalled(), camera, action, solver_steps=model.solver_steps, guidance=guidance)

    conditional, unconditional = next_frame(None), next_frame(None, shown=False)
    one, none = (next_frame(HistoryGuidance.vanilla(weight)) for weight in (1.0, 0.0))
    return {
        "weight 1 against conditional": float((one - conditional).abs().max()),
        "weight 0 against conditional": float((none - conditional).abs().max()),
        "weight 0 against unconditional": float((none - unconditional).abs().max()),
        "weight 1 against unconditional": float((one - unconditional).abs().max()),
    }


def looks_of(model: WorldModel, episode: Episode) -> dict[str, dict[str, Any]]:
    """By guidance: (imagined, true) motion, gradient energy and features, and network calls a frame."""
    truth = episode.truth
    true = Moments.of(random_features(truth))
    looks = {}
    for kind, weights in KINDS.items():
        for weight in weights:
            guidance = guidance_of(kind, weight, model.core.config.window)
            calls: list[None] = []
            counting = model.core.network.register_forward_pre_hook(lambda *_, calls=calls: calls.append(None))
            try:
                guided = WorldModel(model.core, model.memory, solver_steps=model.solver_steps, guidance=guidance)
                frames = arms.roll(guided, episode).frames
            finally:
                counting.remove()
            looks[f"{kind}, weight {weight:g}"] = {
                "motion": (motion(frames), motion(truth)),
                "gradient": (gradient_energy(frames), gradient_energy(truth)),
                "features": (Moments.of(random_features(frames)), true),
                "calls": len(calls) / len(frames),
                "told": float(guidance.calls * model.solver_steps),
            }
    return looks


def _figures(records: list[dict[str, dict[str, Any]]]) -> dict[str, Any]:
    """Pooled over scenes, with bootstrap intervals."""
    count = len(records)
    sums = {
        what: {name: np.array([record[name][what] for record in records]) for name in records[0]}
        for what in ("motion", "gradient")
    }
    far = {name: distance([record[name]["features"] for record in records]) for name in records[0]}
    figures: dict[str, Any] = {}
    for name in records[0]:
        own: dict[str, Any] = {}
        for what, pairs in sums.items():
            ratio = over_scenes(count, lambda scenes, p=pairs[name]: p[scenes, 0].sum(-1) / p[scenes, 1].sum(-1))
            own[f"{what} ratio"] = described(ratio)
        own["FD_r"] = described(over_scenes(count, far[name]))
        own["calls a frame"] = max(record[name]["calls"] for record in records)
        own["calls beyond those told"] = max(abs(record[name]["calls"] - record[name]["told"]) for record in records)
        for other in {PLAIN, f"vanilla, weight {name.rsplit(' ', 1)[-1]}"} - {name}:
            more = over_scenes(
                count,
                lambda scenes, a=sums["motion"][name], b=sums["motion"][other]: (
                    a[scenes, 0].sum(-1) / b[scenes, 0].sum(-1)
                ),
            )
            further = over_scenes(count, lambda scenes, a=far[name], b=far[other]: a(scenes) / b(scenes))
            own[f"over {other}"] = {"motion": described(more), "FD_r": described(further)}
        figures[name] = own
    return figures
