"""Every measure of a rollout: the columns of table.FRAME, a value for each frame, and those of table.ROLLOUT."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from recon.scene import GaussianScene

from ...world_model import Rollout
from ..camera_following import camera_following
from ..copying import copied_share, shifted_retrieval
from ..metrics import gradient_energy, psnr_from_mse, quantize, ssim
from ..mirrored_scores import generated_scene_consistency, long_context_memory
from ..optical_motion import flows, mean_length
from ..recall_score import normalised_recall
from ..retrieval import retrieved, view_distances
from ..revisits import revisit_errors
from ..scene_score import score_scene
from .setting import Setting

Columns = dict[str, list[float | None]]


@torch.no_grad()
def measures(
    frames: Float[Tensor, "T H W 3"], setting: Setting, rollout: Rollout | None
) -> tuple[Columns, dict[str, float | None]]:
    """Of the frames along the setting's cameras; rollout: what they came from, None for guards."""
    columns = frame_columns(frames, setting, None if rollout is None else rollout.right)
    return columns, rollout_values(frames, columns, setting, rollout)


def frame_columns(
    frames: Float[Tensor, "T H W 3"], setting: Setting, right: Float[Tensor, "T H W 3"] | None = None
) -> Columns:
    """By column; None where a frame has no such value. right: the other eye's frames."""
    episode = setting.episode
    truth, last = episode.truth, episode.views[-1]
    shown = torch.cat([last.image[None], frames.clamp(0, 1)])
    flow = flows(shown)
    columns: Columns = {name: list(values) for name, values in _errors(frames, setting)}
    columns["ssim"] = [ssim(a[None], b[None]) for a, b in zip(frames, truth, strict=True)]
    columns["change"] = shown.diff(dim=0).abs().mean((1, 2, 3)).tolist()
    columns["flow"] = mean_length(flow).tolist()
    columns["gradient"] = [gradient_energy(frame[None]) for frame in frames]
    columns |= setting.truth_columns()
    eyes = None if right is None or last.right is None else torch.cat([last.right[None], right])
    cameras = [last.camera, *episode.cameras]
    found = camera_following(shown, cameras, eyes, last.baseline if eyes is not None else None, flow)
    columns["followed"] = _known(found.found)
    columns["rotation_error"] = _known(found.rotation)
    columns["translation_error"] = _known(found.translation)
    columns["translation_error_scaled"] = _known(found.scaled)
    before = torch.stack([view.image for view in episode.views])
    again = revisit_errors(torch.cat([before, frames]), [view.camera for view in episode.views] + cameras[1:])
    columns["revisit"] = _known(again[len(before) :].double().numpy())
    return columns


def rollout_values(
    frames: Float[Tensor, "T H W 3"], columns: Mapping[str, list[Any]], setting: Setting, rollout: Rollout | None
) -> dict[str, float | None]:
    """By column; what the route has no measure of is left out."""
    episode, route = setting.episode, setting.route
    stored = torch.stack([view.image for view in episode.views])
    values: dict[str, float] = {
        "drift": drift(columns),
        "nmr": normalised_recall(frames, episode.cameras),
        "copied": copied_share(frames, episode.truth, stored),
    }
    if setting.candidates is not None:
        values["retrieval"] = retrieved(view_distances(frames[-1], setting.candidates))
    if route == "shifted_return":
        values["retrieval"] = shifted_retrieval(frames[-1], episode.truth[-1], torch.cat([stored, episode.truth[:-1]]))
    if route == "mirrored":
        values["gsc"] = generated_scene_consistency(frames)
        values["lcm"] = long_context_memory(frames, episode.truth)
    scene = None if rollout is None else rollout.state.scene
    if scene is not None:
        score = score_scene(scene, episode.cameras, episode.depth)
        values |= {"depth_error": score.depth_error, "f_score": score.f_score, "coverage": score.coverage}
        values |= {"gaussians": float(len(scene)), "scene_bytes": float(scene_bytes(scene))}
    return {name: value if np.isfinite(value) else None for name, value in values.items()}


def scene_bytes(scene: GaussianScene) -> int:
    """What the scene takes in memory: its Gaussians and their provenance."""
    held = [getattr(part, field.name) for part in (scene, scene.gaussians) for field in fields(part)]
    return sum(value.numel() * value.element_size() for value in held if isinstance(value, Tensor))


def drift(columns: Mapping[str, list[Any]]) -> float:
    """Slope of PSNR over steps, dB a step, by least squares; nan for a single frame."""
    pairs = zip(columns["se_all"], columns["n_all"], strict=True)
    levels = np.array([psnr_from_mse(total / count) for total, count in pairs])
    return float(np.polyfit(np.arange(len(levels)), levels, 1)[0]) if len(levels) > 1 else float("nan")


def _errors(frames: Tensor, setting: Setting) -> Iterable[tuple[str, list[float]]]:
    error = ((quantize(frames) - quantize(setting.episode.truth)) ** 2).sum(-1)
    masks = {"all": torch.ones_like(setting.seen), "seen": setting.seen, "never": ~setting.seen}
    if setting.episode.moving is not None:
        masks["moving"] = setting.episode.moving
    for name, mask in masks.items():
        yield f"se_{name}", (error * mask).sum((1, 2)).tolist()
        yield f"n_{name}", (3.0 * mask.sum((1, 2))).tolist()


def _known(values: Float[np.ndarray, " T"]) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]
