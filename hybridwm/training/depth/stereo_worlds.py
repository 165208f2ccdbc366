"""Rectified pairs with exact disparity: layered worlds of slanted textured pieces, and procedural rooms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from ...worlds.rooms.collision import sample_free_pose
from ...worlds.rooms.layout import make_room, stack_rooms
from ...worlds.rooms.raycast import raycast
from ...worlds.rooms.rig import RoomsRig
from .stereo_textures import SIDE, smooth_noise, texture

OVERSAMPLED = 2  # samples of a layered world along each side of a pixel
ROOM_SIDE = 128  # pixels of a room's images, as they are matched


@dataclass(frozen=True)
class StereoPairs:
    """N rectified pairs. disparity: of the left eye, pixels; 0 where the right eye does not see that point."""

    left: UInt8[Tensor, "N 3 H W"]
    right: UInt8[Tensor, "N 3 H W"]
    disparity: Float[Tensor, "N H W"]

    def __len__(self) -> int:
        return len(self.left)


def layered_pairs(seeds: Sequence[int], height: int, width: int, search: int) -> StereoPairs:
    """One world of layers for each seed; a third of them at half the size and enlarged, as small images are matched."""
    made = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        if rng.random() < 1 / 3:
            made.append(_enlarged(*_layered(rng, height // 2, width // 2, search // 2)))
        else:
            made.append(_layered(rng, height, width, search))
    return _stacked(made)


def room_pairs(seeds: Sequence[int], search: int) -> StereoPairs:
    """One pair from each room, of all baselines and fields of view; half of them at half the size and enlarged."""
    made = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        small = rng.random() < 0.5
        side = ROOM_SIDE // 2 if small else ROOM_SIDE
        rig = RoomsRig(size=side, fov_x=rng.uniform(55, 95), baseline=rng.uniform(0.1, 0.39))
        rooms = stack_rooms([make_room(seed)])
        w2c = sample_free_pose(rooms, int(rng.integers(1000)), rig.radius, rig.eye_height)
        with torch.no_grad():
            seen = raycast(rooms, rig.stereo(w2c))
        left, right = seen.rgb[0].permute(0, 3, 1, 2)
        disparity = [rig.focal * rig.baseline / depth for depth in seen.depth[0]]
        visible = disparity[0].where(_visible(*disparity), torch.zeros(()))
        made.append(_enlarged(left, right, visible) if small else (left, right, visible))
    return _stacked(made, search)


def _layered(rng: np.random.Generator, height: int, width: int, search: int) -> tuple[Tensor, Tensor, Tensor]:
    """Left, right [3, H, W] and the disparity [H, W] where both eyes see it."""
    images, maps = [], []
    pieces = [_Piece(rng, height, width, search, i) for i in range(int(rng.integers(4, 11)))]
    for eye in (0, 1):
        n = OVERSAMPLED
        y, x = torch.meshgrid((torch.arange(height * n) + 0.5) / n, (torch.arange(width * n) + 0.5) / n, indexing="ij")
        colours, nearest = torch.zeros(3, *x.shape), torch.zeros(x.shape)
        for piece in pieces:
            own = piece.left_column(x, y) if eye else x
            disparity = piece.disparity(own, y)
            shown = (disparity > nearest) & (disparity < search - 2) & piece.covers(own, y)
            colours = torch.where(shown, piece.colours(own, y), colours)
            nearest = torch.where(shown, disparity, nearest)
        images.append(torch.nn.functional.avg_pool2d(colours[None], n)[0])
        # the sample just after the middle is shifted by a quarter of a pixel, which no slant here makes much of
        maps.append(nearest[n // 2 :: n, n // 2 :: n])
    return *images, torch.where(_visible(*maps), maps[0], torch.zeros(()))


class _Piece:
    """A textured piece of a slanted plane, in the left eye's pixels: disparity = a + b x + c y where it covers."""

    def __init__(self, rng: np.random.Generator, height: int, width: int, search: int, order: int) -> None:
        self.height, self.width = height, width
        self.center = rng.random(2) * (width, height)
        level = search * rng.uniform(0.02, 0.3) if order < 3 else search * rng.uniform(0.05, 0.8)
        slant = 0.25 if rng.random() < 0.6 else 0.0
        self.b, self.c = rng.normal(0, slant * search / 64, 2).clip(-0.35, 0.35)
        if order == 1:  # a floor
            self.b, self.c, level = rng.normal(0, 0.02), rng.uniform(0.1, 0.5) * search / height, 0.3 * search
            self.center = np.array([width / 2, height])
        if order == 0:  # what is behind everything
            self.b, self.c = rng.normal(0, 0.02, 2)
            self.center = np.array([width / 2, height / 2])
            level = search * rng.uniform(0.03, 0.2)
        self.a = level - self.b * self.center[0] - self.c * self.center[1]
        self.everywhere = order < 2
        self.kind = rng.integers(4)
        size = np.exp(rng.uniform(np.log(4), np.log(height)))
        long, thin = size * np.exp(rng.uniform(0, 1)), size * np.exp(rng.uniform(-1.5, 0))
        angle = rng.uniform(0, np.pi)
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        self.to_shape = turn / np.array([[long], [thin]])
        self.corners = rng.uniform(0, 2 * np.pi, 5), rng.uniform(0.4, 1, 5)
        self.blob = smooth_noise(rng, 16) if self.kind == 3 else None
        self.paint = texture(rng)
        scale, angle = np.exp(rng.uniform(np.log(0.5), np.log(2.5))), rng.uniform(0, 2 * np.pi)
        self.to_paint = scale * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        self.offset = rng.random(2) * SIDE

    def disparity(self, x: Tensor, y: Tensor) -> Tensor:
        return self.a + self.b * x + self.c * y

    def left_column(self, x: Tensor, y: Tensor) -> Tensor:
        """The left eye's column of what the right eye has in column x: x = left - disparity(left, y)."""
        return (x + self.a + self.c * y) / (1 - self.b)

    def covers(self, x: Tensor, y: Tensor) -> Tensor:
        if self.everywhere:
            return torch.ones_like(x, dtype=torch.bool)
        u, v = _turned(self.to_shape, x - self.center[0], y - self.center[1])
        if self.kind == 0:
            return u * u + v * v < 1
        if self.kind == 1:
            return (u.abs() < 1) & (v.abs() < 1)
        if self.kind == 2:
            inside = torch.ones_like(x, dtype=torch.bool)
            for angle, reach in zip(*self.corners, strict=True):
                inside &= u * np.cos(angle) + v * np.sin(angle) < reach
            return inside & (u * u + v * v < 4)
        assert self.blob is not None
        near = u * u + v * v
        return (near < 4) & (_look_up(self.blob[None], x, y)[0] > 0.35 + 0.1 * near)

    def colours(self, x: Tensor, y: Tensor) -> Tensor:
        u, v = _turned(self.to_paint, x, y)
        return _look_up(self.paint, u + self.offset[0], v + self.offset[1])


