"""The one entry to Gaussian rasterization, and the choice of the backend that does it.

The backends share gsplat's definition: EWA projection with 0.3 px^2 added to both variances, splats
composited front to back by z, alpha capped at 0.999 and skipped below 1/255, a pixel finished when its
transmittance would reach 1e-4. Only "pytorch3d" does not: it is a baseline of round splats.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from .camera import Camera
from .gaussians import Gaussians

NEAR = 0.01  # metres; centres closer than this are not drawn
DILATION = 0.3  # px^2, added to the projected variances so that no splat falls between pixels
MIN_ALPHA = 1 / 255
MAX_ALPHA = 0.999
MIN_TRANSMITTANCE = 1e-4

Backend = Literal["auto", "torch", "cpu", "gsplat", "pytorch3d"]


@dataclass(frozen=True)
class RenderOutput:
    """rgb over black or the background; alpha: accumulated opacity; depth: expected z in metres where
    alpha > 0.5, else 0; features: Gaussians.features composited like colour."""

    rgb: Float[Tensor, "*B H W 3"]
    alpha: Float[Tensor, "*B H W"]
    depth: Float[Tensor, "*B H W"]
    features: Float[Tensor, "*B H W F"] | None = None


def rasterize(
    gaussians: Gaussians,
    camera: Camera,
    *,
    backend: Backend = "auto",
    background: Float[Tensor, "*B 3"] | None = None,
) -> RenderOutput:
    """The image of the Gaussians from each camera of the batch.

    backend: "auto" is gsplat for CUDA tensors where it works, cpu for float32 on the CPU, and torch for what is
    left. All of them are differentiable. A backend asked for by name is used or refused, never replaced.

    Raises ValueError when the backend cannot take these tensors, ImportError when it is missing.
    """
    if gaussians.device != camera.device or gaussians.dtype != camera.dtype:
        raise ValueError(
            f"rasterize needs Gaussians and camera on one device in one dtype; got {gaussians.device} "
            f"{gaussians.dtype} and {camera.device} {camera.dtype}. Use .to()."
        )
    name = choose_backend(gaussians) if backend == "auto" else backend
    if name not in BACKENDS:
        raise ValueError(f"backend must be one of {['auto', *BACKENDS]}; got {backend!r}.")
    cameras = Camera(camera.K.reshape(-1, 3, 3), camera.w2c.reshape(-1, 4, 4), camera.width, camera.height)
    flat = BACKENDS[name](gaussians, cameras)
    values: dict[str, Any] = {field.name: getattr(flat, field.name) for field in fields(flat)}
    shape = camera.batch_shape
    for key, value in values.items():
        values[key] = None if value is None else value.reshape(*shape, *value.shape[1:])
    output = RenderOutput(**values)
    return output if background is None else over_background(output, background)


def over_background(output: RenderOutput, background: Float[Tensor, "*B 3"]) -> RenderOutput:
    """The same render over a plain colour (one, or one for each camera) instead of black."""
    if background.shape not in ((3,), (*output.alpha.shape[:-2], 3)):
        raise ValueError(f"background must be [3], or [*B, 3] for a batch; got {list(background.shape)}.")
    behind = (1 - output.alpha)[..., None] * background[..., None, None, :].to(output.rgb)
    return replace(output, rgb=output.rgb + behind)


def choose_backend(gaussians: Gaussians) -> str:
    """What "auto" means for these tensors."""
    if gaussians.device.type == "cuda" and gaussians.dtype == torch.float32:
        problem = backend_problem("gsplat")
        if problem is None:
            return "gsplat"
        warnings.warn(f"rasterize uses the slower torch backend: {problem}", stacklevel=3)
    on_cpu = gaussians.device.type == "cpu" and gaussians.dtype == torch.float32
    return "cpu" if on_cpu and backend_problem("cpu") is None else "torch"


def backend_problem(name: str) -> str | None:
    """Why a backend cannot run on this machine and what to do about it, or None when it can."""
    if name == "gsplat":
        from .rasterize_gsplat import gsplat_problem

        return gsplat_problem()
    if name == "pytorch3d":
        from .rasterize_pytorch3d import pytorch3d_problem

        return pytorch3d_problem()
    if name == "cpu" and importlib.util.find_spec("numba") is None:
        return 'the "cpu" backend needs numba, which is not installed: pip install numba'
    return None


def requires_gradients(gaussians: Gaussians, camera: Camera) -> bool:
    """Whether autograd would need the rasterization's backward pass."""
    if not torch.is_grad_enabled():
        return False
    values = [getattr(gaussians, field.name) for field in fields(gaussians)] + [camera.K, camera.w2c]
    return any(value is not None and value.requires_grad for value in values)


def _torch(gaussians: Gaussians, cameras: Camera) -> RenderOutput:
    from .rasterize_torch import rasterize_torch

    return rasterize_torch(gaussians, cameras)


def _cpu(gaussians: Gaussians, cameras: Camera) -> RenderOutput:
    problem = backend_problem("cpu")
    if problem is not None:
        raise ImportError(problem)
    from .rasterize_cpu import rasterize_cpu

    return rasterize_cpu(gaussians, cameras)


def _gsplat(gaussians: Gaussians, cameras: Camera) -> RenderOutput:
    from .rasterize_gsplat import rasterize_gsplat

    return rasterize_gsplat(gaussians, cameras)


def _pytorch3d(gaussians: Gaussians, cameras: Camera) -> RenderOutput:
    from .rasterize_pytorch3d import rasterize_pytorch3d

    return rasterize_pytorch3d(gaussians, cameras)


# Each takes cameras with exactly one batch axis and renders over black.
BACKENDS: dict[str, Callable[[Gaussians, Camera], RenderOutput]] = {
    "torch": _torch,
    "cpu": _cpu,
    "gsplat": _gsplat,
    "pytorch3d": _pytorch3d,
}
