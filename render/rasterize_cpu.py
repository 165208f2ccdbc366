"""The fast CPU rasterizer: float32, differentiable, threaded. Its stages are in render/cpu.

Measured against the readable rasterize_torch in float64: images to 5e-5, gradients to 1e-4 of their norm.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from .camera import Camera
from .checks import check_absolute_gradients, check_cameras, check_gaussians
from .cpu import stages
from .cpu.ewa import CAMERA, CENTER, FX
from .cpu.ewa import NEAR as NEAR_PLANE
from .gaussians import Gaussians
from .rasterize import DILATION, NEAR, RenderOutput, requires_gradients

# Below this many Gaussians and pixels together a second thread costs more than it brings (about 4 ms of work).
WORTH_THREADS = 60_000


def rasterize_cpu(
    gaussians: Gaussians,
    cameras: Camera,
    *,
    antialiased: bool = False,
    threads: int | None = None,
    absolute_gradients: Float[Tensor, "V N 2"] | None = None,
) -> RenderOutput:
    """The Gaussians from cameras [V], over black; gradients reach every tensor of both.

    antialiased: opacities shrink by sqrt(det of the projected covariance / det with the dilation), so that splats
    smaller than a pixel keep their light (Yu et al. 2024, Mip-Splatting). threads: by default as many as torch
    uses, fewer for small work; images and gradients are bitwise the same for any number.
    absolute_gradients: zeroed float32; the backward pass adds, for each Gaussian, the sums over pixels of
    |dL/du| and |dL/dv| of its projected centre (Ye et al. 2024, AbsGS).

    Raises ValueError for tensors that are not float32 on the CPU, values that are not finite or out of range (of
    Gaussians in view), cameras that are no pinhole cameras, and scenes whose lists would not fit into memory.
    """
    if gaussians.device.type != "cpu" or gaussians.dtype != torch.float32:
        raise ValueError(
            f'backend "cpu" needs float32 tensors on the CPU; got {gaussians.dtype} on {gaussians.device}. '
            'Use .to("cpu", torch.float32), or backend "torch".'
        )
    check_cameras(cameras)
    if threads is None:
        work = len(gaussians) + cameras.width * cameras.height
        threads = torch.get_num_threads() if work >= WORTH_THREADS else 1
    if threads < 1:
        raise ValueError(f"threads must be at least 1; got {threads}.")
    if absolute_gradients is not None:
        check_absolute_gradients(absolute_gradients, gaussians, cameras)
        if gaussians.features is not None and gaussians.features.shape[1] > 1:
            raise ValueError(
                "absolute_gradients take one feature at most here, since more are blended in passes of their own; "
                f"got {gaussians.features.shape[1]}. Leave them out of this render."
            )
    features = gaussians.features
    if features is None:
        features = gaussians.means[:, :0].detach()
    elif not features.detach().sum().isfinite():
        check_gaussians(gaussians)
    keep = requires_gradients(gaussians, cameras)
    views = []
    for i in range(len(cameras)):
        settings = _Settings(cameras.width, cameras.height, antialiased, threads, keep)
        settings.absolute = None if absolute_gradients is None else absolute_gradients[i]
        columns = [gaussians.means, gaussians.quats, gaussians.scales, gaussians.opacities, gaussians.sh, features]
        views.append(_Rasterize.apply(settings, cameras.K[i], cameras.w2c[i], *columns))
    images = [torch.stack(parts) if len(views) > 1 else parts[0][None] for parts in zip(*views, strict=True)]
    rgb, alpha, depth, features = images
    return RenderOutput(rgb, alpha, depth, None if gaussians.features is None else features)


class _Settings:
    """What one view needs besides tensors."""

    def __init__(self, width: int, height: int, antialiased: bool, threads: int, keep: bool) -> None:
        self.width, self.height, self.antialiased, self.threads = width, height, antialiased, threads
        self.keep = keep  # whether a backward pass may follow
        self.absolute: Tensor | None = None
        self.space: stages.Workspace | None = None


class _Rasterize(torch.autograd.Function):
    """One view: rgb, alpha, depth, features from K, w2c and the Gaussians' tensors."""

    @staticmethod
    def forward(ctx: Any, settings: _Settings, K: Tensor, w2c: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        columns = stages.Columns(*(tensor.detach().contiguous().numpy() for tensor in tensors))
        size = (settings.height, settings.width)
        outputs = (
            torch.empty(*size, 3),
            torch.empty(size),
            torch.empty(size),
            torch.empty(*size, columns.features.shape[1]),
        )
        space = stages.borrow()
        longest = _bin(settings, _camera_numbers(K, w2c), columns, tensors, space)
        images = stages.Images(*(output.numpy() for output in outputs))
        stages.draw(columns, settings.width, settings.height, longest, settings.threads, space, images)
        if settings.keep:
            settings.space = space
            ctx.settings = settings
            ctx.save_for_backward(K, w2c, *tensors, *outputs)
        else:
            stages.give_back(space)
        return outputs

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *output_gradients: Tensor) -> tuple[Tensor | None, ...]:
        K, w2c, *tensors = ctx.saved_tensors
        tensors, outputs = tensors[:6], tensors[6:]
        settings, numbers = ctx.settings, _camera_numbers(K, w2c)
        columns = stages.Columns(*(tensor.detach().contiguous().numpy() for tensor in tensors))
        images = stages.Images(*(output.detach().numpy() for output in outputs))
        along = stages.Images(*(gradient.contiguous().numpy() for gradient in output_gradients))
        space, settings.space = settings.space, None
        if space is None:  # a second backward pass through a graph that was kept
            space = stages.borrow()
            again = stages.Images(*(np.empty_like(image) for image in vars(images).values()))
            longest = _bin(settings, numbers, columns, tensors, space)
            stages.draw(columns, settings.width, settings.height, longest, settings.threads, space, again)
        absolute = np.zeros((0 if settings.absolute is None else len(columns), 2), np.float32)
        gradients, camera_sums = stages.backward(
            columns, numbers, settings.width, settings.height, settings.antialiased, settings.threads, space,
            images, along, absolute,
        )  # fmt: skip
        stages.give_back(space)
        if settings.absolute is not None:
            settings.absolute.add_(torch.from_numpy(absolute))
        results = [torch.from_numpy(value) for value in vars(gradients).values()]
        return None, *_camera_gradients(camera_sums, w2c), *results


