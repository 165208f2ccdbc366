"""The dynamic gate: a reprojection test that keeps things that move out of the static scene.

A pixel moves when more of the last views saw through its place than saw its surface there; or when it stands before
a surface that the scene knows, until the last views that looked at its place confirm it. What is newly seen passes: a
place at which no view has looked says nothing of motion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from render.camera import Camera
from render.geometry import unproject
from render.rasterize import RenderOutput

from .agreement import NEAR, FuseConfig, observed_alpha_of, pool, tolerance_share
from .view import View

CONFIRMING_VIEWS = 2  # of the earlier views that looked there, how many must have measured what contradicts the scene
KNOWN_ALPHA = 0.9  # observed share from which a recalled surface can be contradicted
GROWN = 8  # pixels by which moving pixels claim the contradicting surface around them
RIM = 1  # pixels of the same surface around what moves that go with it


def without_moving(
    view: View, recalled: RenderOutput | None = None, earlier: Sequence[View] = (), config: FuseConfig | None = None
) -> View:
    """The view with confidence 0 where its content moves, so that fusion neither adds nor carves there."""
    moving = moving_pixels(view, recalled, earlier, config)
    if not bool(moving.any()):
        return view
    trust = torch.ones_like(view.image[..., 0]) if view.confidence is None else view.confidence
    return replace(view, confidence=torch.where(moving, torch.zeros_like(trust), trust))


def moving_pixels(
    view: View, recalled: RenderOutput | None = None, earlier: Sequence[View] = (), config: FuseConfig | None = None
) -> Bool[Tensor, "H W"]:
    """Pixels whose content moves. The view needs depth.

    recalled: the scene rendered at the view's camera, with the observed share as its first feature. earlier: the
    views before this one, with depth and of the same size; others are passed over. Without both nothing moves.
    """
    if view.depth is None:
        raise ValueError("moving_pixels needs View.depth; got None. Measure it with recon.depth_source(…) first.")
    config = config or FuseConfig()
    depth = view.depth
    trust = _trust(view)
    limit = tolerance_share(trust, config) * depth
    through, confirmed, looked = _votes(view, trust, earlier, config)
    measured = (depth > 0) & (trust >= config.min_confidence)
    moving, doubtful = measured & (through > confirmed), measured & (through > 0)
    if recalled is not None:
        known = -pool(torch.where(recalled.depth > 0, -recalled.depth, -torch.inf))
        contradicts = measured & (observed_alpha_of(recalled) >= KNOWN_ALPHA)
        contradicts &= depth < known - config.refute_margin * limit
        moving |= contradicts & (confirmed < looked.clamp(max=CONFIRMING_VIEWS))
        doubtful |= contradicts
    if bool(moving.any()):
        for _ in range(GROWN):
            grown = moving | (doubtful & _beside(moving, depth, limit))
            if torch.equal(grown, moving):
                break
            moving = grown
        for _ in range(RIM):
            moving = moving | (measured & _beside(moving, depth, limit))
    return moving


def _votes(
    view: View, trust: Float[Tensor, "H W"], earlier: Sequence[View], config: FuseConfig
) -> Int[Tensor, "3 H W"]:
    """How many of the earlier views saw through each pixel's place, measured its surface there, and looked at it."""
    assert view.depth is not None
    shape, size = view.depth.shape, (view.height, view.width)
    others = [other for other in earlier if other.depth is not None and (other.height, other.width) == size]
    if not others:
        return torch.zeros(3, *shape, dtype=torch.int64, device=view.depth.device)
    cameras = Camera.stack([other.camera for other in others])
    surfaces = torch.stack([other.depth for other in others if other.depth is not None])
    trusts = torch.where(surfaces > 0, torch.stack([_trust(other) for other in others]), 0.0)
    nearest = -pool(torch.where(trusts >= config.min_confidence, -surfaces, -torch.inf))

    points = unproject(view.depth, view.camera).reshape(-1, 3).T
    moved = cameras.w2c[:, :3, :3] @ points + cameras.w2c[:, :3, 3:]
    z = moved[:, 2]
    column, row = (cameras.K[:, :2, :2] @ (moved[:, :2] / z.clamp(min=NEAR)[:, None]) + cameras.K[:, :2, 2:]).unbind(1)
    inside = (z > NEAR) & (column >= 0) & (column < size[1]) & (row >= 0) & (row < size[0])
    pixel = torch.where(inside, row.floor() * size[1] + column.floor(), 0).long()
    its_trust = trusts.flatten(1).gather(1, pixel) * inside
    tolerance = tolerance_share(torch.minimum(trust.flatten(), its_trust), config) * z
    through = z < nearest.flatten(1).gather(1, pixel) - config.refute_margin * tolerance
    through &= its_trust >= config.refute_confidence
    beyond = z - surfaces.flatten(1).gather(1, pixel)
    usable = its_trust >= config.min_confidence
    confirmed, looked = usable & (beyond.abs() <= tolerance), usable & (beyond <= tolerance)
    return torch.stack([through, confirmed, looked]).sum(1).reshape(3, *shape)


def _beside(
    moving: Bool[Tensor, "H W"], depth: Float[Tensor, "H W"], limit: Float[Tensor, "H W"]
) -> Bool[Tensor, "H W"]:
    """Pixels beside a moving one of the same surface."""
    farthest, negative_nearest = pool(torch.where(moving, torch.stack([depth, -depth]), -torch.inf))
    return ((farthest - depth).abs() <= limit) | ((negative_nearest + depth).abs() <= limit)


def _trust(view: View) -> Float[Tensor, "H W"]:
    return torch.ones_like(view.image[..., 0]) if view.confidence is None else view.confidence
