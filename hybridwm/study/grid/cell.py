"""One cell of the grid: one arm's dream of one walk, measured frame by frame; and the guards that need no generator."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors.torch import save_file
from torch import Tensor

from render.files import atomic_write
from render.images import to_uint8

from ...world_model import Rollout, WorldModel, WorldState, imagine
from .. import arms as demo_arms
from .. import guards
from ..reaching import ReachTest, judge
from .arm import add_noise, begin, image_size, model_of, noise_seed, use_of, weights_of
from .config import ArmConfig, StudyConfig
from .measures import measures
from .setting import Setting, setting_of

GUARDS = ("frozen frame", "nearest past frame", "pure warp")
GUARD = "guards"  # the cell in which they are measured
PLANTED_NOISE = 1.0  # dB

@dataclass(frozen=True)
class Cell:
    """What is measured at once: an arm (or the guards), a trajectory, a scene (its number), a repeat (0: the first
    noise seed; training seeds count on)."""

    trajectory: str
    scene: int
    arm: str
    repeat: int


def measure_cell(cell: Cell, study: StudyConfig) -> dict[str, Any]:
    """{"rollouts": [{"arm", "noise_seed", "frames": columns, "rollout": values, "times": seconds}]}, JSON-able."""
    start = time.perf_counter()
    trajectory, seed = study.trajectories[cell.trajectory], study.first_seed + cell.scene
    setting = setting_of(trajectory, seed, image_size(study), study.world)
    if cell.arm == GUARD:
        shown = guard_frames(study, setting)
        rollouts = [_measured(name, 0, frames, setting, {}) for name, frames in shown.items()]
    else:
        arm = study.arms[cell.arm]
        seeds = study.noise_seeds
        model, state = beginning(study, arm, setting, cell.repeat)
        rollout = demo_arms.roll(model, setting.episode, state)
        told = noise_seed(seed, cell.repeat % seeds, arm)
        shown = {cell.arm: planted(arm, rollout.frames, setting, told)}
        times = {"frames": float(len(rollout.frames)), **rollout.seconds}
        rollouts = [_measured(cell.arm, cell.repeat, shown[cell.arm], setting, times, rollout)]
        if setting.goal is not None:
            rollouts[0]["rollout"] |= reached(model, state, setting.goal, rollout)
    if cell.scene < study.videos and cell.repeat == 0:
        _keep(study.out, cell, shown)
    rollouts[0]["times"]["cell"] = time.perf_counter() - start
    return {"rollouts": rollouts}


def beginning(
    study: StudyConfig, arm: ArmConfig, setting: Setting, repeat: int
) -> tuple[WorldModel, WorldState]:
    """The arm's world model, and its state after what was observed. Repeats are noise seeds, then training seeds."""
    names, seeds = weights_of(study, arm), study.noise_seeds
    model = model_of(names[repeat // seeds % len(names)], arm.memory, arm.depth, use_of(study))
    seed = noise_seed(setting.episode.seed, repeat % seeds, arm)
    return model, begin(model, setting.episode, seed, setting.shuffled)


def reached(model: WorldModel, state: WorldState, test: ReachTest, first: Rollout) -> dict[str, float | None]:
    """Every plan dreamt from the same state; the first one was the episode's own."""
    last = [first.frames[-1]]
    for plan in range(1, len(test.plans)):
        last.append(imagine(model, state, test.plans[plan], cameras=test.cameras(plan)).frames[-1])
    found = judge(test, torch.stack(last))
    return {
        "reached": found.reached,
        "reach_metres": found.metres,
        "reach_degrees": found.degrees,
        "rank_correlation": found.rank_correlation,
    }


def planted(arm: ArmConfig, frames: Tensor, setting: Setting, seed: int) -> Float[Tensor, "T H W 3"]:
    """The frames with the arm's planted fault, by which the study itself is checked; as they are without one."""
    episode = setting.episode
    if arm.plant == "noise":
        return add_noise(frames, episode.truth, PLANTED_NOISE, seed)
    if arm.plant == "frozen":
        return guards.frozen(episode.views, len(frames))
    return guards.nearest_past_frame(episode.views, episode.cameras) if arm.plant == "copy-paste" else frames


@torch.no_grad()
def guard_frames(study: StudyConfig, setting: Setting) -> dict[str, Float[Tensor, "T H W 3"]]:
    """What the dream has to beat: frames that no generator made."""
    episode = setting.episode
    shown = {
        GUARDS[0]: guards.frozen(episode.views, len(episode.truth)),
        GUARDS[1]: guards.nearest_past_frame(episode.views, episode.cameras),
    }
    warped = next((arm for arm in study.arms.values() if arm.memory == "splat" and not arm.plant), None)
    if warped is not None:
        model = model_of(weights_of(study, warped)[0], warped.memory, warped.depth, use_of(study))
        state = begin(model, episode, episode.seed, setting.shuffled)
        shown[GUARDS[2]] = guards.pure_warp(demo_arms.render(state, episode.cameras), episode.views, episode.cameras)
    return shown


def _measured(
    arm: str,
    repeat: int,
    frames: Tensor,
    setting: Setting,
    times: dict[str, float],
    rollout: Rollout | None = None,
) -> dict[str, Any]:
    frame, whole = measures(frames, setting, rollout)
    return {"arm": arm, "noise_seed": repeat, "frames": frame, "rollout": whole, "times": dict(times)}


def _keep(out: Path, cell: Cell, shown: Mapping[str, Tensor]) -> None:
    """Frames for the report's videos; of a shard in the shard's own folder."""
    folder = frames_folder(out) / f"{cell.trajectory}-{cell.scene:02d}"
    folder.mkdir(parents=True, exist_ok=True)
    for name, frames in shown.items():
        with atomic_write(folder / f"{name}.safetensors") as temporary:
            save_file({"frames": torch.from_numpy(to_uint8(frames).copy())}, temporary)


def frames_folder(out: Path) -> Path:
    """Where frames wait for the report's videos."""
    return out / "rollouts" / "frames"
