"""The CUDA backend: our types to gsplat's `rasterization` and back, nothing else."""

from __future__ import annotations

import functools

import torch

from .camera import Camera
from .gaussians import Gaussians
from .rasterize import DILATION, NEAR, RenderOutput
from .spherical_harmonics import evaluate_sh


def rasterize_gsplat(gaussians: Gaussians, cameras: Camera) -> RenderOutput:
    """The Gaussians from cameras [V], over black, differentiable. Float32 CUDA tensors only.

    Raises ImportError when gsplat cannot run here, ValueError for other tensors.
    """
    problem = gsplat_problem()
    if problem is not None:
        raise ImportError(problem)
    if gaussians.device.type != "cuda" or gaussians.dtype != torch.float32:
        raise ValueError(
            f'backend "gsplat" needs float32 CUDA tensors; got {gaussians.dtype} on {gaussians.device}. '
            'Use .to("cuda", torch.float32).'
        )
    from gsplat import rasterization

    # Colours are evaluated here so that every backend shares one definition of the harmonics.
    centers = cameras.center
    rgb = torch.stack([evaluate_sh(gaussians.sh, gaussians.means - center) for center in centers])
    extra = 0 if gaussians.features is None else gaussians.features.shape[1]
    colors = rgb
    if gaussians.features is not None:
        colors = torch.cat([rgb, gaussians.features.expand(len(centers), -1, -1)], dim=-1)
    if len(gaussians) == 0:
        image = colors.new_zeros(len(centers), cameras.height, cameras.width, 3 + extra + 1)
        alpha = image[..., 0]
    else:
        image, alpha, _ = rasterization(
            gaussians.means.contiguous(),
            gaussians.quats.contiguous(),
            gaussians.scales.contiguous(),
            gaussians.opacities.contiguous(),
            colors.contiguous(),
            cameras.w2c.contiguous(),
            cameras.K.contiguous(),
            cameras.width,
            cameras.height,
            near_plane=NEAR,
            eps2d=DILATION,
            render_mode="RGB+ED",
        )
        alpha = alpha.squeeze(-1)
    rgb, features, depth = image.split([3, extra, 1], dim=-1)
    depth = torch.where(alpha > 0.5, depth.squeeze(-1), torch.zeros_like(alpha))
    return RenderOutput(rgb, alpha, depth, None if gaussians.features is None else features)


@functools.cache
def gsplat_problem() -> str | None:
    """Why gsplat cannot run on this machine, or None. The first call may compile its kernels (minutes)."""
    if not torch.cuda.is_available():  # without CUDA gsplat imports, and fails misleadingly when called
        return 'backend "gsplat" needs a CUDA GPU, and torch sees none. Use backend "cpu" or "torch".'
    try:
        from gsplat.cuda import _backend
    except ImportError:
        return 'backend "gsplat" needs gsplat, which is not installed: pip install gsplat'
    except Exception as error:  # its just-in-time build can fail in many ways
        return f"gsplat's CUDA kernels did not build ({error}). Install an nvcc that matches torch's CUDA."
    if _backend._C is None:
        return f"gsplat found no CUDA compiler. Install nvcc {torch.version.cuda} and start again."
    return None
