"""A room as numbers: `make_room(seed)` draws one, `stack_rooms` pads many into tensors with a leading E."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from .furniture import Plan, furnish
from .materials import Style, make_style

BODY_LOW, BODY_HIGH = 0.06, 1.9  # metres: what lies wholly below or above does not stop a walker
ROOM_FOR_WALKS = 5.0  # square metres that the walker's centre must be able to reach, in one piece


@dataclass(frozen=True)
class Room:
    """One room. World axes: x, y on the floor with the origin at its centre, +z up; metres, radians."""

    seed: int
    style_seed: int
    layout_seed: int
    size: Float[Tensor, "3"]  # x, y, height
    boxes: Float[Tensor, "B 7"]  # centre x y z, half sizes x y z, yaw
    box_materials: Int[Tensor, "B"]
    cylinders: Float[Tensor, "C 5"]  # x y, bottom, top, radius
    cylinder_materials: Int[Tensor, "C"]
    balls: Float[Tensor, "S 4"]  # centre x y z, radius
    ball_materials: Int[Tensor, "S"]
    materials: Float[Tensor, "M P"]  # columns: materials.COLUMNS; rows 0…5 are walls -x +x -y +y, floor, ceiling
    lights: Float[Tensor, "L 6"]  # x y z, rgb
    ambient: Float[Tensor, "3"]


@dataclass(frozen=True)
class RoomBatch:
    """E rooms, padded. Padding is far away and has negative sizes, so no ray and no walker meets it."""

    seeds: tuple[int, ...]
    size: Float[Tensor, "E 3"]
    boxes: Float[Tensor, "E B 7"]
    box_materials: Int[Tensor, "E B"]
    cylinders: Float[Tensor, "E C 5"]
    cylinder_materials: Int[Tensor, "E C"]
    balls: Float[Tensor, "E S 4"]
    ball_materials: Int[Tensor, "E S"]
    materials: Float[Tensor, "E M P"]
    lights: Float[Tensor, "E L 6"]
    ambient: Float[Tensor, "E 3"]
    ball_turns: Float[Tensor, "E S 3 3"] | None = None  # world_from_ball; None: no ball has turned

    def __len__(self) -> int:
        return len(self.seeds)

    @property
    def device(self) -> torch.device:
        return self.size.device

    def __getitem__(self, index: slice | Sequence[int]) -> RoomBatch:
        """Some of the rooms, as a batch."""
        if not isinstance(index, slice):
            index = [operator.index(i) for i in index]
        picked = range(len(self))[index] if isinstance(index, slice) else index
        return replace(
            self,
            seeds=tuple(self.seeds[i] for i in picked),
            **{name: tensor[index] for name, tensor in self._tensors().items()},
        )

    def to(self, device: torch.device | str) -> RoomBatch:
        """The same rooms on another device."""
        return replace(self, **{name: tensor.to(device) for name, tensor in self._tensors().items()})

    def _tensors(self) -> dict[str, Tensor]:
        return {f.name: value for f in fields(self) if isinstance(value := getattr(self, f.name), Tensor)}


def make_room(seed: int, *, style_seed: int | None = None, layout_seed: int | None = None) -> Room:
    """Draw a room. The same seeds give the same room, bit for bit.

    `style_seed` decides materials, palette and lights; `layout_seed` decides walls, objects and wall marks;
    each is `seed` unless given. Raises ValueError for a seed that is negative.
    """
    seed = operator.index(seed)
    style_seed = seed if style_seed is None else operator.index(style_seed)
    layout_seed = seed if layout_seed is None else operator.index(layout_seed)
    if min(seed, style_seed, layout_seed) < 0:
        raise ValueError(
            f"expected room seeds >= 0; got seed {seed}, style_seed {style_seed}, layout_seed {layout_seed}; "
            "use whole numbers from 0 up"
        )
    style = make_style(style_seed)
    rng = np.random.default_rng([layout_seed, 0x1A])
    size = np.array([*rng.uniform(5.0, 7.0, 2), rng.uniform(2.45, 2.8)])
    pieces = int(rng.integers(5, 9))
    for attempt in range(2 * pieces + 1):  # fewer and fewer things, until there is room to walk
        plan = furnish(layout_seed, size, style, pieces - attempt // 2, attempt)
        if walkable_area(plan) >= ROOM_FOR_WALKS:
            break
    return assemble(plan, style, seed, style_seed, layout_seed)


def assemble(plan: Plan, style: Style, seed: int, style_seed: int, layout_seed: int) -> Room:
    """A finished plan as a room."""
    size = plan.size
    lights = style.lights.copy()
    lights[:, :3] *= np.array([size[0] / 2, size[1] / 2, size[2]])
    materials = np.concatenate([style.faces, [style.inner_wall, style.frame], style.pieces, *[[m] for m in plan.marks]])
    boxes, cylinders, balls = rows(plan.boxes, 8), rows(plan.cylinders, 6), rows(plan.balls, 5)
    tensor = lambda a: torch.as_tensor(np.asarray(a, dtype=np.float32))  # noqa: E731
    index = lambda a: torch.as_tensor(a[:, -1].astype(np.int64))  # noqa: E731
    return Room(
        seed=seed, style_seed=style_seed, layout_seed=layout_seed, size=tensor(size),
        boxes=tensor(boxes[:, :7]), box_materials=index(boxes),
        cylinders=tensor(cylinders[:, :5]), cylinder_materials=index(cylinders),
        balls=tensor(balls[:, :4]), ball_materials=index(balls),
        materials=tensor(materials), lights=tensor(lights), ambient=tensor(style.ambient),
    )  # fmt: skip


def rows(values: list, width: int) -> np.ndarray:
    return np.asarray(values, dtype=np.float64).reshape(-1, width)


def walkable_area(plan: Plan, cell: float = 0.1, radius: float = 0.45) -> float:
    """Square metres of the largest connected region for the walker's centre; 0 if it is not nearly all."""
    half = plan.size[:2] / 2
    x, y = (np.arange(-h + cell / 2, h, cell) for h in half)
    x, y = np.meshgrid(x, y, indexing="ij")
    free = (half[0] - abs(x) > radius) & (half[1] - abs(y) > radius)
    for cx, cy, cz, hx, hy, hz, yaw, _ in plan.boxes:
        if cz - hz < BODY_HIGH and cz + hz > BODY_LOW:
            c, s = np.cos(yaw), np.sin(yaw)
            dx = np.maximum(abs(c * (x - cx) + s * (y - cy)) - hx, 0)
            dy = np.maximum(abs(c * (y - cy) - s * (x - cx)) - hy, 0)
            free &= np.hypot(dx, dy) > radius
    for cx, cy, z0, _, r, _ in plan.cylinders:
        free &= (np.hypot(x - cx, y - cy) > r + radius) | (z0 > BODY_HIGH)
    for cx, cy, _, r, _ in plan.balls:
        free &= np.hypot(x - cx, y - cy) > r + radius
    left, largest, total = free.copy(), 0, int(free.sum())
    while left.any() and largest < total - largest:
        region = np.zeros_like(left)
        region[np.unravel_index(np.argmax(left), left.shape)] = True
        count = 0
        while (n := int(region.sum())) != count:
            count = n
            for _ in range(8):
                region[1:] |= region[:-1]
                region[:-1] |= region[1:]
                region[:, 1:] |= region[:, :-1]
                region[:, :-1] |= region[:, 1:]
                region &= left
        largest, left = max(largest, count), left & ~region
    return largest * cell**2 if largest >= 0.9 * total else 0.0


