"""Gaussians for what the views show but no depth was measured of: glass, black things, what is too far away."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from render.camera import Camera
from render.gaussians import Gaussians, pad_sh
from render.geometry import normals_from_depth
from render.rasterize import RenderOutput

from .lift import lift_pixels
from .scene import GaussianScene
from .view import View

CONFIDENCE = 0.1  # of a guessed depth
BLIND = 0.5  # alpha below which the scene does not know a pixel


@torch.no_grad()
def seed_uncovered(
    scene: GaussianScene, views: Sequence[View], draw: Callable[[Gaussians, Camera], RenderOutput], most: int
) -> GaussianScene:
    """The scene with Gaussians where a view sees nothing of it, at a depth filled in from around; `most` at the most.

    They come after the others, are observed (a measured image shows them) with 0 confirmations and little
    confidence, and are there to be moved: nothing else of them is known. A view that the scene does not touch at all
    adds none.
    """
    made, room = [scene], most - len(scene)
    for step, view in enumerate(views):
        if room <= 0:
            break
        splats = Gaussians.cat([part.gaussians for part in made])
        output = draw(splats, view.camera)
        blind = output.alpha < BLIND
        known = (output.depth > 0) & ~blind
        pixels = blind.flatten().nonzero().squeeze(1)
        if not bool(known.any()) or len(pixels) == 0:
            continue
        pixels = pixels[:: -(-len(pixels) // room)]
        depth = filled(output.depth, known)
        lifted = lift_pixels(replace(view, depth=depth), pixels, normals_from_depth(depth, view.camera))
        count = len(pixels)
        sh = pad_sh(lifted.gaussians.sh, max(scene.gaussians.sh.shape[1], 1))
        features = scene.gaussians.features
        features = None if features is None else features.new_zeros(count, features.shape[1])
        made.append(
            GaussianScene(
                replace(lifted.gaussians, sh=sh, features=features),
                observed=torch.ones_like(pixels, dtype=torch.bool),
                step=torch.full_like(pixels, step, dtype=torch.int32),
                confirmations=torch.zeros_like(pixels, dtype=torch.int32),
                confidence=torch.full_like(lifted.confidence, CONFIDENCE),
                direction=lifted.direction,
            )
        )
        room -= count
    return GaussianScene.cat(made) if len(made) > 1 else scene


def filled(depth: Float[Tensor, "H W"], known: Bool[Tensor, "H W"]) -> Float[Tensor, "H W"]:
    """The depth where it is known, and around it the means of ever larger neighbourhoods (push and pull)."""
    weights = [known.to(depth.dtype)[None, None]]
    values = [(depth * known)[None, None]]
    while max(weights[-1].shape[-2:]) > 1 and not bool((weights[-1] > 0).all()):
        weight = avg_pool2d(weights[-1], 2, ceil_mode=True)
        value = avg_pool2d(values[-1] * weights[-1], 2, ceil_mode=True)
        values.append(torch.where(weight > 0, value / weight.clamp(min=1e-12), 0))
        weights.append((weight > 0).to(depth.dtype))
    result = values[-1]
    for value, weight in zip(values[-2::-1], weights[-2::-1], strict=True):
        coarse = interpolate(result, size=value.shape[-2:], mode="bilinear", align_corners=False)
        result = torch.where(weight > 0, value, coarse)
    return result[0, 0]
