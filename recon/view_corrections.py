"""What refinement may change of the views: small rigid corrections of their cameras, and their exposures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from render.camera import Camera


class CameraCorrections:
    """One twist for each camera, world to camera: w2c = exp(twist) w2c_first. Rotation in radians, then translation
    in metres. The first camera stays when `anchored`: what all cameras and the scene do together no image shows."""

    def __init__(self, cameras: Sequence[Camera], rate: float, distance: float, anchored: bool) -> None:
        """rate: Adam's step in radians; a translation moves as far as that turns a point at `distance` metres."""
        self.cameras, self.anchored = list(cameras), anchored
        self.unit = cameras[0].w2c.new_tensor([1, 1, 1, distance, distance, distance])
        self.twists = torch.zeros(len(cameras), 6, dtype=cameras[0].dtype, device=cameras[0].device)
        self.rate = rate
        self.optimizer = torch.optim.Adam([self.twists.requires_grad_()], lr=rate)

    def camera(self, i: int) -> Camera:
        """Camera i as it is now; gradients of its w2c reach its twist."""
        if self.anchored and i == 0:
            return self.cameras[0]
        moved = exponential(self.twists[i] * self.unit) @ self.cameras[i].w2c
        return replace(self.cameras[i], w2c=moved)

    def step(self, share: float) -> None:
        _step(self.optimizer, self.rate * share)

    def snapshot(self) -> list[Camera]:
        with torch.no_grad():
            return [self.camera(i) for i in range(len(self.cameras))]


class Exposures:
    """A gain and an offset of each view's colours, relative to the mean of all views, which is the scene's own."""

    def __init__(self, views: int, rate: float, like: Tensor) -> None:
        self.values = torch.zeros(views, 2, 3, dtype=like.dtype, device=like.device)
        self.rate = rate
        self.optimizer = torch.optim.Adam([self.values.requires_grad_()], lr=rate)

    def apply(self, rgb: Float[Tensor, "H W 3"], i: int) -> Float[Tensor, "H W 3"]:
        """The scene's colours as view i's camera would have taken them."""
        log_gain, offset = self.values[i] - self.values.mean(dim=0)
        return rgb * log_gain.exp() + offset

    def step(self, share: float) -> None:
        _step(self.optimizer, self.rate * share)


def exponential(twist: Float[Tensor, "6"]) -> Float[Tensor, "4 4"]:
    """The rigid transform of a twist (rotation vector, then velocity), differentiable at zero as well."""
    x, y, z, *velocity = twist.unbind()
    zero = torch.zeros_like(x)
    rows = [[zero, -z, y, velocity[0]], [z, zero, -x, velocity[1]], [-y, x, zero, velocity[2]], [zero] * 4]
    return torch.linalg.matrix_exp(torch.stack([torch.stack(row) for row in rows]))


def _step(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
