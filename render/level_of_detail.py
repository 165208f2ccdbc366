"""Level of detail: a pyramid of ever coarser versions of a scene, of which each part of an image takes the
coarsest that still looks the same there, so that cost follows what is visible. Merging itself: render/merging.py."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .camera import Camera
from .frustum import boxes_in_view, nearest_depths
from .gaussians import Gaussians
from .merging import check_mergeable, merge_with_sources, pack
from .merging import merge as merge


@dataclass(frozen=True)
class Pyramid:
    """Levels of one scene, cut into the same blocks of space: levels[0] is the scene itself, cells[0] = 0.

    cells: metres, each twice the one before. Each level is sorted by block, and block b of level i is
    levels[i][offsets[i][b] : offsets[i][b + 1]]. lowest, highest: the bounds of the centres in each block; largest:
    the largest standard deviation in each level of it, metres.
    """

    cells: tuple[float, ...]
    levels: tuple[Gaussians, ...]
    offsets: Int[Tensor, "L M1"]
    lowest: Float[Tensor, "M 3"]
    highest: Float[Tensor, "M 3"]
    largest: Float[Tensor, "M L"]


def levels(gaussians: Gaussians, finest_cell: float, count: int) -> Pyramid:
    """The scene and `count` merged levels of it, with cells of finest_cell, 2 finest_cell, 4 finest_cell, ... metres.

    Blocks are cubes of the coarsest cell. Every level is merged from the scene itself: what a level of a level gains
    in time it loses in sharpness. Raises ValueError as merge does, and for a count below 1.
    """
    if count < 1:
        raise ValueError(f"levels needs a count of at least 1; got {count}.")
    gaussians = gaussians.detach()
    cells = [finest_cell * 2**i for i in range(count)]
    check_mergeable(gaussians, finest_cell)
    block = pack(torch.floor(gaussians.means.to(torch.float64) / cells[-1]).long().unbind(1))
    block = torch.unique(block, return_inverse=True)[1]
    number = int(block.max()) + 1 if len(block) else 0
    made = [(gaussians, torch.arange(len(gaussians), device=gaussians.device))]
    made += [merge_with_sources(gaussians, cell) for cell in cells]
    sorted_levels, offsets = [], []
    lowest = gaussians.means.new_full((number, 3), math.inf)
    highest, largest = -lowest, gaussians.means.new_zeros(number, count + 1)
    for i, (level, source) in enumerate(made):
        blocks, order = torch.sort(block[source], stable=True)
        level = level[order]
        sorted_levels.append(level)
        offsets.append(torch.searchsorted(blocks, torch.arange(number + 1, device=blocks.device)))
        rows = blocks[:, None].expand(-1, 3)
        lowest.scatter_reduce_(0, rows, level.means, "amin")
        highest.scatter_reduce_(0, rows, level.means, "amax")
        largest[:, i].scatter_reduce_(0, blocks, level.scales.amax(dim=1), "amax")
    return Pyramid((0.0, *cells), tuple(sorted_levels), torch.stack(offsets), lowest, highest, largest)


@torch.no_grad()
def select(pyramid: Pyramid, camera: Camera, pixels: float = 1.0) -> Gaussians:
    """What to draw from the camera, or from all cameras of a batch: of each block that can be seen, the coarsest
    level whose cell stays below `pixels` pixels there.

    Raises ValueError for `pixels` that is not above 0.
    """
    bounds = (pyramid.lowest, pyramid.highest, pyramid.largest)
    wanted = needed_levels(pyramid.cells, *bounds, camera, pixels)
    parts = []
    for i, level in enumerate(pyramid.levels):
        blocks = (wanted == i).nonzero().squeeze(1)
        if len(blocks) == len(wanted):
            return level
        if len(blocks):
            start, end = pyramid.offsets[i][blocks], pyramid.offsets[i][blocks + 1]
            parts.append(level[_ranges(start, end - start)])
    return Gaussians.cat(parts) if parts else pyramid.levels[0][:0]


def needed_levels(
    cells: tuple[float, ...],
    lowest: Float[Tensor, "M 3"],
    highest: Float[Tensor, "M 3"],
    largest: Float[Tensor, "M L"],
    camera: Camera,
    pixels: float,
) -> Int[Tensor, " M"]:
    """For each box the coarsest level whose cell projects below `pixels` in every camera that sees it; -1: none does.

    lowest, highest: bounds of the boxes' centres; largest: the largest standard deviation in each level, metres.
    """
    if not pixels > 0:
        raise ValueError(f"pixels must be above 0: the size up to which a cell may grow in the image; got {pixels}.")
    nearest = nearest_depths(lowest, highest, camera)
    K = camera.K.reshape(-1, 3, 3).to(nearest)
    metres = pixels * nearest / torch.maximum(K[:, 0, 0], K[:, 1, 1])[:, None]
    level = torch.searchsorted(nearest.new_tensor(cells), metres, right=True) - 1
    reach = largest.gather(1, level.T).T
    level = torch.where(boxes_in_view(lowest, highest, reach, camera), level, len(cells))
    finest = level.amin(dim=0)
    return torch.where(finest < len(cells), finest, -1)


def _ranges(start: Int[Tensor, " B"], count: Int[Tensor, " B"]) -> Int[Tensor, " R"]:
    """The numbers start, start + 1, ... of each range, one range after the other."""
    before = count.cumsum(0) - count
    return torch.arange(int(count.sum()), device=count.device) + torch.repeat_interleave(start - before, count)
