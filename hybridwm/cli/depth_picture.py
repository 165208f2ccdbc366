"""A depth map as a picture that can be read: colours, and beside them what the colours mean in metres."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from render.images import colour_depth, to_uint8

BAR, MARGIN, LABELS = 18, 8, 56  # pixels
TICKS = 6


def depth_with_scale(depth: Float[Tensor, "H W"]) -> UInt8[np.ndarray, "H w 3"]:
    """The depth (metres, 0 = none, black) in colours, with a scale on the right; even in 1 / depth.

    The range is that of 98 % of the measured pixels. Raises ValueError where nothing was measured.
    """
    known = depth[depth > 0]
    if len(known) == 0:
        raise ValueError("expected a depth map with measured pixels; got none above 0")
    near, far = float(known.quantile(0.01)), float(known.quantile(0.99))
    far = max(far, near * 1.001)
    height = depth.shape[0]
    inverse = torch.linspace(1 / near, 1 / far, height)
    bar = colour_depth((1 / inverse)[:, None].expand(height, BAR).contiguous(), near, far)
    canvas = np.full((height, depth.shape[1] + MARGIN + BAR + LABELS, 3), 255, np.uint8)
    canvas[:, : depth.shape[1]] = to_uint8(colour_depth(depth, near, far))
    left = depth.shape[1] + MARGIN
    canvas[:, left : left + BAR] = to_uint8(bar)
    picture = Image.fromarray(canvas)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(size=12)
    for i in range(TICKS):
        row = round(i * (height - 1) / (TICKS - 1))
        label = f"{1 / float(inverse[row]):.3g} m"
        draw.text((left + BAR + 4, min(max(row - 6, 0), max(height - 14, 0))), label, fill=(0, 0, 0), font=font)
    return np.asarray(picture)
