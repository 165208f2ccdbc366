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
    K, reach = camera.K, -radii[:, None]
    seen = z > reach
    for f, c, side, p in ((K[..., 0, 0, None], K[..., 0, 2, None], camera.width, x),
                          (K[..., 1, 1, None], K[..., 1, 2, None], camera.height, y)):  # fmt: skip
        along, low, high = f * p, c, side - c
        seen &= (along + low * z) > reach * torch.hypot(f, low)  # inside the left (upper) plane
        seen &= (high * z - along) > reach * torch.hypot(f, high)
    return seen.any(1) & (radii > 0)


def cull(rooms: RoomBatch, camera: Camera) -> RoomBatch:
    """The same rooms with only the primitives in sight, padded to the largest count among them."""
    boxes, rod, balls = rooms.boxes, rooms.cylinders, rooms.balls
    # bounding balls; the sign keeps padding (negative sizes) out
    centers = torch.cat(
        [boxes[..., :3], torch.cat([rod[..., :2], rod[..., 2:4].mean(-1, keepdim=True)], -1), balls[..., :3]], 1
    )
    half = boxes[..., 3:6]
    radii = torch.cat(
        [
            torch.linalg.vector_norm(half, dim=-1) * half[..., 0].sign(),
            torch.hypot(rod[..., 4], (rod[..., 3] - rod[..., 2]) / 2) * rod[..., 4].sign(),
            balls[..., 3],
        ],
        1,
    )
    each = torch.arange(len(rooms), device=rooms.device)[:, None]
    counts = [boxes.shape[1], rod.shape[1], balls.shape[1]]
    kinds = in_sight(camera, centers, radii).int().split(counts, 1)
    most = torch.stack([seen.sum(1).amax(0) for seen in kinds]).tolist()
    kept = {}
    names = (("box", "boxes"), ("cylinder", "cylinders"), ("ball", "balls"))
    for (kind, name), seen, count in zip(names, kinds, most, strict=True):
        order = seen.argsort(dim=1, descending=True, stable=True)[:, :count]
        kept[name] = getattr(rooms, name)[each, order]
        kept[f"{kind}_materials"] = getattr(rooms, f"{kind}_materials")[each, order]
        if kind == "ball" and rooms.ball_turns is not None:
            kept["ball_turns"] = rooms.ball_turns[each, order]
    return replace(rooms, **kept)
