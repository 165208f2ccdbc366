"""The hard bound on the size of a scene, applied before anything is inserted."""

from __future__ import annotations

import torch
from jaxtyping import Bool
from torch import Tensor

from .agreement import FuseConfig
from .scene import GaussianScene


def within_budget(
    scene: GaussianScene,
    added: GaussianScene,
    max_gaussians: int,
    in_view: Bool[Tensor, "N"] | None = None,
) -> GaussianScene:
    """The scene with `added` at its end, never more than max_gaussians (unless the scene alone was larger).

    Room is made by evicting imagined Gaussians, lowest confidence first and those in view last; observed
    ones are never evicted. What still does not fit is refused, lowest confidence first.
    Raises ValueError when max_gaussians < 1.
    """
    if max_gaussians < 1:
        raise ValueError(f"max_gaussians must be at least 1; got {max_gaussians}.")
    missing = len(scene) + len(added) - max_gaussians
    if missing > 0:
        imagined = (~scene.observed).nonzero().squeeze(1)
        rank = scene.confidence[imagined]
        if in_view is not None:
            rank = rank + in_view[imagined]
        evicted = imagined[rank.argsort(stable=True)[: min(missing, len(imagined))]]
        if len(evicted):
            kept = torch.ones(len(scene), dtype=torch.bool, device=scene.device)
            kept[evicted] = False
            scene = scene[kept]
        room = max(0, max_gaussians - len(scene))
        if len(added) > room:
            best = added.confidence.argsort(descending=True, stable=True)[:room]
            added = added[best.sort().values]
    if len(added) == 0:
        return scene
    return added if len(scene) == 0 and scene.gaussians.sh.shape[1] == 1 else GaussianScene.cat([scene, added])


def most_gaussians(scene: GaussianScene, config: FuseConfig) -> int:
    """How many Gaussians both budgets allow. Raises ValueError for bytes that hold none."""
    if config.max_bytes < scene.bytes_each:
        raise ValueError(
            f"FuseConfig.max_bytes: expected at least the {scene.bytes_each} bytes of one Gaussian; "
            f"got {config.max_bytes}."
        )
    return min(config.max_gaussians, config.max_bytes // scene.bytes_each)