def stack_rooms(rooms: Sequence[Room], device: torch.device | str = "cpu") -> RoomBatch:
    """Pad rooms to the largest counts among them and stack them on `device`."""
    if not rooms:
        raise ValueError("expected at least one room; got none; pass [make_room(seed)]")

    def stack(name: str, padding: Sequence[float] | float) -> Tensor:
        values = [getattr(room, name) for room in rooms]
        fill = torch.as_tensor(padding, dtype=values[0].dtype)
        out = fill.repeat(len(rooms), max(max(len(v) for v in values), 1), *([1] if fill.dim() else []))
        for k, v in enumerate(values):
            out[k, : len(v)] = v
        return out.to(device)

    width = rooms[0].materials.shape[1]
    return RoomBatch(
        seeds=tuple(room.seed for room in rooms),
        size=torch.stack([room.size for room in rooms]).to(device),
        boxes=stack("boxes", [0, 0, -99, -1, -1, -1, 0]),
        box_materials=stack("box_materials", 0).reshape(len(rooms), -1),
        cylinders=stack("cylinders", [99, 99, -98, -99, -1]),
        cylinder_materials=stack("cylinder_materials", 0).reshape(len(rooms), -1),
        balls=stack("balls", [99, 99, -99, -1]),
        ball_materials=stack("ball_materials", 0).reshape(len(rooms), -1),
        materials=stack("materials", [0.0] * width),
        lights=stack("lights", [0, 0, 1, 0, 0, 0]),
        ambient=torch.stack([room.ambient for room in rooms]).to(device),
    )
