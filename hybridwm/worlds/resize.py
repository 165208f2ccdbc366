"""An episode at another size: cut to the middle, to the new proportions, and scaled down."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from .episodes import Episode


def resized(episode: Episode, width: int, height: int) -> Episode:
    """The episode with images of width x height: colours averaged over areas, depth of one pixel and never a mean,
    K of the new pixels. The right eye is cut with its own principal point in the same place.

    Raises ValueError where it would have to be scaled up.
    """
    had_height, had_width = episode.rgb.shape[1:3]
    if (had_width, had_height) == (width, height):
        return episode
    scale = min(had_width / width, had_height / height)
    if scale < 1:
        raise ValueError(f"expected frames of at least {width}x{height}; got {had_width}x{had_height}. Ask for less.")
    cut_width, cut_height = round(width * scale), round(height * scale)
    x, y = (had_width - cut_width) // 2, (had_height - cut_height) // 2
    right_x = min(max(0, x + round(episode.disparity_offset)), had_width - cut_width)

    def colours(frames: Tensor, left: int) -> Tensor:
        made = torch.empty(len(frames), height, width, 3, dtype=torch.uint8)
        for at, image in enumerate(frames[:, y : y + cut_height, left : left + cut_width]):
            small = interpolate(image.permute(2, 0, 1)[None].float(), (height, width), mode="area")[0]
            made[at] = small.permute(1, 2, 0).round().to(torch.uint8)
        return made

    depth, K = episode.depth, episode.K
    if depth is not None:
        window = depth[:, None, y : y + cut_height, x : x + cut_width]
        depth = interpolate(window, (height, width), mode="nearest-exact")[:, 0].contiguous()
    sx, sy = width / cut_width, height / cut_height
    if K is not None:
        K = torch.tensor([[sx, 0, -x * sx], [0, sy, -y * sy], [0, 0, 1]], dtype=K.dtype) @ K
    offset = (episode.disparity_offset - (right_x - x)) * sx
    return replace(
        episode,
        rgb=colours(episode.rgb, x),
        right=None if episode.right is None else colours(episode.right, right_x),
        depth=depth,
        K=K,
        disparity_offset=offset if episode.right is not None else episode.disparity_offset,
    )
