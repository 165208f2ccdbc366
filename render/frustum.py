"""What a box of Gaussians can be to a camera: out of its image for certain, or at least so far away."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from .camera import Camera
from .rasterize import DILATION, MIN_ALPHA, NEAR

# A Gaussian of opacity 1 falls to alpha = 1/255 at this many standard deviations.
REACH = (-2 * torch.log(torch.tensor(MIN_ALPHA, dtype=torch.float64))).sqrt().item()
MARGIN = 0.15  # share of the image beyond which the projection's Jacobian is frozen, see rasterize_torch


def boxes_in_view(
    lowest: Float[Tensor, "M 3"], highest: Float[Tensor, "M 3"], largest: Float[Tensor, "*#V M"], camera: Camera
) -> Bool[Tensor, "V M"]:
    """Whether Gaussians with centres in each box (world, metres) may reach the image of each camera [V].

    largest: of each box, or of each box for each camera, the largest standard deviation, metres. True for some boxes
    that do not reach it, False for none that do, by the rasterizer's own bounds: with depth z and focal length f, a
    Gaussian's half width in the image is at most REACH (f / z * largest * sqrt(1 + slope^2) + sqrt(DILATION)).
    """
    in_camera, spread = _in_cameras(lowest, highest, camera)
    K = camera.K.reshape(-1, 3, 3).to(in_camera)
    largest = largest.to(in_camera)
    # One part in a thousand for the float32 in which the kernels compute.
    seen = in_camera[..., 2] + spread[..., 2] > NEAR * (1 - 1e-3)
    size = (camera.width, camera.height)
    for axis in (0, 1):
        focal, center = K[:, axis, axis, None], K[:, axis, 2, None]
        slope = torch.maximum(center, size[axis] - center).abs() + MARGIN * size[axis]
        reach = REACH * largest * (1 + (slope / focal) ** 2).sqrt() * (1 + 1e-3)
        border = REACH * DILATION**0.5 + 0.5
        # u + reach >= 0 and u - reach <= width, both times z / f: linear in the centre, so a corner decides.
        for sign, edge in ((1, center + border), (-1, size[axis] - center + border)):
            normal = camera.w2c.reshape(-1, 4, 4)[:, axis, :3].to(in_camera) * sign
            normal = normal + camera.w2c.reshape(-1, 4, 4)[:, 2, :3].to(in_camera) * (edge / focal)
            half = (highest - lowest).to(in_camera) / 2
            middle = sign * in_camera[..., axis] + edge / focal * in_camera[..., 2]
            seen &= middle + normal.abs() @ half.T + reach >= 0
    return seen


def nearest_depths(lowest: Float[Tensor, "M 3"], highest: Float[Tensor, "M 3"], camera: Camera) -> Float[Tensor, "V M"]:
    """The smallest z in each camera [V] of each box, metres; NEAR where the box reaches the camera or behind."""
    in_camera, spread = _in_cameras(lowest, highest, camera)
    return (in_camera[..., 2] - spread[..., 2]).clamp(min=NEAR)


def _in_cameras(lowest: Tensor, highest: Tensor, camera: Camera) -> tuple[Tensor, Tensor]:
    """The boxes' middles [V, M, 3] and half extents along the axes of the cameras, in float64."""
    lowest, highest = lowest.to(torch.float64), highest.to(torch.float64)
    w2c = camera.w2c.reshape(-1, 1, 4, 4).to(lowest)
    middle = (w2c[..., :3, :3] @ ((lowest + highest) / 2)[:, :, None])[..., 0] + w2c[..., :3, 3]
    return middle, (w2c[..., :3, :3].abs() @ ((highest - lowest) / 2)[:, :, None])[..., 0]
