"""Rollouts that need no generator: what the world model has to beat before its figures mean anything."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from recon.view import View
from render.camera import Camera
from render.rasterize import RenderOutput

COVERED = 0.5  # a render is believed where its accumulated opacity is above this


def frozen(views: Sequence[View], steps: int) -> Float[Tensor, "T H W 3"]:
    """*copy*: the last observed frame, again and again."""
    return views[-1].image.expand(steps, *views[-1].image.shape).clone()


def nearest_past_frame(views: Sequence[View], cameras: Sequence[Camera]) -> Float[Tensor, "T H W 3"]:
    """For each camera, the observed frame whose camera is nearest: degrees of rotation / 15 + metres / .25.

    The two terms are in units of one turn and one step of the walker; the newest of equally near views is
    taken.
    """
    return torch.stack([views[_nearest(views, camera)].image for camera in cameras])


def covered(renders: Sequence[RenderOutput]) -> Bool[Tensor, "T H W"]:
    """Where each render of the scene is opaque enough to be believed: alpha > .5."""
    return torch.stack([render.alpha > COVERED for render in renders])


def render_colours(renders: Sequence[RenderOutput]) -> Float[Tensor, "T H W 3"]:
    """The renders' own colours, divided by alpha where they are covered; black elsewhere."""
    colours = []
    for render in renders:
        alpha = render.alpha[..., None]
        colours.append(torch.where(alpha > COVERED, render.rgb / alpha.clamp(min=COVERED), 0.0).clamp(0, 1))
    return torch.stack(colours)


def pure_warp(
    renders: Sequence[RenderOutput], views: Sequence[View], cameras: Sequence[Camera]
) -> Float[Tensor, "T H W 3"]:
    """The scene of the observed views rendered from each camera, with no generator.

    Holes (alpha <= .5) show the nearest past frame, the best guess that needs neither depth nor a network.
    """
    past = nearest_past_frame(views, cameras)
    return torch.where(covered(renders)[..., None], render_colours(renders), past)


def composite(renders: Sequence[RenderOutput], video_only: Float[Tensor, "T H W 3"]) -> Float[Tensor, "T H W 3"]:
    """The render where alpha > .5, the video-only rollout elsewhere: both memories, glued without
    learning."""
    return torch.where(covered(renders)[..., None], render_colours(renders), video_only)


def _nearest(views: Sequence[View], camera: Camera) -> int:
    best, best_distance = 0, float("inf")
    for i, view in enumerate(views):
        rotation = view.camera.w2c[:3, :3] @ camera.w2c[:3, :3].T  # view_from_camera
        cosine = ((torch.trace(rotation) - 1) / 2).clamp(-1, 1)
        metres = (view.camera.center - camera.center).norm()
        distance = float(torch.rad2deg(torch.arccos(cosine)) / 15 + metres / 0.25)
        if distance <= best_distance + 1e-4:
            best, best_distance = i, min(distance, best_distance)
    return best
