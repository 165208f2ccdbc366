"""Gaussians that share a small cell of space become one, to be drawn where the cell is smaller than a pixel.

A merged Gaussian keeps the first two moments of its parts and what they absorb together, summed over the image: a
splat of opacity o and area A takes A Li2(o) of optical depth (the integral of -log(1 - o exp(-r^2 / 2)), Li2 being the
dilogarithm). Where its opacity would have to be above MAX_OPACITY it is made larger instead, up to MAX_GROWTH, so that
a wall of small discs becomes a wall of larger ones without gaps. Of what was tried (1 - prod(1 - o), mass / area,
weighted means, with and without growth) this came nearest to the anti-aliased render of all Gaussians.

Without anti-aliasing the renders of all Gaussians and of a level differ more, because the former are wrong: every
sub-pixel splat is drawn a pixel wide at full opacity, so the nearer one wins. The level is then nearer to the truth.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .checks import check_gaussians
from .gaussians import Gaussians
from .transforms import matrix_from_quats, quats_from_matrix

MAX_OPACITY = 0.97
MAX_GROWTH = 4.0  # of the variances; discs on a grid are then 0.58 cells wide
LAYER = 0.02  # standard deviation across the surface, in cells, above which a cell holds two surfaces
_SMALLEST = 1e-30  # a weight that leaves means defined where all weights are zero


def merge(gaussians: Gaussians, cell: float) -> Gaussians:
    """The Gaussians with those that share a cube of `cell` metres merged; the rest stay as they are.

    Not merged: Gaussians wider than a cell, flat ones that face different axes of the world, and the two sides of a
    thin wall. Colour, SH and features are means weighted by opacity times area. Merged ones come first, then the rest
    in order. Carries no gradients.

    Raises ValueError for a cell that is not above 0, or is too small for the extent, and for values not finite.
    """
    return merge_with_sources(gaussians, cell)[0]


@torch.no_grad()
def merge_with_sources(gaussians: Gaussians, cell: float) -> tuple[Gaussians, Int[Tensor, " M"]]:
    """As merge, and for each result the index of one of the Gaussians that it was made of."""
    gaussians = gaussians.detach()
    check_mergeable(gaussians, cell)
    small = (gaussians.scales.amax(dim=1) <= cell).nonzero().squeeze(1)
    key, order = torch.sort(_cell_keys(gaussians[small], cell), stable=True)
    alone = torch.ones(len(gaussians), dtype=torch.bool, device=gaussians.device)
    parts = _merge_groups(gaussians, small[order], key, alone, LAYER * cell)
    rest = alone.nonzero().squeeze(1)
    merged, sources = zip(*parts, (gaussians[rest], rest), strict=True)
    return Gaussians.cat(merged), torch.cat(sources)


class _Parts:
    """What is summed over the members of a group, float64. mass: opacity times area. absorbed: optical depth times
    area. covariance: xx, xy, xz, yy, yz, zz. normals: with the largest component positive."""

    def __init__(self, gaussians: Gaussians, member: Int[Tensor, " P"]) -> None:
        self.means = gaussians.means[member].to(torch.float64)
        scales = gaussians.scales[member].to(torch.float64)
        opacities = gaussians.opacities[member].to(torch.float64)
        area = _area(scales.square())
        self.mass = (opacities * area).clamp(min=_SMALLEST)
        self.absorbed = _optical_depth(opacities) * area
        rotation = matrix_from_quats(gaussians.quats[member].to(torch.float64))
        root = rotation * scales[:, None, :]
        self.covariance = _outer(root, root)
        normals = _normals(rotation, scales)
        largest = normals.gather(1, normals.abs().argmax(dim=1, keepdim=True))
        self.normals = torch.where(largest < 0, -normals, normals)


@dataclass(frozen=True)
class _Moments:
    """Of each group: mean, variances (ascending) along the columns of axes; offset_across: how far its members'
    centres lie off its middle along the mean of their normals, rms. Of each member: its weight, its share of the
    group's mass, and across, where its centre lies along that mean."""

    means: Tensor
    variances: Tensor
    axes: Tensor
    offset_across: Tensor
    weights: Tensor
    across: Tensor


