"""Patch descriptors for stereo: one small network looks at each eye, and likeness is an inner product.

The fast architecture of Zbontar and LeCun 2016 ("Stereo matching by training a convolutional neural network"), compared
as in Luo et al. 2016 ("Efficient deep learning for stereo matching"): with all disparities at once.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .stereo_config import StereoNetworkConfig

OUTSIDE = -10.0  # likeness of what lies beyond the image: far below any inner product
LEAST_CONTRAST = 0.01  # of 0..1; images of less are not spread any further


class StereoNetwork(nn.Module):
    """Images [B, 3, H, W] of 0..1 to descriptors [B, channels, H, W] of unit length.

    `sharpness` is what an inner product is multiplied by before the softmax of training.
    """

    def __init__(self, config: StereoNetworkConfig) -> None:
        super().__init__()
        self.config = config
        sizes = [3] + [config.channels] * config.layers
        layers = [nn.Conv2d(a, b, 3) for a, b in zip(sizes[:-1], sizes[1:], strict=True)]
        self.layers = nn.ModuleList(layers)
        for layer in layers:
            assert layer.bias is not None
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
        self.log_sharpness = nn.Parameter(torch.tensor(2.5))

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B C H W"]:
        return self.describe(self.prepare(images))

    def prepare(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 h w"]:
        """Each image at zero mean and unit contrast, so that exposure tells nothing, with `margin` pixels about it."""
        mean = images.mean((1, 2, 3), keepdim=True)
        spread = (images - mean).square().mean((1, 2, 3), keepdim=True).sqrt()
        x = (images - mean) / (spread + LEAST_CONTRAST)
        x = nn.functional.pad(x, [self.margin] * 4, mode="replicate")
        return x.contiguous(memory_format=torch.channels_last)  # a third faster on CPUs

    def describe(self, prepared: Float[Tensor, "B 3 h w"]) -> Float[Tensor, "B C H W"]:
        """Descriptors of what `prepare` gave, or of any rows of it: `margin` fewer on every side."""
        x = prepared
        for i, layer in enumerate(self.layers):
            x = layer(x if i == 0 else x.relu())
        return nn.functional.normalize(x.float(), dim=1, eps=1e-6)

    @property
    def margin(self) -> int:
        """Pixels about a pixel that its descriptor sees."""
        return len(self.layers)

    @property
    def sharpness(self) -> Tensor:
        return self.log_sharpness.exp()


def similarities(
    left: Float[Tensor, "B C H W"], right: Float[Tensor, "B C H W"], search: int
) -> Float[Tensor, "B H W D"]:
    """Inner products of each left pixel and the right one `d` columns before it, d = 0..search - 1; else OUTSIDE."""
    width = left.shape[-1]
    all_pairs = left.permute(0, 2, 3, 1) @ right.permute(0, 2, 1, 3)
    columns = torch.arange(width, device=left.device)[:, None] - torch.arange(search, device=left.device)
    index = columns.clamp(min=0).expand(*all_pairs.shape[:2], -1, -1)
    return all_pairs.gather(-1, index).masked_fill(columns < 0, OUTSIDE)
