"""PyTorch3D: its cameras from ours and back, and its point renderer as a baseline.

The baseline draws each Gaussian as a round splat, with the mean of its three variances projected at its centre, and
composites the nearest 64 at each pixel. So it is not the image of the other backends: needles and discs become
balls, a crowd of faint splats is cut off, and without CUDA its time grows with Gaussians times pixels. For round,
sparse Gaussians it is close to theirs.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from .camera import Camera
from .checks import check_cameras, check_gaussians
from .conventions import K_from_pytorch3d_ndc, pytorch3d_from_w2c, w2c_from_pytorch3d
from .gaussians import Gaussians
from .rasterize import DILATION, MAX_ALPHA, MIN_ALPHA, NEAR, RenderOutput
from .spherical_harmonics import evaluate_sh

POINTS_PER_PIXEL = 64
INSTALL_PAGE = "https://github.com/facebookresearch/pytorch3d/blob/main/INSTALL.md"


def rasterize_pytorch3d(gaussians: Gaussians, cameras: Camera) -> RenderOutput:
    """The Gaussians as round splats from cameras [V], over black, differentiable. Float32 tensors only.

    Raises ImportError when pytorch3d cannot be imported, ValueError for other tensors or values.
    """
    problem = pytorch3d_problem()
    if problem is not None:
        raise ImportError(problem)
    if gaussians.dtype != torch.float32:
        raise ValueError(f'backend "pytorch3d" needs float32 tensors; got {gaussians.dtype}. Use .to(torch.float32).')
    check_gaussians(gaussians)
    check_cameras(cameras)
    extra = 0 if gaussians.features is None else gaussians.features.shape[1]
    images = [_composite_points(gaussians, cameras[i : i + 1]) for i in range(len(cameras))]
    rgb, features, depth_sum, alpha = torch.cat(images).split([3, extra, 1, 1], dim=-1)
    alpha, depth_sum = alpha.squeeze(-1), depth_sum.squeeze(-1)
    depth = torch.where(alpha > 0.5, depth_sum / alpha.clamp(min=0.5), torch.zeros_like(alpha))
    return RenderOutput(rgb, alpha, depth, None if gaussians.features is None else features)


def cameras_to_pytorch3d(cameras: Camera) -> Any:
    """PerspectiveCameras in pixels (in_ndc=False) that project as these [V] do, with gradients.

    Raises ImportError when pytorch3d cannot be imported.
    """
    problem = pytorch3d_problem()
    if problem is not None:
        raise ImportError(problem)
    from pytorch3d.renderer import PerspectiveCameras  # pyright: ignore[reportMissingImports]

    if len(cameras.batch_shape) != 1:
        raise ValueError(
            f"PyTorch3D's cameras have one batch axis; got {list(cameras.batch_shape)}. Use Camera.stack([camera])."
        )
    R, T = pytorch3d_from_w2c(cameras.w2c)
    return PerspectiveCameras(
        focal_length=cameras.K.diagonal(dim1=-2, dim2=-1)[:, :2],
        principal_point=cameras.K[:, :2, 2],
        R=R,
        T=T,
        in_ndc=False,
        image_size=[(cameras.height, cameras.width)] * len(cameras),
        device=cameras.device,
    )


def cameras_from_pytorch3d(cameras: Any, width: int | None = None, height: int | None = None) -> Camera:
    """Camera [V] that projects as these PerspectiveCameras do, in pixels or in normalised units.

    width, height: needed where the cameras do not know their image size.

    Raises ValueError for other kinds of cameras, and where image sizes are unknown or differ.
    """
    if not (hasattr(cameras, "focal_length") and cameras.is_perspective()):
        raise ValueError(f"cameras must be PyTorch3D's PerspectiveCameras; got {type(cameras).__name__}.")
    if width is None or height is None:
        sizes = [] if cameras.image_size is None else cameras.image_size.reshape(-1, 2).unique(dim=0).tolist()
        if len(sizes) != 1:
            known = [(int(w), int(h)) for h, w in sizes]
            raise ValueError(
                f"Cameras of a batch share one image size; these know {known or 'none'}. Pass width and height."
            )
        height, width = (int(side) for side in sizes[0])
    matrix = cameras.get_projection_transform().get_matrix()  # for row vectors
    focal, principal = matrix[:, :2, :2].diagonal(dim1=-2, dim2=-1), matrix[:, 2, :2]
    if cameras.in_ndc():
        K = K_from_pytorch3d_ndc(focal, principal, width, height)
    else:
        K = torch.diag_embed(torch.cat([focal, torch.ones_like(focal[:, :1])], dim=-1))
        K = K + torch.nn.functional.pad(principal[..., None], (2, 0, 0, 1))
    w2c = w2c_from_pytorch3d(cameras.R, cameras.T)
    return Camera(K.expand(len(w2c), 3, 3), w2c, width, height)


@functools.cache
def pytorch3d_problem() -> str | None:
    """Why pytorch3d cannot be used here and what to do about it, or None."""
    try:
        import pytorch3d.renderer  # noqa: F401  # pyright: ignore[reportMissingImports]
    except ModuleNotFoundError as error:
        if error.name is not None and not error.name.startswith("pytorch3d"):
            return f"pytorch3d needs {error.name}, which is not installed: pip install {error.name}"
        return f'backend "pytorch3d" needs pytorch3d, which is not installed and has no wheel: see {INSTALL_PAGE}'
    except Exception as error:  # an extension that was built for another torch fails in many ways
        return f"pytorch3d does not import ({error}). Build it anew for torch {torch.__version__}: {INSTALL_PAGE}"
    return None


def _composite_points(gaussians: Gaussians, camera: Camera) -> Float[Tensor, "1 H W D"]:
    """All channels and, last, alpha, from a camera [1]."""
    from pytorch3d.renderer import (  # pyright: ignore[reportMissingImports]
        AlphaCompositor,
        PointsRasterizationSettings,
        PointsRasterizer,
    )
    from pytorch3d.structures import Pointclouds  # pyright: ignore[reportMissingImports]

    w2c, size = camera.w2c[0], (camera.height, camera.width)
    drawn = (gaussians.means @ w2c[2, :3] + w2c[2, 3] > NEAR) & (gaussians.opacities >= MIN_ALPHA)
    gaussians = gaussians[drawn]
    rgb = evaluate_sh(gaussians.sh, gaussians.means - camera.center[0])
    features = gaussians.means[:, :0] if gaussians.features is None else gaussians.features
    z = gaussians.means @ w2c[2, :3] + w2c[2, 3]
    channels = torch.cat([rgb, features, z[:, None], torch.ones_like(z)[:, None]], dim=-1)
    if len(gaussians) == 0:
        return channels.new_zeros(1, *size, channels.shape[1])

    # Variance in px^2, and where alpha falls to 1/255; both in PyTorch3D's unit, half the shorter side.
    unit = min(size) / 2
    focal_squared = camera.K[0, 0, 0] * camera.K[0, 1, 1]
    variance = focal_squared * gaussians.scales.square().mean(dim=-1) / z.square() + DILATION
    with torch.no_grad():
        reach = (2 * variance * torch.log(gaussians.opacities / MIN_ALPHA)).sqrt() / unit
    settings = PointsRasterizationSettings(
        image_size=size,
        radius=reach[None],
        points_per_pixel=min(POINTS_PER_PIXEL, len(gaussians)),
        bin_size=0,  # bins of a fixed size lose points where many meet
    )
    points = PointsRasterizer(cameras_to_pytorch3d(camera), settings)(Pointclouds([gaussians.means]))
    index = points.idx.long()
    hit, which = index >= 0, index.clamp(min=0)
    # Empty slots are masked before the exponential too, where their distance of -1 overflows.
    exponent = -0.5 * points.dists.where(hit, 0) * unit**2 / variance[which]
    alpha = (gaussians.opacities[which] * exponent.exp()).clamp(max=MAX_ALPHA)
    alpha = torch.where(hit, alpha, torch.zeros_like(alpha))
    image = AlphaCompositor()(index.permute(0, 3, 1, 2), alpha.permute(0, 3, 1, 2), channels.T)
    return image.permute(0, 2, 3, 1)
