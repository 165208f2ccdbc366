"""How far rays go: nearest hits on the room itself and on padded boxes, vertical cylinders and balls.

Shapes: E rooms, V cameras each, R rays each; directions have camera z = 1, so ray parameters are depths.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

NONE = 1e9  # metres: no hit
NEAR = 1e-4  # metres


def axes(vectors: Float[Tensor, "*N 3"]) -> tuple[Tensor, Tensor, Tensor]:
    return vectors[..., 0], vectors[..., 1], vectors[..., 2]


def nearest(hits: Float[Tensor, "E N V R"]) -> tuple[Tensor, Tensor]:
    """The smallest depth over N primitives, and which one it is."""
    return hits.min(dim=1)


def hit_room(size: Float[Tensor, "E 3"], o, d) -> Tensor:
    """Depth at which rays from inside leave the room [E, V, R]. o: three [E, V, 1]; d: three [E, V, R]."""
    halves = (size / 2)[..., None, None].unbind(1)
    middle = (o[0], o[1], o[2] - halves[2])
    leave = [(h - p * q.sign()) / q.abs() for p, q, h in zip(middle, d, halves, strict=True)]
    return torch.minimum(torch.minimum(leave[0], leave[1]), leave[2])


def hit_boxes(boxes: Float[Tensor, "E B 7"], o, d) -> tuple[Tensor, Tensor]:
    """Nearest entry into any box, and its index. o: three [E, V, 1]; d: three [E, V, R]."""
    cx, cy, cz, hx, hy, hz, yaw = boxes[..., None, None].unbind(2)
    c, s = yaw.cos(), yaw.sin()
    px, py, pz = (p - q[:, None] for p, q in zip((cx, cy, cz), o, strict=True))
    dx, dy = d[0][:, None], d[1][:, None]
    # a slab is crossed between middle - reach and middle + reach; negative sizes (padding) are never crossed
    near, far = torch.full_like(hx, NEAR), torch.full_like(hx, NONE)
    for inv, p, h in (
        ((1 / d[2])[:, None], pz, hz),
        (1 / (c * dx + s * dy), c * px + s * py, hx),
        (1 / (c * dy - s * dx), c * py - s * px, hy),
    ):
        middle, reach = inv * p, inv.abs() * h
        enter, leave = middle - reach, middle + reach
        near = torch.maximum(near, enter)
        far = torch.minimum(far, leave)
    return nearest(torch.where(near <= far, near, NONE))


def hit_cylinders(cylinders: Float[Tensor, "E C 5"], o, d) -> tuple[Tensor, Tensor]:
    """Nearest hit on the sides or caps of vertical cylinders, and its index."""
    cx, cy, z0, z1, r = cylinders[..., None, None].unbind(2)
    px, py, pz = o[0][:, None] - cx, o[1][:, None] - cy, o[2][:, None]
    dx, dy, dz = (x[:, None] for x in d)
    a = dx * dx + dy * dy
    b = px * dx + py * dy
    root = b * b - a * (px * px + py * py - r * r)
    reach = root.clamp(min=0).sqrt()
    enter, leave = (-b - reach) / a, (reach - b) / a
    inv = 1 / dz
    t0, t1 = (z0 - pz) * inv, (z1 - pz) * inv
    near = torch.maximum(enter, torch.minimum(t0, t1))
    far = torch.minimum(leave, torch.maximum(t0, t1))
    return nearest(torch.where((root > 0) & (r > 0) & (near <= far) & (near > NEAR), near, NONE))


def hit_balls(balls: Float[Tensor, "E S 4"], o, d) -> tuple[Tensor, Tensor]:
    """Nearest hit on balls, and its index."""
    cx, cy, cz, r = balls[..., None, None].unbind(2)
    p = [o[k][:, None] - c for k, c in enumerate((cx, cy, cz))]
    a = (d[0] * d[0] + d[1] * d[1] + d[2] * d[2])[:, None]
    b = sum(p[k] * d[k][:, None] for k in range(3))
    # from the foot of the perpendicular on the ray: exact where b² - a c would cancel
    foot = -b / a
    off = sum((p[k] + foot * d[k][:, None]) ** 2 for k in range(3))
    root = r * r - off
    t = foot - (root.clamp(min=0) / a).sqrt()
    return nearest(torch.where((root > 0) & (r > 0) & (t > NEAR), t, NONE))
