"""Depth measured on a shrunken image, at the size of the image itself."""

# pyright: reportCallIssue=false, reportArgumentType=false
from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float, Float32
from numpy import ndarray
from torch import Tensor

from render.cpu.kernel import kernel

SAME_SURFACE = 0.04  # share of the depth by which neighbours on one surface differ at most
COLOUR = 0.05  # difference in 0..1 at which a neighbour counts 1/e


def upsample(
    depth: Float32[ndarray, "h w"], confidence: Float32[ndarray, "h w"], image: Float[Tensor, "H W 3"]
) -> tuple[Float32[ndarray, "H W"], Float32[ndarray, "H W"]]:
    """Depth (0 = none) and confidence at the image's size: among the four nearest of the small image those on the
    surface of the one that is closest in place and colour, mixed in inverse depth."""
    full = np.ascontiguousarray(image.detach().float().nan_to_num(0.0).cpu().numpy())
    size = full.shape[:2]
    if depth.shape == size:
        return depth, confidence
    out, sure = np.zeros(size, np.float32), np.zeros(size, np.float32)
    _upsample(depth, confidence, full, SAME_SURFACE, COLOUR, out, sure)
    return out, sure


@kernel
def _upsample(depth, confidence, image, same, colour, out, sure):
    h, w = depth.shape
    height, width = out.shape
    down, across = h / height, w / width
    near = np.empty(4)
    z, c = np.empty(4), np.empty(4)
    for y in range(height):
        v = (y + 0.5) * down - 0.5
        top = int(math.floor(v))
        for x in range(width):
            u = (x + 0.5) * across - 0.5
            left = int(math.floor(u))
            best = -1
            for k in range(4):
                row, column = min(max(top + k // 2, 0), h - 1), min(max(left + k % 2, 0), w - 1)
                # the colour of the small pixel: that of the full one in its middle
                sy = min(int((row + 0.5) / down), height - 1)
                sx = min(int((column + 0.5) / across), width - 1)
                difference = 0.0
                for channel in range(3):
                    difference += abs(image[y, x, channel] - image[sy, sx, channel])
                place = (1 - min(abs(v - row), 1.0)) * (1 - min(abs(u - column), 1.0)) + 1e-3
                z[k], c[k] = depth[row, column], confidence[row, column]
                near[k] = place * math.exp(-difference / (3 * colour))
                if best < 0 or near[k] > near[best]:
                    best = k
            if z[best] <= 0:
                continue
            weight, inverse, certain = 0.0, 0.0, 0.0
            for k in range(4):
                if z[k] > 0 and abs(z[k] - z[best]) <= same * z[best]:
                    weight += near[k]
                    inverse += near[k] / z[k]
                    certain += near[k] * c[k]
            out[y, x] = weight / inverse
            sure[y, x] = certain / weight