def _moments(parts: _Parts, group: Int[Tensor, " P"]) -> _Moments:
    weights = parts.mass / _sum(parts.mass, group)[group]
    means = _sum(weights[:, None] * parts.means, group)
    offset = parts.means - means[group]
    spread = parts.covariance + _outer(offset[:, :, None], offset[:, :, None])
    xx, xy, xz, yy, yz, zz = _sum(weights[:, None] * spread, group).unbind(1)
    variances, axes = torch.linalg.eigh(torch.stack([xx, xy, xz, xy, yy, yz, xz, yz, zz], dim=1).reshape(-1, 3, 3))
    # A reflection has no quaternion; the sign of an axis means nothing.
    axes[:, :, 0] *= torch.linalg.det(axes)[:, None]
    # Not the first axis: where one of two surfaces fills only a corner of the cell, that is askew to both.
    normals = torch.nn.functional.normalize(_sum(weights[:, None] * parts.normals, group), dim=1)
    across = (offset * normals[group]).sum(dim=1)
    offset_across = _sum(weights * across.square(), group).sqrt()
    return _Moments(means, variances.clamp(min=0), axes, offset_across, weights, across)


def _merge_groups(
    gaussians: Gaussians, member: Tensor, key: Tensor, alone: Tensor, layer: float
) -> list[tuple[Gaussians, Tensor]]:
    """Merges members of equal key (sorted), with the index of a member of each; clears `alone` where it merged.
    Groups that are thicker than `layer` metres are cut in two at their middle first."""
    several = torch.zeros_like(key, dtype=torch.bool)
    equal = key[1:] == key[:-1]
    several[1:] |= equal
    several[:-1] |= equal
    member = member[several]
    group = torch.unique_consecutive(key[several], return_inverse=True)[1]
    parts = _Parts(gaussians, member)
    moments = _moments(parts, group)
    layered = moments.offset_across > layer
    inside = layered[group]
    alone[member[~inside]] = False
    starts = torch.ones_like(group, dtype=torch.bool)
    starts[1:] = group[1:] != group[:-1]
    merged = _merged(gaussians, member, group, parts, moments)
    if not layered.any():
        return [(merged, member[starts])]
    # The two surfaces of a thin wall lie on both sides of its middle.
    halves, order = torch.sort((2 * group + (moments.across > 0))[inside], stable=True)
    rest = _merge_groups(gaussians, member[inside][order], halves, alone, math.inf)
    return [(merged[~layered], member[starts & ~inside]), *rest]


def _merged(gaussians: Gaussians, member: Tensor, group: Tensor, parts: _Parts, moments: _Moments) -> Gaussians:
    absorbed, area = _sum(parts.absorbed, group), _area(moments.variances).clamp(min=_SMALLEST)
    growth = (absorbed / (area * _optical_depth(area.new_tensor([MAX_OPACITY])))).clamp(1, MAX_GROWTH)
    opacities = _opacity(absorbed / (area * growth)).clamp(max=MAX_OPACITY)
    weights = moments.weights.to(gaussians.dtype)

    def mean(values: Tensor) -> Tensor:
        flat = _sum(weights[:, None] * values[member].flatten(1), group)
        return flat.reshape(len(flat), *values.shape[1:])

    return Gaussians(
        means=moments.means.to(gaussians.dtype),
        quats=quats_from_matrix(moments.axes).to(gaussians.dtype),
        scales=(moments.variances * growth[:, None]).sqrt().to(gaussians.dtype),
        opacities=opacities.to(gaussians.dtype),
        sh=mean(gaussians.sh),
        features=None if gaussians.features is None else mean(gaussians.features),
    )


def _area(variances: Float[Tensor, "P 3"]) -> Float[Tensor, " P"]:
    """The area that a Gaussian covers, up to a factor, from no particular side: of a disc, its own."""
    a, b, c = variances.unbind(1)
    return (a * b + b * c + c * a).sqrt()


def _outer(left: Float[Tensor, "P 3 C"], right: Float[Tensor, "P 3 C"]) -> Float[Tensor, "P 6"]:
    """left @ right^T, which is symmetric: xx, xy, xz, yy, yz, zz."""
    pairs = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
    return torch.stack([(left[:, i] * right[:, j]).sum(dim=1) for i, j in pairs], dim=1)


