"""Depth-routed memory: the scene says which pixels of which past frames the next camera sees; their colours are shown.

The scene is used for geometry alone. A point that it shows is looked up in past frames, and counts as seen there when
the depth that was measured in that frame is the point's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import grid_sample

from recon import GaussianScene, View
from render import Camera, RenderOutput
from render.geometry import unproject

from ..core.conditioning import Recalled
from .coverage import alignment, pick, seen_from
from .past import Past, PastFrame
from .splat import SceneState, SplatMemory

AGREES = 0.05
"""Share of its depth by which a point may differ from what a past frame measured there."""
SPARSE = 4
"""Every so-many-th pixel along each axis is asked when frames are picked."""
IMAGINED_WORTH = 0.5
"""Worth of an imagined frame's pixel over that of an observed one, when frames are picked."""


@dataclass(frozen=True)
class RoutedState:
    """The scene, and the past frames with their measured depths."""

    scene: SceneState
    past: Past


@dataclass(frozen=True)
class RoutedRecall(Recalled):
    """What routed frames show, and beneath it the scene's own renders, which fusion asks for."""

    beneath: Recalled = field(default_factory=Recalled)


@dataclass(frozen=True)
class RoutedMemory:
    """count: past frames warped for each camera. budget: frames kept."""

    splats: SplatMemory = field(default_factory=SplatMemory)
    count: int = 4
    budget: int = 256
    frames: int | None = None
    grounded: bool = True

    def begin(self, device: Any) -> RoutedState:
        return RoutedState(self.splats.begin(device), Past())

    def recall(self, state: RoutedState, camera: Camera, baseline: float | None) -> RoutedRecall:
        beneath = self.splats.recall(state.scene, camera, baseline)
        if not beneath.renders or not state.past.frames:
            return RoutedRecall(beneath=beneath)
        eyes = [camera, *(camera.moved_right(baseline) for _ in beneath.renders[1:] if baseline is not None)]
        chosen = self._chosen(state.past, beneath.renders, eyes)
        renders = tuple(warped(chosen, render, eye) for render, eye in zip(beneath.renders, eyes, strict=True))
        return RoutedRecall(renders, beneath=beneath)

    def observe(
        self,
        state: RoutedState,
        view: View,
        *,
        observed: bool,
        step: int,
        recalled: Recalled | None,
        earlier: Sequence[View] = (),
    ) -> RoutedState:
        beneath = recalled.beneath if isinstance(recalled, RoutedRecall) else None
        scene = self.splats.observe(state.scene, view, observed=observed, step=step, recalled=beneath, earlier=earlier)
        return RoutedState(scene, state.past.with_frame(PastFrame.of(view, step, observed), self.budget))

    def scene(self, state: RoutedState) -> GaussianScene:
        return self.splats.scene(state.scene)

    def _chosen(self, past: Past, renders: Sequence[RenderOutput], eyes: Sequence[Camera]) -> list[PastFrame]:
        """The frames that explain most of what the scene shows, best aligned first, observed before imagined."""
        some = (slice(SPARSE // 2, None, SPARSE),) * 2
        points = [
            unproject(render.depth, eye)[some][render.depth[some] > 0]
            for render, eye in zip(renders, eyes, strict=True)
        ]
        if not sum(map(len, points)):
            return []
        _, agrees, aligned = _looked_up(past.frames, torch.cat(points), eyes[0])
        worth = [1.0 if frame.observed else IMAGINED_WORTH for frame in past.frames]
        values = agrees * aligned * aligned.new_tensor(worth)[:, None]
        rows = pick(values, self.count)
        alike = (agrees * aligned).sum(1) / agrees.sum(1).clamp(min=1)
        rows.sort(key=lambda i: (not past.frames[i].observed, -float(alike[i])))
        return [past.frames[i] for i in rows]


def warped(frames: Sequence[PastFrame], render: RenderOutput, camera: Camera) -> RenderOutput:
    """The frames' own pixels at the points that a render of the scene shows, the first frame that saw a point first.

    alpha is 1 where a frame explains the pixel; features[..., 0] is 1 where an observed one does.
    """
    h, w = render.depth.shape
    rgb, alpha, share = render.rgb.new_zeros(h * w, 3), render.rgb.new_zeros(h * w), render.rgb.new_zeros(h * w)
    known = (render.depth > 0).flatten().nonzero()[:, 0]
    if frames and len(known):
        pixels, agrees, _ = _looked_up(frames, unproject(render.depth, camera).reshape(-1, 3)[known], camera)
        first = agrees.long().argmax(0)
        explained = agrees.any(0)
        colours = _sampled(torch.stack([frame.image for frame in frames]), pixels)
        observed = alpha.new_tensor([float(frame.observed) for frame in frames])
        alpha[known] = explained.to(alpha)
        share[known] = alpha[known] * observed[first]
        rgb[known] = alpha[known][:, None] * colours.gather(0, first[None, :, None].expand(1, -1, 3))[0]
    alpha = alpha.view(h, w)
    depth = torch.where(alpha > 0, render.depth, torch.zeros_like(render.depth))
    return replace(render, rgb=rgb.view(h, w, 3), alpha=alpha, depth=depth, features=share.view(h, w, 1))


def _looked_up(
    frames: Sequence[PastFrame], points: Float[Tensor, "P 3"], camera: Camera
) -> tuple[Float[Tensor, "N P 2"], Float[Tensor, "N P"], Float[Tensor, "N P"]]:
    """For each frame and point: the pixel, 1 where the frame measured that very point, and how alike the two views."""
    cameras = Camera.stack([frame.camera for frame in frames])
    inside, pixels, z = seen_from(points, cameras)
    depths = torch.stack([_depth(frame) for frame in frames]).flatten(1)
    column = pixels[..., 0].clamp(0, cameras.width - 1).long()
    row = pixels[..., 1].clamp(0, cameras.height - 1).long()
    measured = depths.gather(1, row * cameras.width + column).to(z)
    agrees = inside & (measured > 0) & ((measured - z).abs() <= AGREES * z)
    return pixels, agrees.to(z), alignment(points, camera, cameras)


def _sampled(images: Tensor, pixels: Float[Tensor, "N P 2"]) -> Float[Tensor, "N P 3"]:
    """Colours 0…1 of 8-bit images [N, h, w, 3] at pixels (u, v), bilinear."""
    size = pixels.new_tensor([images.shape[2], images.shape[1]])
    grid = (pixels / size * 2 - 1)[:, :, None]
    planes = (images.to(pixels) / 255).movedim(-1, 1)
    # align_corners=False puts the first pixel's centre at 0.5, as the cameras have it
    sampled = grid_sample(planes, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return sampled[..., 0].movedim(1, -1)


def _depth(frame: PastFrame) -> Tensor:
    if frame.depth is None:
        raise ValueError("RoutedMemory: expected views with depth; got None. Give the world model a depth source.")
    return frame.depth