def _turned(matrix: np.ndarray, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    (a, b), (c, d) = matrix.tolist()
    return a * x + b * y, c * x + d * y


def _look_up(image: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Values [C, ...] of an image [C, T, T], which goes on mirrored, at pixel coordinates."""
    grid = torch.stack([x, y], -1) * (2 / SIDE) - 1
    return torch.nn.functional.grid_sample(
        image[None], grid[None], "bilinear", padding_mode="reflection", align_corners=False
    )[0]


def _visible(left: Tensor, right: Tensor) -> Tensor:
    """Where the right eye's disparity at the left one's match is the same, within a pixel; [H, W] each."""
    columns = torch.arange(left.shape[1]) - left.round().long()
    other = right.gather(1, columns.clamp(0, left.shape[1] - 1))
    return (columns >= 0) & (left > 0) & ((other - left).abs() < 1)


def _enlarged(left: Tensor, right: Tensor, disparity: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Both images at twice the size, as recon.stereo.match enlarges small ones."""
    left, right = (
        torch.nn.functional.interpolate(_eight_bits(image)[None], scale_factor=2, mode="bicubic")[0]
        for image in (left, right)
    )
    return left, right, 2 * disparity.repeat_interleave(2, 0).repeat_interleave(2, 1)


def _eight_bits(image: Tensor) -> Tensor:
    return (image.clamp(0, 1) * 255).round() / 255


def _stacked(made: list[tuple[Tensor, Tensor, Tensor]], search: int | None = None) -> StereoPairs:
    left, right, disparity = (torch.stack(values) for values in zip(*made, strict=True))
    if search is not None:
        disparity = torch.where(disparity < search - 1, disparity, torch.zeros(()))
    left, right = ((image.clamp(0, 1) * 255).round().to(torch.uint8) for image in (left, right))
    return StereoPairs(left, right, disparity)