def _sum(values: Float[Tensor, "P *C"], group: Int[Tensor, " P"]) -> Float[Tensor, "M *C"]:
    """Sums over the members of each group; groups are numbered in order."""
    number = int(group[-1]) + 1 if len(group) else 0
    return values.new_zeros(number, *values.shape[1:]).index_add_(0, group, values)


def _optical_depth(opacities: Float[Tensor, " P"]) -> Float[Tensor, " P"]:
    """Of a splat, averaged over 2 pi sigma^2: Li2(opacity)."""
    table = _dilogarithm().to(opacities.device)
    place = opacities.clamp(0, 1) * (len(table) - 1)
    lower = place.long().clamp(max=len(table) - 2)
    return torch.lerp(table[lower], table[lower + 1], place - lower)


def _opacity(optical_depth: Float[Tensor, " P"]) -> Float[Tensor, " P"]:
    """The inverse of _optical_depth, 1 beyond its range."""
    table = _dilogarithm().to(optical_depth.device)
    lower = (torch.searchsorted(table, optical_depth, right=True) - 1).clamp(0, len(table) - 2)
    share = (optical_depth - table[lower]) / (table[lower + 1] - table[lower])
    return ((lower + share) / (len(table) - 1)).clamp(max=1)


@functools.cache
def _dilogarithm() -> Float[Tensor, "4097"]:
    """Li2 on an even grid over 0..1, float64."""
    x = torch.linspace(0, 1, 4097, dtype=torch.float64)
    inner = x[1:-1]
    k = torch.arange(1, 60, dtype=torch.float64)
    # The series sum x^k / k^2 below 1/2, and above it through Li2(x) + Li2(1 - x) = pi^2 / 6 - log x log(1 - x).
    series = (torch.minimum(inner, 1 - inner)[:, None] ** k / k**2).sum(dim=1)
    reflected = math.pi**2 / 6 - inner.log() * (1 - inner).log() - series
    table = torch.zeros_like(x)
    table[1:-1] = torch.where(inner <= 0.5, series, reflected)
    table[-1] = math.pi**2 / 6
    return table


def _cell_keys(gaussians: Gaussians, cell: float) -> Int[Tensor, " P"]:
    """One number for each pair of a cell of space and the world axis that a Gaussian's normal is nearest to."""
    normals = _normals(matrix_from_quats(gaussians.quats), gaussians.scales)
    cells = torch.floor(gaussians.means.to(torch.float64) / cell).long()
    return pack((*cells.unbind(1), normals.abs().argmax(dim=1)))


def _normals(rotations: Float[Tensor, "P 3 3"], scales: Float[Tensor, "P 3"]) -> Float[Tensor, "P 3"]:
    """The thinnest axis of each Gaussian that is flat, thinner than half its middle scale; of the others 0."""
    thinnest = rotations.gather(2, scales.argmin(dim=1)[:, None, None].expand(-1, 3, 1)).squeeze(2)
    thin, middle, _ = scales.sort(dim=1).values.unbind(1)
    return thinnest * (2 * thin < middle)[:, None]


def pack(columns: tuple[Tensor, ...]) -> Int[Tensor, " P"]:
    """One integer for each row of integer columns, equal where the rows are equal, in the rows' order."""
    key = torch.zeros_like(columns[0])
    if len(key) == 0:
        return key
    for column in columns:
        column = column - column.min()
        if (int(key.max()) + 1) * (int(column.max()) + 1) >= 2**62:
            key, column = (torch.unique(part, return_inverse=True)[1] for part in (key, column))
        key = key * (column.max() + 1) + column
    return key


def check_mergeable(gaussians: Gaussians, cell: float) -> None:
    if not (math.isfinite(cell) and cell > 0):
        raise ValueError(f"A cell must be a number of metres above 0; got {cell}.")
    check_gaussians(gaussians)
    if len(gaussians) and float(gaussians.means.abs().max()) / cell > 2**52:
        raise ValueError(
            f"Cells of {cell} m are too small for a scene that reaches {float(gaussians.means.abs().max()):.3g} m from "
            "the origin. Use larger cells."
        )
