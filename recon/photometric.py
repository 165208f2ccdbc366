"""How alike two images are: PSNR, SSIM and the loss that splats are fitted with."""

from __future__ import annotations

from typing import Any, cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import conv2d

WINDOW, SIGMA = 11, 1.5  # of SSIM, pixels (Wang et al. 2004)
C1, C2 = 0.01**2, 0.03**2


def psnr(
    image: Float[Tensor, "H W 3"], truth: Float[Tensor, "H W 3"], mask: Bool[Tensor, "H W"] | None = None
) -> float:
    """Peak signal-to-noise ratio in dB of colours in 0..1, where the mask holds; NaN where it holds nowhere."""
    error = (image - truth).square()
    if mask is not None:
        error = error[mask]
    return float(-10 * torch.log10(error.mean()))


def ssim(image: Float[Tensor, "H W 3"], truth: Float[Tensor, "H W 3"]) -> Float[Tensor, "H W 3"]:
    """Structural similarity of each pixel and channel (Wang et al. 2004); outside the images all is zero, in both."""
    channels = torch.cat([image, truth], dim=-1).permute(2, 0, 1)
    x, y = channels[:3], channels[3:]
    means = cast(Tensor, _Blur.apply(torch.cat([channels, x * x, y * y, x * y])))
    mx, my, xx, yy, xy = means.split(3)
    variances, covariance = xx + yy - mx * mx - my * my, xy - mx * my
    value = (2 * mx * my + C1) * (2 * covariance + C2) / ((mx * mx + my * my + C1) * (variances + C2))
    return value.permute(1, 2, 0)


def photometric_loss(
    image: Float[Tensor, "H W 3"], truth: Float[Tensor, "H W 3"], ssim_weight: float = 0.2
) -> Float[Tensor, ""]:
    """(1 - w) L1 + w (1 - SSIM), the means over the image (Kerbl et al. 2023)."""
    loss = (1 - ssim_weight) * (image - truth).abs().mean()
    return loss + ssim_weight * (1 - ssim(image, truth).mean()) if ssim_weight else loss


class _Blur(torch.autograd.Function):
    """A Gaussian window, one axis after the other. Symmetric, so it is its own adjoint: the gradient is blurred too,
    which is many times faster here than the backward pass of a convolution."""

    @staticmethod
    def forward(ctx: Any, channels: Tensor) -> Tensor:
        return _windowed(channels)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _windowed(gradients[0])


def _windowed(channels: Float[Tensor, "C H W"]) -> Float[Tensor, "C H W"]:
    count = len(channels)
    offsets = torch.arange(WINDOW, dtype=channels.dtype, device=channels.device) - WINDOW // 2
    window = torch.softmax(-offsets.square() / (2 * SIGMA**2), dim=0)
    row, column = window.reshape(1, 1, 1, -1), window.reshape(1, 1, -1, 1)
    across = conv2d(channels[None], row.expand(count, 1, 1, -1), padding=(0, WINDOW // 2), groups=count)
    return conv2d(across, column.expand(count, 1, -1, 1), padding=(WINDOW // 2, 0), groups=count)[0]
