"""How much is lost with few solver steps: one frame ahead of the true past, 1, 2 and 4 steps beside 32.

FD_r is over stacks of four successive predictions, each from its own true past. Controls: the 32-step frames blurred
over 3 x 3 pixels must be told by FD_r, and the last observed frame must be far below in PSNR.

*Familiar* frames are those into which next to nothing enters that the core's own window of frames has not shown: what
video alone loses there against the best arm is not for want of a memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ..core.codec import decode_eyes
from ..run_folder import RunFolder
from ..study import arms
from ..study.drift import STACK, Moments, distance, over_scenes, random_features
from ..study.episodes import Episode
from ..study.measure_walks import step_errors
from ..study.pool import Unit
from ..study.pool import measure as in_workers
from ..study.statistics import bootstrap, psnr_gain_statistic, psnr_statistic
from ..study.trajectories import random_walk
from ..study.visibility import seen_before
from .core_setup import VIEWS, CoreSetup, described, keep

SCENES = 24
SOLVER_STEPS = (1, 2, 4, 32)
MOST = SOLVER_STEPS[-1]
RUNS = (0, 20)  # places in the walk at which STACK successive frames are predicted
ARMS = {"video only": arms.VIDEO, "grounded": arms.STEREO}
ENTERS = 0.02  # share of pixels that may be new in a familiar frame
COPY, BLURRED = "copy", f"{MOST} steps, blurred"


def measure(weights: str, setup: CoreSetup, folder: RunFolder | None = None) -> dict[str, Any]:
    """PSNR in dB and FD_r of each arm by solver steps, and what few steps lose against MOST."""
    units = [Unit("steps", i, scene) for i in range(setup.scenes(SCENES))]
    records = [record for _, record, _ in in_workers(units, setup, setup.workers)]
    records.sort(key=lambda record: record["seed"])
    for record in records:
        keep(folder, area="steps", seed=record["seed"], errors=record["errors"])
    return {arm: _figures(records, arm) for arm in ARMS} | {"familiar": _familiar(records)}


def scene(setup: CoreSetup, index: int) -> dict[str, Any]:
    """One room: sums of squared errors and features of the predictions, by arm and by number of solver steps."""
    seed = setup.first_seed + index
    walk = random_walk(seed, VIEWS + RUNS[-1] + STACK, arms.rig(setup.weights))
    errors: dict[str, dict[str, list[float]]] = {}
    features: dict[str, dict[str, tuple[Moments, Moments]]] = {}
    ahead: dict[str, list[list[float]]] = {}
    for arm in ARMS:
        runs = [predictions(setup.weights, ARMS[arm], walk, first) for first in RUNS]
        errors[arm], features[arm] = {}, {}
        ahead[arm] = [error for shown, truth in runs for error in step_errors(shown["1"], truth)]
        for name in runs[0][0]:
            pairs = [(shown[name], truth) for shown, truth in runs]
            found = np.array([step_errors(frames, truth) for frames, truth in pairs]).sum((0, 1))
            errors[arm][name] = found.tolist()
            own, true = (np.concatenate([random_features(pair[i]) for pair in pairs]) for i in range(2))
            features[arm][name] = (Moments.of(own), Moments.of(true))
    new = [share for first in RUNS for share in entering(setup.weights, walk, first)]
    return {"seed": seed, "errors": errors, "features": features, "ahead": ahead, "new": new}


@torch.no_grad()
def predictions(
    weights: str, arm: str, walk: Episode, first: int
) -> tuple[dict[str, Float[Tensor, "T H W 3"]], Float[Tensor, "T H W 3"]]:
    """STACK successive frames, each imagined one step ahead of what was seen until then, and their truth."""
    model = arms.world(weights, arm)
    frames: dict[str, list[Tensor]] = {str(steps): [] for steps in SOLVER_STEPS} | {COPY: []}
    truth = []
    for t in range(first, first + STACK):
        episode = walk.window(t, VIEWS, 1)
        state, camera, action = arms.begin(model, episode), episode.cameras[0], episode.actions[0]
        recalled = model.memory.recall(state.memory, camera, state.baseline)
        for steps in SOLVER_STEPS:
            video = model.core.imagine(state.context, recalled, camera, action, solver_steps=steps)
            frames[str(steps)].append(decode_eyes(model.core.codec, video)[0])
        frames[COPY].append(episode.views[-1].image)
        truth.append(episode.truth[0])
    shown = {name: torch.stack(found) for name, found in frames.items()}
    shown[BLURRED] = blurred(shown[str(MOST)])
    return shown, torch.stack(truth)


def entering(weights: str, walk: Episode, first: int) -> list[float]:
    """For each predicted frame, the share of its pixels that none of the core's recent frames has shown."""
    window = arms.world(weights, arms.VIDEO).core.config.window
    shares = []
    for t in range(first, first + STACK):
        episode = walk.window(t, VIEWS, 1)
        recent = [(view.depth, view.camera) for view in episode.views[-window:] if view.depth is not None]
        depths, cameras = [depth for depth, _ in recent], [camera for _, camera in recent]
        seen = seen_before(episode.depth[0], episode.cameras[0], depths, cameras)
        shares.append(1 - float(seen.float().mean()))
    return shares


def _familiar(records: list[dict[str, Any]]) -> dict[str, Any]:
    """PSNR of each arm with one solver step over familiar frames, and what video only loses against the other."""
    kept = [[i for i, share in enumerate(record["new"]) if share <= ENTERS] for record in records]
    errors = {
        arm: np.array(
            [np.array(r["ahead"][arm])[i].sum(0) for r, i in zip(records, kept, strict=True) if i]
        ).reshape(-1, 2)
        for arm in ARMS
    }
    if not any(kept):
        return {"frames": 0.0}
    video, grounded = errors.values()
    return {
        "frames": float(sum(map(len, kept))),
        **{arm: {"PSNR": described(bootstrap(found, psnr_statistic))} for arm, found in errors.items()},
        "dB of video only over grounded": described(
            bootstrap(np.concatenate([video, grounded], 1), psnr_gain_statistic)
        ),
    }


def blurred(frames: Float[Tensor, "T H W 3"]) -> Float[Tensor, "T H W 3"]:
    """The mean over 3 x 3 pixels: what averaging outcomes looks like."""
    return F.avg_pool2d(F.pad(frames.movedim(-1, 1), (1,) * 4, mode="replicate"), 3, 1).movedim(1, -1)


def _figures(records: list[dict[str, Any]], arm: str) -> dict[str, Any]:
    count, most = len(records), str(MOST)
    errors = {name: np.array([record["errors"][arm][name] for record in records]) for name in records[0]["errors"][arm]}
    far = {name: distance([record["features"][arm][name] for record in records]) for name in errors}
    figures: dict[str, Any] = {}
    for name in errors:
        psnr, fd_r = bootstrap(errors[name], psnr_statistic), over_scenes(count, far[name])
        label = name if name in (COPY, BLURRED) else f"{name} steps"
        figures[label] = {"PSNR": described(psnr), "FD_r": described(fd_r)}
        if name != most:
            both = np.concatenate([errors[name], errors[most]], 1)
            figures[label][f"dB over {most} steps"] = described(bootstrap(both, psnr_gain_statistic))
            ratio = over_scenes(count, lambda scenes, name=name: far[name](scenes) / far[most](scenes))
            figures[label][f"FD_r over that of {most} steps"] = described(ratio)
    return figures
