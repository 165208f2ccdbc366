"""A noise level for each frame: what the future may not change, what a noisy history costs, and three ways to sample.

Controls: an edit to the past is not without effect; with no history shown, its noise costs nothing.
With a twin (weights trained with one level for all frames) the same histories are shown to both.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..core.codec import decode_eyes
from ..core.conditioning import Recalled
from ..core.video_core import VideoCore
from ..memory.nothing import NothingMemory
from ..run_folder import RunFolder
from ..study import arms
from ..study.drift import Moments, distance, over_scenes, random_features
from ..study.episodes import Episode
from ..study.measure_endurance import _clip
from ..study.measure_walks import step_errors
from ..study.pool import Unit
from ..study.pool import measure as in_workers
from ..study.statistics import bootstrap, psnr_statistic
from ..study.trajectories import random_walk
from ..world_model import WorldModel
from .core_setup import VIEWS, CoreSetup, described, keep

SCENES = 24
LEVELS = (0.0, 0.02, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)
PLACES = (0, 8, 16, 24)  # in the walk, at which a frame is imagined from a noisy history
AHEAD = 8  # frames of a continuation by each schedule
SCHEDULE_STEPS = 4  # solver steps of a frame: with one, a pyramid is autoregressive
SCHEDULES = ("autoregressive", "pyramid", "full_sequence")
EDITED = 5  # the first frame of the VIEWS that an edit changes


def measure(weights: str, setup: CoreSetup, folder: RunFolder | None = None) -> dict[str, Any]:
    """Largest change by an edit to the future, rank correlation of history noise and error, figures by schedule."""
    units = [Unit("noise", i, scene) for i in range(setup.scenes(SCENES))]
    records = [record for _, record, _ in in_workers(units, setup, setup.workers)]
    records.sort(key=lambda record: record["seed"])
    for record in records:
        keep(folder, area="noise", **{name: value for name, value in record.items() if name != "features"})
    figures: dict[str, Any] = {
        "edit to the future": {name: max(record["edit"][name] for record in records) for name in records[0]["edit"]}
    }
    for name in records[0]["curves"]:
        curves = np.array([record["curves"][name] for record in records])  # [S, levels, (total, count)]
        figures[name] = {
            "Spearman of noise and error": described(bootstrap(curves, _rank_correlation)),
            **{f"PSNR at {level:g}": described(bootstrap(curves[:, i], psnr_statistic))
               for i, level in enumerate(LEVELS)},
        }  # fmt: skip
    return figures | _schedules(records)


def scene(setup: CoreSetup, index: int) -> dict[str, Any]:
    """One room: changes by edits, errors by history noise, and continuations by schedule."""
    seed = setup.first_seed + index
    walk = random_walk(seed, VIEWS + max(PLACES[-1] + 1, AHEAD), arms.rig(setup.weights))
    model = arms.world(setup.weights, arms.VIDEO)
    curves = {"history": curve(model, walk), "no history": curve(model, walk, shown=False)}
    if setup.twin:
        curves["twin's history"] = curve(arms.world(setup.twin, arms.VIDEO), walk)
    return {"seed": seed, "edit": edits(model.core, walk), "curves": curves, **continuations(model, walk)}


@torch.no_grad()
def edits(core: VideoCore, walk: Episode) -> dict[str, float]:
    """Largest change (frames of -1...1): of the frames before EDITED and from there on, when all from there on are
    others; and of those from there on, when the one before is another."""
    clip = _clip(core, walk, VIEWS)

    def change(edited: slice) -> Tensor:
        """Of every frame, when the frames `edited`, and all that is told of them but times and steps, are others."""
        noisy, told = clip.noisy.clone(), {}
        noisy[:, edited] = -noisy[:, edited]
        for each in fields(clip.told):
            value = getattr(clip.told, each.name)
            if isinstance(value, Tensor) and value.is_floating_point() and each.name not in ("t", "steps"):
                told[each.name] = value.clone()
                told[each.name][:, edited] = 1.1 * value[:, edited] + 0.1
        one = core.network(clip.noisy, clip.told).frames
        two = core.network(noisy, replace(clip.told, **told)).frames
        return (one - two).abs()[0]

    future, past = change(slice(EDITED, None)), change(slice(EDITED - 1, EDITED))
    return {
        "change before": float(future[:EDITED].max()),
        "change after": float(future[EDITED:].max()),
        "change after an edit to the past": float(past[EDITED:].max()),
    }


@torch.no_grad()
def curve(model: WorldModel, walk: Episode, *, shown: bool = True) -> list[list[float]]:
    """[sum of squared 8-bit errors, count] of the next frame, by the noise level at which the history is shown."""
    errors = np.zeros((len(LEVELS), 2))
    for place in PLACES:
        episode = walk.window(place, VIEWS, 1)
        for i, level in enumerate(LEVELS):
            memory = model.memory if shown else NothingMemory(frames=0)
            noisy = WorldModel(model.core, memory, solver_steps=model.solver_steps, context_noise=level)
            context = arms.begin(noisy, episode).context
            video = noisy.core.imagine(
                context, Recalled(), episode.cameras[0], episode.actions[0], solver_steps=model.solver_steps
            )
            errors[i] += np.array(step_errors(decode_eyes(model.core.codec, video)[0][None], episode.truth))[0]
    return errors.tolist()


def continuations(model: WorldModel, walk: Episode) -> dict[str, Any]:
    """Errors and features of AHEAD frames by each schedule, and how far the autoregressive one is from the loop."""
    model = WorldModel(model.core, model.memory, solver_steps=SCHEDULE_STEPS)
    episode = walk.window(0, VIEWS, AHEAD)
    state = arms.begin(model, episode)
    loop = arms.roll(model, episode, state).frames
    shown = {"loop": loop}
    for schedule in SCHEDULES:
        video = model.core.sample(
            state.context, [Recalled()] * AHEAD, list(episode.cameras), episode.actions,
            schedule=schedule, solver_steps=model.solver_steps,
        )  # fmt: skip
        shown[schedule] = decode_eyes(model.core.codec, video)[0]
    true = Moments.of(random_features(episode.truth))
    return {
        "difference": {name: float((shown[name] - loop).abs().max()) for name in SCHEDULES},
        "errors": {
            name: np.array(step_errors(frames, episode.truth)).sum(0).tolist() for name, frames in shown.items()
        },
        "features": {name: (Moments.of(random_features(frames)), true) for name, frames in shown.items()},
    }


def spearman(values: Float[np.ndarray, "*R L"]) -> np.ndarray | np.floating:
    """Rank correlation of each row with its own order, 0 where the row does not vary; ties are not averaged."""
    ranks = values.argsort(-1).argsort(-1).astype(float)
    order = np.arange(values.shape[-1])
    centred = (ranks - ranks.mean(-1, keepdims=True)) * (order - order.mean())
    varies = np.ptp(values, axis=-1) > 0
    return np.where(varies, centred.sum(-1) / ((order - order.mean()) ** 2).sum(), 0.0)


def _rank_correlation(curves: Float[np.ndarray, "*R S L 2"]) -> np.ndarray | np.floating:
    """Of the level and the error that is pooled over scenes."""
    pooled = curves.sum(-3)
    return spearman(pooled[..., 0] / pooled[..., 1])


def _schedules(records: list[dict[str, Any]]) -> dict[str, Any]:
    """PSNR and FD_r of each schedule, and FD_r over that of the autoregressive one."""
    count = len(records)
    far = {name: distance([record["features"][name] for record in records]) for name in records[0]["features"]}
    figures: dict[str, Any] = {}
    for name in SCHEDULES:
        figures[f"{name} against the loop"] = max(record["difference"][name] for record in records)
        errors = np.array([record["errors"][name] for record in records])
        ratio = over_scenes(count, lambda scenes, name=name: far[name](scenes) / far["autoregressive"](scenes))
        figures[name] = {
            "PSNR": described(bootstrap(errors, psnr_statistic)),
            "FD_r": described(over_scenes(count, far[name])),
            "FD_r over that of autoregressive": described(ratio),
        }
    return figures
