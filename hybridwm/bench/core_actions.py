"""Whether imagined frames move as they were told, with the render dropped.

Action following compares errors under true and under wrong actions; the inverse-dynamics probe reads the action off
two imagined frames. Controls: a frozen frame, and the twin, which ought to be trained on shuffled actions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..run_folder import RunFolder
from ..study import arms, guards
from ..study.inverse_dynamics import Probe, fit_probe, index_of, motion, real_pairs, share_over_share
from ..study.measure_walks import AHEAD, WINDOWS, following_errors
from ..study.pool import Unit
from ..study.pool import measure as in_workers
from ..study.rows import followed
from ..study.statistics import bootstrap
from ..study.trajectories import random_walk
from .core_setup import VIEWS, CoreSetup, described, keep

SCENES = 24
STEPS, QUICK_STEPS = 64, 24
OURS, TWIN, FROZEN, REAL = "ours", "twin", "frozen frame", "real"
SPANS = {"steps 1 to 16": slice(0, 16), "steps 48 to 64": slice(48, 64)}


def measure(weights: str, setup: CoreSetup, folder: RunFolder | None = None) -> dict[str, Any]:
    """Action following 1 and 4 steps ahead, and the probe's shares of right answers on generated and real pairs."""
    probe = fit_probe(*real_pairs(arms.rig(weights)))
    units = [Unit("actions", i, scene) for i in range(setup.scenes(SCENES))]
    records = [record for _, record, _ in in_workers(units, setup, setup.workers)]
    records.sort(key=lambda record: record["seed"])
    for record in records:
        keep(folder, area="actions", seed=record["seed"], following=record["following"])
    figures: dict[str, Any] = {}
    for name in (OURS, TWIN):
        told = [{"following": record["following"][name]} for record in records if name in record["following"]]
        if told:
            figures[name] = {f"following, {key} ahead": described(followed(told, key)) for key in ("1", "4")}
    frozen = [{"following": record["following"][OURS]} for record in records]
    figures[FROZEN] = {
        f"following, {key} ahead": described(followed(frozen, key, true="frozen", wrong=("frozen",)))
        for key in ("1", "4")
    }
    for name in records[0]["motions"]:
        for span, steps in SPANS.items():
            if len(records[0]["actions"][steps]):
                figures.setdefault(name, {})[span] = _shares(records, name, steps, probe)
    return figures


def _shares(records: Sequence[dict[str, Any]], name: str, steps: slice, probe: Probe) -> dict[str, Any]:
    """The probe's share of right actions, and that share over the one on real pairs of the same steps."""
    hits = []
    for record in records:
        told = torch.tensor(record["actions"][steps])
        right = [(probe.actions(torch.tensor(record["motions"][each][steps])) == told) for each in (name, REAL)]
        hits.append([float(n) for each in right for n in (each.sum(), len(told))])
    counts = np.array(hits)
    alone = np.concatenate([counts[:, :2], np.ones_like(counts[:, :2])], 1)
    return {
        "right": described(bootstrap(alone, share_over_share)),
        "over real pairs": described(bootstrap(counts, share_over_share)),
    }


def scene(setup: CoreSetup, index: int) -> dict[str, Any]:
    """One room: errors under true and wrong actions, and the motion between frames of a rollout, by whose it is."""
    seed, steps = setup.first_seed + index, QUICK_STEPS if setup.quick else STEPS
    walk = random_walk(seed, VIEWS + steps, arms.rig(setup.weights))
    episode = walk.window(0, VIEWS, steps)
    windows = [walk.window(int(first), VIEWS, AHEAD) for first in np.linspace(0, steps - AHEAD, WINDOWS)]
    last = episode.views[-1].image
    motions = {REAL: _motions(last, episode.truth), FROZEN: _motions(last, guards.frozen(episode.views, steps))}
    followed = {}
    for name, weights in ((OURS, setup.weights), (TWIN, setup.twin)):
        if weights is not None:
            model = arms.world(weights, arms.VIDEO, setup.use)
            motions[name] = _motions(last, arms.roll(model, episode).frames)
            followed[name] = following_errors(model, windows)
    return {"seed": seed, "actions": index_of(episode.actions).tolist(), "motions": motions, "following": followed}


def _motions(last: Float[Tensor, "H W 3"], frames: Float[Tensor, "T H W 3"]) -> list[list[float]]:
    return motion(torch.cat([last[None], frames[:-1]]), frames).tolist()
