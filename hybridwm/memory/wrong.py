"""A scene with splats that are wrong: what training shows the core now and then, and what evaluation asks of it."""

from __future__ import annotations

from dataclasses import replace

import torch

from recon import GaussianScene


def wrong_splats(scene: GaussianScene, share: float, generator: torch.Generator) -> GaussianScene:
    """The scene with a share of its splats (drawn one by one) at random places of its box, in the colours of others."""
    if len(scene) == 0:
        return scene
    gaussians = scene.gaussians
    wrong = torch.rand(len(scene), generator=generator) < share
    low, high = gaussians.means.amin(0), gaussians.means.amax(0)
    places = low + (high - low) * torch.rand(gaussians.means.shape, generator=generator)
    order = torch.randperm(len(scene), generator=generator)
    means = torch.where(wrong[:, None], places, gaussians.means)
    sh = torch.where(wrong[:, None, None], gaussians.sh[order], gaussians.sh)
    return replace(scene, gaussians=replace(gaussians, means=means, sh=sh))
