"""Episodes at another size: cut to the middle and averaged down."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from .episodes import Episode


def fit_episode(episode: Episode, width: int, height: int) -> Episode:
    """The episode at this size, in pixels: the middle of these proportions, colours averaged, depth of one pixel each.

    The right eye is cut where it sees the same. Raises ValueError for images that are smaller.
    """
    rows, columns = episode.rgb.shape[1:3]
    if (columns, rows) == (width, height):
        return episode
    scale = min(columns / width, rows / height)
    if scale < 1:
        raise ValueError(
            f"expected images of at least {width}x{height}; got {columns}x{rows}. Ask for a smaller size."
        )
    cut_width, cut_height = round(width * scale), round(height * scale)
    x, y = (columns - cut_width) // 2, (rows - cut_height) // 2
    right_x = min(max(0, x + round(episode.disparity_offset)), columns - cut_width)
    sx, sy = width / cut_width, height / cut_height

    def colours(images: Tensor, left: int) -> Tensor:
        window = images[:, y : y + cut_height, left : left + cut_width].movedim(-1, 1)
        out = torch.empty(len(images), height, width, 3, dtype=torch.uint8)
        for i, image in enumerate(window):  # one at a time: a long episode as floats is large
            small = interpolate(image[None].float(), (height, width), mode="area")[0]
            out[i] = small.round().clamp(0, 255).to(torch.uint8).movedim(0, -1)
        return out

    depth, K = episode.depth, episode.K
    if depth is not None:
        window = depth[:, None, y : y + cut_height, x : x + cut_width]
        depth = interpolate(window, (height, width), mode="nearest-exact")[:, 0].contiguous()
    if K is not None:
        moved = torch.tensor([[sx, 0, -x * sx], [0, sy, -y * sy], [0, 0, 1]], dtype=K.dtype)
        K = moved @ K
    return replace(
        episode,
        rgb=colours(episode.rgb, x),
        right=None if episode.right is None else colours(episode.right, right_x),
        depth=depth,
        K=K,
        disparity_offset=(episode.disparity_offset - (right_x - x)) * sx,
    )
