"""How far imagined frames are from true ones: PSNR, SSIM, and how much they move and how sharp they are."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

PSNR_CEILING = 100.0  # an exact copy has no error; a finite ceiling keeps it printable and orderable


def quantize(frames: Float[Tensor, "*T H W 3"]) -> Float[Tensor, "*T H W 3"]:
    """The 8-bit values (0…255, whole numbers) that a viewer of frames in 0…1 would be shown."""
    return (frames.detach().double() * 255).round().clamp(0, 255)


@dataclass(frozen=True)
class SquaredError:
    """A sum of squared 8-bit errors and the number of values in it: sums pool exactly, decibels do not."""

    total: float
    count: int

    def __add__(self, other: SquaredError) -> SquaredError:
        return SquaredError(self.total + other.total, self.count + other.count)

    @property
    def psnr(self) -> float:
        """Decibels against a peak of 255; nan where nothing was counted."""
        if self.count == 0:
            return math.nan
        return psnr_from_mse(self.total / self.count)


def psnr_from_mse(mse: float) -> float:
    """10 log10(255² / mse), at most `PSNR_CEILING`."""
    if mse < 0 or math.isnan(mse):
        raise ValueError(f"expected a mean squared error >= 0; got {mse}; do average squared differences")
    return PSNR_CEILING if mse == 0 else min(PSNR_CEILING, 10 * math.log10(255**2 / mse))


def squared_error(
    frames: Float[Tensor, "*T H W 3"],
    truth: Float[Tensor, "*S h w 3"],
    mask: Bool[Tensor, "*T H W"] | None = None,
) -> SquaredError:
    """Squared error of the 8-bit frames, over the pixels in `mask` (all of them without one)."""
    if frames.shape != truth.shape:
        raise _unlike(frames, truth)
    error = (quantize(frames) - quantize(truth)) ** 2
    if mask is None:
        return SquaredError(float(error.sum()), error.numel())
    return SquaredError(float(error[mask].sum()), int(mask.sum()) * 3)


def psnr(
    frames: Float[Tensor, "*T H W 3"],
    truth: Float[Tensor, "*S h w 3"],
    mask: Bool[Tensor, "*T H W"] | None = None,
) -> float:
    """PSNR in dB of 8-bit frames; the mean is taken over squared errors, never over decibels."""
    return squared_error(frames, truth, mask).psnr


def ssim(frames: Float[Tensor, "T H W 3"], truth: Float[Tensor, "T H W 3"]) -> float:
    """Mean structural similarity (Wang et al. 2004): window 11×11, σ 1.5, inside the image, peak 1."""
    if frames.shape != truth.shape:
        raise _unlike(frames, truth)
    if min(frames.shape[1:3]) < 11:
        raise ValueError(
            f"expected frames of at least 11×11 pixels; got {tuple(frames.shape[1:3])}; do use psnr for smaller ones"
        )
    x = frames.detach().double().permute(0, 3, 1, 2)
    y = truth.detach().double().permute(0, 3, 1, 2)
    rows, columns = _window(x.shape[2]).to(x), _window(x.shape[3]).to(x)

    def mean(z: Tensor) -> Tensor:
        return rows @ z @ columns.T

    mean_x, mean_y = mean(x), mean(y)
    var_x, var_y, cov = mean(x * x) - mean_x**2, mean(y * y) - mean_y**2, mean(x * y) - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    alike = (2 * mean_x * mean_y + c1) * (2 * cov + c2)
    return float((alike / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))).mean())


def _window(size: int) -> Float[Tensor, "inside size"]:
    """The 11-tap Gaussian as a band matrix, which a CPU applies faster than a convolution in float64."""
    line = torch.exp(-((torch.arange(11, dtype=torch.float64) - 5) ** 2) / (2 * 1.5**2))
    return torch.stack([F.pad(line / line.sum(), (i, size - 11 - i)) for i in range(size - 10)])


def gradient_energy(frames: Float[Tensor, "T H W 3"]) -> float:
    """Mean squared difference of neighbouring pixels: low when frames blur, high when they are noisy."""
    down = (frames[:, 1:] - frames[:, :-1]).double() ** 2
    across = (frames[:, :, 1:] - frames[:, :, :-1]).double() ** 2
    return float(down.mean() + across.mean())


def motion(frames: Float[Tensor, "T H W 3"]) -> float:
    """Mean absolute change from each frame to the next (0…1)."""
    if len(frames) < 2:
        raise ValueError(f"expected at least two frames; got {len(frames)}; do measure motion over a rollout")
    return float((frames[1:] - frames[:-1]).double().abs().mean())


def ratio(value: float, reference: float) -> float:
    """value / reference, nan when the reference is 0 (a truth that stands still sets no scale)."""
    return value / reference if reference > 0 else math.nan


def gradient_energy_ratio(frames: Float[Tensor, "T H W 3"], truth: Float[Tensor, "T H W 3"]) -> float:
    """Sharpness relative to the truth: 1 is right, below .6 blurs, above 1.6 is noise."""
    return ratio(gradient_energy(frames), gradient_energy(truth))


def motion_ratio(frames: Float[Tensor, "T H W 3"], truth: Float[Tensor, "T H W 3"]) -> float:
    """Motion relative to the truth: 0 for a frozen rollout; outside .9…1.1 it is flagged, not ranked."""
    return ratio(motion(frames), motion(truth))


def moves_like_truth(motion_ratio: float) -> bool:
    """Whether a rollout may be ranked: it moves 90 % to 110 % as much as the truth."""
    return 0.9 <= motion_ratio <= 1.1


def _unlike(frames: Tensor, truth: Tensor) -> ValueError:
    return ValueError(
        f"expected frames shaped like truth {tuple(truth.shape)}; got {tuple(frames.shape)}; "
        "do compare frames of the same steps and size"
    )
