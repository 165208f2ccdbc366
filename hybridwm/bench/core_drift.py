"""Drift over 64 and 128 imagined frames in held-out rooms, by the four bounds that hold at once.

Guards, "models" that a bound must catch: the frozen frame, noise, and the observed beginning played again and again.
With a twin (weights trained without what keeps drift down) the same walks are imagined by both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import cycle, islice
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from recon.view import View
from render.images import write_png

from ..run_folder import RunFolder
from ..study import arms, guards, media
from ..study.drift import BOUNDS, WINDOW, Drift, Look, drift_of, growth, over_scenes
from ..study.pool import Unit
from ..study.pool import measure as in_workers
from ..study.trajectories import random_walk
from .core_setup import VIEWS, CoreSetup, described, keep

SCENES = 16
LENGTHS = (64, 128)  # frames; training clips have 8
ARMS = {"video only": arms.VIDEO, "grounded": arms.STEREO}


def frozen(views: Sequence[View], steps: int, seed: int) -> Float[Tensor, "T H W 3"]:
    """The last observed frame, for ever."""
    return guards.frozen(views, steps)


def static(views: Sequence[View], steps: int, seed: int) -> Float[Tensor, "T H W 3"]:
    """Uniform noise."""
    return torch.rand(steps, *views[-1].image.shape, generator=torch.Generator().manual_seed(seed))


def looping(views: Sequence[View], steps: int, seed: int) -> Float[Tensor, "T H W 3"]:
    """The observed frames backwards and forwards, for ever: sharp, moving, and nowhere new."""
    images = [view.image for view in views]
    return torch.stack(list(islice(cycle([*images[-2::-1], *images[1:]]), steps)))


GUARDS: dict[str, Callable[[Sequence[View], int, int], Tensor]] = {
    "frozen frame": frozen,
    "noise": static,
    "looping": looping,
}


def measure(weights: str, setup: CoreSetup, folder: RunFolder | None = None) -> dict[str, Any]:
    """Figures of each arm and guard by number of steps; a contact sheet of the first room as drift.png."""
    units = [Unit("drift", i, scene) for i in range(setup.scenes(SCENES))]
    records = [record for _, record, _ in in_workers(units, setup, setup.workers)]
    records.sort(key=lambda record: record["seed"])
    for record in records:
        for steps, looks in record["looks"].items():
            for name, look in looks.items():
                keep(folder, area="drift", seed=record["seed"], steps=steps, name=name, **_numbers(look))
    if folder is not None:
        write_png(folder.file("drift.png"), media.contact_sheet(records[0]["panels"]))
    figures: dict[str, Any] = {}
    for steps in LENGTHS:
        looks = {name: [record["looks"][steps][name] for record in records] for name in records[0]["looks"][steps]}
        figures[f"{steps} steps"] = {name: _figures(drift_of(found)) for name, found in looks.items()}
        for arm in ARMS if setup.twin else ():
            own, twin = growth(looks[arm]), growth(looks[f"twin, {arm}"])
            ratio = over_scenes(len(records), lambda scenes, own=own, twin=twin: twin(scenes) / own(scenes))
            figures[f"{steps} steps"][arm]["FD_r ratio of the twin over ours"] = described(ratio)
    return figures


def scene(setup: CoreSetup, index: int) -> dict[str, Any]:
    """One room's rollouts: looks by number of steps and name, and the frames of a contact sheet."""
    seed = setup.first_seed + index
    walk = random_walk(seed, VIEWS + LENGTHS[-1], arms.rig(setup.weights))
    episode = walk.window(0, VIEWS, LENGTHS[-1])
    shown = {name: arms.roll(arms.world(setup.weights, arm, setup.use), episode).frames for name, arm in ARMS.items()}
    if setup.twin:
        for name, arm in ARMS.items():
            shown[f"twin, {name}"] = arms.roll(arms.world(setup.twin, arm, setup.use), episode).frames
    panels = {"truth": episode.truth, **shown} if index == 0 else {}
    for name, guard in GUARDS.items():
        shown[name] = guard(episode.views, LENGTHS[-1], seed)
    looks = {
        steps: {name: Look.of(frames[:steps], episode.truth[:steps], WINDOW) for name, frames in shown.items()}
        for steps in LENGTHS
    }
    return {"seed": seed, "looks": looks, "panels": panels}


def _figures(drift: Drift) -> dict[str, Any]:
    """The four figures, both distances, and how many bounds are broken."""
    figures: dict[str, Any] = {name: described(drift.figures[name]) for name in BOUNDS}
    figures |= {"FD_r first": described(drift.first), "FD_r last": described(drift.last)}
    return figures | {"bounds broken": float(len(drift.failed))}


def _numbers(look: Look) -> dict[str, list[float]]:
    return {"gradient": list(look.gradient), "motion": list(look.motion), "likeness": list(look.likeness)}
