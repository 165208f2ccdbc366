"""Leave out what no camera of a room can see, before rays are tested against it."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from render.camera import Camera

from .layout import RoomBatch


def in_sight(camera: Camera, centers: Float[Tensor, "E N 3"], radii: Float[Tensor, "E N"]) -> Bool[Tensor, "E N"]:
    """Whether a bounding ball reaches into the view pyramid of any of the room's cameras [E, V]."""
    points = torch.einsum("evij,enj->evni", camera.w2c[..., :3, :3], centers) + camera.w2c[..., None, :3, 3]
    x, y, z = points.unbind(-1)
    fx, fy, cx, cy = (camera.K[..., i, j, None] for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))
    seen = z > -radii[:, None]
    for f, low, high, p in ((fx, cx, camera.width - cx, x), (fy, cy, camera.height - cy, y)):
        seen &= (f * p + low * z) > -radii[:, None] * torch.hypot(f, low)  # inside the left (upper) plane
        seen &= (high * z - f * p) > -radii[:, None] * torch.hypot(f, high)
    return seen.any(1) & (radii > 0)


def cull(rooms: RoomBatch, camera: Camera) -> RoomBatch:
    """The same rooms with only the primitives in sight, padded to the largest count among them."""
    kept = {}
    half, rod = rooms.boxes[..., 3:6], rooms.cylinders
    middle = torch.cat([rod[..., :2], rod[..., 2:4].mean(-1, keepdim=True)], -1)
    # bounding balls; the sign keeps padding (negative sizes) out
    box = torch.linalg.vector_norm(half, dim=-1) * half[..., 0].sign()
    cylinder = torch.hypot(rod[..., 4], (rod[..., 3] - rod[..., 2]) / 2) * rod[..., 4].sign()
    solids = {
        "box": (rooms.boxes, rooms.boxes[..., :3], box),
        "cylinder": (rod, middle, cylinder),
        "ball": (rooms.balls, rooms.balls[..., :3], rooms.balls[..., 3]),
    }
    each = torch.arange(len(rooms), device=rooms.device)[:, None]
    for kind, (table, centers, radii) in solids.items():
        seen = in_sight(camera, centers, radii)
        order = seen.int().argsort(dim=1, descending=True, stable=True)[:, : int(seen.sum(1).max())]
        name = {"box": "boxes", "cylinder": "cylinders", "ball": "balls"}[kind]
        kept[name] = table[each, order]
        kept[f"{kind}_materials"] = getattr(rooms, f"{kind}_materials")[each, order]
        if kind == "ball" and rooms.ball_turns is not None:
            kept["ball_turns"] = rooms.ball_turns[each, order]
    return replace(rooms, **kept)