def _bin(
    settings: _Settings, camera: np.ndarray, columns: stages.Columns, tensors: tuple[Tensor, ...] | list[Tensor],
    space: stages.Workspace,
) -> int:  # fmt: skip
    longest = stages.bin_view(
        columns, camera, settings.width, settings.height, settings.antialiased, settings.threads, space
    )
    if longest < 0:
        check_gaussians(Gaussians(*(tensor.detach() for tensor in tensors)))
        row = -1 - longest
        raise ValueError(
            f"Gaussians {row} to {row + 7} cannot be rendered: one of them overflows float32. Are the means, scales "
            "and SH coefficients in metres and 0..1?"
        )
    return longest


def _camera_numbers(K: Tensor, w2c: Tensor) -> np.ndarray:
    """The camera as the kernels take it (see render/cpu/ewa)."""
    matrix, numbers = w2c.detach().numpy(), np.empty(CAMERA, np.float32)
    numbers[:FX] = matrix[:3].reshape(-1)
    numbers[FX:CENTER] = K.detach().numpy()[[0, 1, 0, 1], [0, 1, 2, 2]]
    numbers[CENTER:NEAR_PLANE] = -matrix[:3, :3].T.astype(np.float64) @ matrix[:3, 3].astype(np.float64)
    numbers[NEAR_PLANE:] = NEAR, DILATION
    return numbers


def _camera_gradients(sums: np.ndarray, w2c: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of K and w2c; the optical centre is -R^T t, which the view-dependent colours look from."""
    matrix, center = w2c.detach().numpy().astype(np.float64), sums[16:19]
    w2c_gradient, K_gradient = np.zeros((4, 4), np.float32), np.zeros((3, 3), np.float32)
    rows = sums[:12].reshape(3, 4).copy()
    rows[:, :3] -= np.outer(matrix[:3, 3], center)
    rows[:, 3] -= matrix[:3, :3] @ center
    w2c_gradient[:3] = rows
    K_gradient[[0, 1, 0, 1], [0, 1, 2, 2]] = sums[12:16]
    return torch.from_numpy(K_gradient), torch.from_numpy(w2c_gradient)
