"""The CUDA backend: our types to gsplat's `rasterization` and back, nothing else."""

from __future__ import annotations

import functools

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.graph import Node

from .camera import Camera
from .checks import check_absolute_gradients, check_cameras, check_gaussians
from .gaussians import Gaussians
from .rasterize import DILATION, NEAR, RenderOutput
from .spherical_harmonics import evaluate_sh

CHANNELS_AT_ONCE = 32  # gsplat composites more in several passes, each with absolute gradients of its own


def rasterize_gsplat(
    gaussians: Gaussians,
    cameras: Camera,
    *,
    antialiased: bool = False,
    absolute_gradients: Float[Tensor, "V N 2"] | None = None,
) -> RenderOutput:
    """The Gaussians from cameras [V], over black; gradients reach every tensor of both. Float32 CUDA tensors only.

    antialiased: splats smaller than a pixel fade instead of growing. Source: Yu et al. 2024, Mip-Splatting.
    absolute_gradients: a float32 tensor to which the backward pass adds, for each camera and Gaussian, the sums over
    pixels of |dL/du| and |dL/dv| of its projected centre in pixels. Source: Ye et al. 2024, AbsGS.

    Raises ImportError when gsplat cannot run here, ValueError for other tensors or values.
    """
    _refuse_without_cuda(gaussians)
    check_gaussians(gaussians)
    check_cameras(cameras)
    extra = 0 if gaussians.features is None else gaussians.features.shape[1]
    if absolute_gradients is not None:
        check_absolute_gradients(absolute_gradients, gaussians, cameras)
        if 3 + extra + 1 > CHANNELS_AT_ONCE:
            raise ValueError(
                f'backend "gsplat" has absolute gradients for at most {CHANNELS_AT_ONCE - 4} features; got {extra}. '
                "Render some of them in a call of their own."
            )
    # Colours are evaluated here so that every backend shares one definition of the harmonics.
    colors = torch.stack([evaluate_sh(gaussians.sh, gaussians.means - center) for center in cameras.center])
    if gaussians.features is not None:
        colors = torch.cat([colors, gaussians.features.expand(len(cameras), -1, -1)], dim=-1)
    if len(gaussians) == 0:
        image = colors.new_zeros(len(cameras), cameras.height, cameras.width, 3 + extra + 1)
        alpha = image[..., :1]
    else:
        from gsplat import rasterization

        image, alpha, found = rasterization(
            gaussians.means.contiguous(),
            _turning(gaussians.quats).contiguous(),
            gaussians.scales.contiguous(),
            gaussians.opacities.contiguous(),
            colors.contiguous(),
            _with_gradients_of_K(cameras).contiguous(),
            cameras.K.detach().contiguous(),
            cameras.width,
            cameras.height,
            near_plane=NEAR,
            eps2d=DILATION,
            packed=False,  # [V, N] rows, so that absolute gradients have one for each Gaussian
            absgrad=absolute_gradients is not None,
            render_mode="RGB+ED",
            rasterize_mode="antialiased" if antialiased else "classic",
            channel_chunk=CHANNELS_AT_ONCE,
        )
        if absolute_gradients is not None and alpha.grad_fn is not None:
            _add_when_differentiated(absolute_gradients, alpha.grad_fn, found["means2d"])
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


def _refuse_without_cuda(gaussians: Gaussians) -> None:
    problem = gsplat_problem()
    if problem is not None:
        raise ImportError(problem)
    if gaussians.device.type != "cuda" or gaussians.dtype != torch.float32:
        raise ValueError(
            f'backend "gsplat" needs float32 CUDA tensors; got {gaussians.dtype} on {gaussians.device}. '
            'Use .to("cuda", torch.float32).'
        )


def _add_when_differentiated(totals: Tensor, compositing: Node, centers: Tensor) -> None:
    """Adds the absolute gradients, which the backward pass of the compositing leaves on the projected centres."""

    def add(*_: object) -> None:
        totals.add_(centers.absgrad)  # pyright: ignore[reportAttributeAccessIssue]

    # On the node and not on the centres: a hook of theirs that holds them would never be freed.
    compositing.register_hook(add)


def _turning(quats: Float[Tensor, "N 4"]) -> Float[Tensor, "N 4"]:
    """Zero quaternions turn nothing, as in `matrix_from_quats`; gsplat would make NaN of them."""
    return torch.where(quats.any(dim=-1, keepdim=True), quats, quats.new_tensor([1.0, 0.0, 0.0, 0.0]))


def _with_gradients_of_K(cameras: Camera) -> Float[Tensor, "V 4 4"]:
    """w2c, unchanged in value, through which gradients also reach K, which gsplat takes for a constant.

    A camera K sees what the camera K0 sees of space sheared by K0^-1 K; with K0 = K that is the identity.
    """
    if not cameras.K.requires_grad:
        return cameras.w2c
    K, constant = cameras.K, cameras.K.detach()
    focal = constant.diagonal(dim1=-2, dim2=-1)[:, :2]
    stretch = (K.diagonal(dim1=-2, dim2=-1)[:, :2] / focal)[..., None]
    shift = ((K - constant)[:, :2, 2] / focal)[..., None]
    # Row by row: a matrix product may round to TF32.
    sheared = stretch * cameras.w2c[:, :2] + shift * cameras.w2c[:, 2:3]
    return torch.cat([sheared, cameras.w2c[:, 2:]], dim=1)
