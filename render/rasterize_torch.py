"""The readable rasterizer: plain torch, differentiable, any device and float type; the tests' oracle.

The image is cut into small tiles; in each, every splat that can reach it is evaluated at every pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from .camera import Camera
from .checks import check_cameras, check_gaussians
from .gaussians import Gaussians
from .geometry import matrix_from_quats, pixel_grid
from .rasterize import DILATION, MAX_ALPHA, MIN_ALPHA, MIN_TRANSMITTANCE, NEAR, RenderOutput
from .spherical_harmonics import evaluate_sh

TILE = 16


@dataclass(frozen=True)
class Splats:
    """Gaussians in front of the camera, on the image plane, nearest first.

    conics: xx, xy, yy of the inverse 2D covariance.
    reach: half width and half height in pixels of the box outside which alpha < 1/255.
    """

    pixels: Float[Tensor, "M 2"]
    conics: Float[Tensor, "M 3"]
    opacities: Float[Tensor, " M"]
    reach: Float[Tensor, "M 2"]
    channels: Float[Tensor, "M C"]


def rasterize_torch(gaussians: Gaussians, cameras: Camera, *, antialiased: bool = False) -> RenderOutput:
    """The Gaussians from cameras [V], over black; gradients reach every tensor of both.

    antialiased: splats smaller than a pixel fade instead of growing. Source: Yu et al. 2024, Mip-Splatting.

    Raises ValueError for values that cannot be rendered, and says which.
    """
    check_gaussians(gaussians)
    check_cameras(cameras)
    images = [_composite_image(gaussians, cameras[i], antialiased) for i in range(len(cameras))]
    extra = 0 if gaussians.features is None else gaussians.features.shape[1]
    rgb, features, depth_sum, alpha = torch.stack(images).split([3, extra, 1, 1], dim=-1)
    alpha, depth_sum = alpha.squeeze(-1), depth_sum.squeeze(-1)
    depth = torch.where(alpha > 0.5, depth_sum / alpha.clamp(min=0.5), torch.zeros_like(alpha))
    return RenderOutput(rgb, alpha, depth, None if gaussians.features is None else features)


def project_gaussians(gaussians: Gaussians, camera: Camera, *, antialiased: bool = False) -> Splats:
    """EWA projection of the Gaussians in front of one camera. Source: Zwicker et al. 2001, as in gsplat."""
    rotation, translation = camera.w2c[:3, :3], camera.w2c[:3, 3]
    in_camera = gaussians.means @ rotation.T + translation
    # The others are taken out before anything is divided by their depth, so their gradients are 0 and never NaN.
    with torch.no_grad():
        order = torch.argsort(in_camera[:, 2], stable=True)
        drawn = (in_camera[:, 2] > NEAR) & (gaussians.opacities >= MIN_ALPHA)
        order = order[drawn[order]]
    gaussians = gaussians[order]
    x, y, z = in_camera[order].unbind(-1)
    fx, fy, cx, cy = camera.K[0, 0], camera.K[1, 1], camera.K[0, 2], camera.K[1, 2]

    # The Jacobian is frozen 15 % of the image size outside of the image, where the projection is too curved.
    margin_x, margin_y = 0.15 * camera.width / fx, 0.15 * camera.height / fy
    slope_x = (x / z).clamp(-cx / fx - margin_x, (camera.width - cx) / fx + margin_x)
    slope_y = (y / z).clamp(-cy / fy - margin_y, (camera.height - cy) / fy + margin_y)
    zero = torch.zeros_like(z)
    jacobian = torch.stack(
        [
            torch.stack([fx / z, zero, -fx / z * slope_x], dim=-1),
            torch.stack([zero, fy / z, -fy / z * slope_y], dim=-1),
        ],
        dim=-2,
    )
    # A square root of the 2D covariance: pixels <- camera <- world <- the Gaussian's axes.
    root = jacobian @ rotation @ (matrix_from_quats(gaussians.quats) * gaussians.scales[:, None, :])
    covariance = root @ root.transpose(-1, -2)
    xx, yy, xy = covariance[:, 0, 0] + DILATION, covariance[:, 1, 1] + DILATION, covariance[:, 0, 1]
    # As a sum of squares: a difference of products has no correct digit left for long needles.
    area = torch.linalg.cross(root[:, 0], root[:, 1]).square().sum(dim=-1)
    determinant = area + (xx + yy - DILATION) * DILATION

    pixels = torch.stack([fx * x / z + cx, fy * y / z + cy], dim=-1)
    conics = torch.stack([yy, -xy, xx], dim=-1) / determinant[:, None]
    opacities = gaussians.opacities
    if antialiased:
        opacities = opacities * _share_before_dilation(area, determinant)
    with torch.no_grad():
        cutoff = 2 * torch.log((opacities / MIN_ALPHA).clamp(min=1))
        reach = (torch.stack([xx, yy], dim=-1) * cutoff[:, None]).sqrt()
    rgb = evaluate_sh(gaussians.sh, gaussians.means - camera.center)
    features = gaussians.means[:, :0] if gaussians.features is None else gaussians.features
    channels = torch.cat([rgb, features, z[:, None]], dim=-1)
    return Splats(pixels, conics, opacities, reach, channels)


def _share_before_dilation(area: Float[Tensor, " M"], determinant: Float[Tensor, " M"]) -> Float[Tensor, " M"]:
    """sqrt(det(covariance) / det(dilated covariance)); 0 without area, 1 where the area overflows."""
    ordinary = (area > 0) & determinant.isfinite()
    # Both branches of a where are differentiated, so the root must not see the others at all.
    one = torch.ones_like(area)
    share = (torch.where(ordinary, area, one) / torch.where(ordinary, determinant, one)).sqrt()
    return torch.where(ordinary, share, (area > 0).to(share))


def _composite_image(gaussians: Gaussians, camera: Camera, antialiased: bool) -> Float[Tensor, "H W D"]:
    """All channels and, last, alpha."""
    splats = project_gaussians(gaussians, camera, antialiased=antialiased)
    grid = pixel_grid(camera.width, camera.height, device=camera.device, dtype=camera.dtype)
    rows = []
    for band in grid.split(TILE, dim=0):
        tiles = []
        for tile in band.split(TILE, dim=1):
            reaches = (splats.pixels + splats.reach >= tile[0, 0]).all(dim=-1)
            reaches &= (splats.pixels - splats.reach <= tile[-1, -1]).all(dim=-1)
            tiles.append(_composite_tile(splats, reaches.nonzero().squeeze(-1), tile))
        rows.append(torch.cat(tiles, dim=1))
    return torch.cat(rows, dim=0)


def _composite_tile(splats: Splats, reaching: Tensor, tile: Float[Tensor, "h w 2"]) -> Float[Tensor, "h w D"]:
    """Front-to-back compositing of the splats with these (ordered) indices at every pixel of a tile."""
    dx, dy = (tile[:, :, None, :] - splats.pixels[reaching]).unbind(-1)
    xx, xy, yy = splats.conics[reaching].unbind(-1)
    exponent = -0.5 * (xx * dx * dx + yy * dy * dy) - xy * dx * dy
    alpha = (splats.opacities[reaching] * exponent.exp()).clamp(max=MAX_ALPHA)
    alpha = torch.where(alpha >= MIN_ALPHA, alpha, torch.zeros_like(alpha))
    # Transmittance only falls, so everything from the first splat that would end a pixel is left out.
    after = torch.cumprod(1 - alpha, dim=-1)
    before = torch.cat([torch.ones_like(after[..., :1]), after[..., :-1]], dim=-1)
    weights = torch.where(after > MIN_TRANSMITTANCE, alpha * before, torch.zeros_like(alpha))
    return torch.cat([weights @ splats.channels[reaching], weights.sum(dim=-1, keepdim=True)], dim=-1)
