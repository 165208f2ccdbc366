"""The first surface along each ray: its depth, surface coordinates, pixel footprint, material and normal.

Shapes: E rooms, V cameras each, R rays each; directions have camera z = 1, so ray parameters are depths.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from .intersect import axes, hit_balls, hit_boxes, hit_cylinders, hit_room
from .layout import RoomBatch

Triple = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class Surface:
    """What the rays hit, each tensor [E, V, R]."""

    depth: Tensor  # metres along the camera's z
    u: Tensor  # metres along the surface
    v: Tensor
    foot_u: Tensor  # metres that a pixel covers along u, times the focal length in pixels
    foot_v: Tensor
    side: Tensor  # which face of its object
    material: Tensor  # index in the room
    point: Triple  # world
    normal: Triple  # world, unit, facing the ray


@dataclass(frozen=True)
class Patch:
    """One kind of surface at each ray: coordinates, and ray and camera z along (normal, u, v)."""

    u: Tensor
    v: Tensor
    side: Tensor
    material: Tensor
    normal: Triple
    ray: Triple
    ahead: Triple


def pick(table: Float[Tensor, "E N K"], index: Tensor) -> list[Tensor]:
    """Columns of `table` at each ray's index [E, V, R]."""
    E, N, K = table.shape
    start = torch.arange(E, device=index.device)[:, None, None] * N
    flat = (index + start).reshape(-1)
    return [column[flat].reshape(index.shape) for column in table.reshape(E * N, K).T.contiguous()]


def flat_patch(rooms: RoomBatch, index: Tensor, on_room: Tensor, point: Triple, d: Triple, ez: Triple) -> Patch:
    """Faces of boxes, and of the room, which is a box seen from inside."""
    bx, by, bz, hx, hy, hz, yaw = pick(rooms.boxes, index)
    width, length, height = (x[:, None, None] / 2 for x in rooms.size.unbind(-1))
    bx, by, yaw = (torch.where(on_room, 0.0, x) for x in (bx, by, yaw))
    bz, hx = torch.where(on_room, height, bz), torch.where(on_room, width, hx)
    hy, hz = torch.where(on_room, length, hy), torch.where(on_room, height, hz)
    c, s = yaw.cos(), yaw.sin()

    def local(a, b, z):
        return c * a + s * b, c * b - s * a, z

    p = local(point[0] - bx, point[1] - by, point[2] - bz)
    q, ahead = local(*d), local(ez[0], ez[1], ez[2].expand_as(c))
    share = [x.abs() / h for x, h in zip(p, (hx, hy, hz), strict=True)]
    on_x = (share[0] >= share[1]) & (share[0] >= share[2])
    on_z = ~on_x & (share[2] >= share[1])

    def turn(a: Triple) -> Triple:  # object axes → (normal axis, u, v)
        return (torch.where(on_x, a[0], torch.where(on_z, a[2], a[1])), torch.where(on_x, a[1], a[0]),
                torch.where(on_z, a[1], a[2]))  # fmt: skip

    across, u, v = turn(p)
    face = torch.where(on_x, 0, torch.where(on_z, 4, 2)) + (across > 0).long()
    sign = torch.where(on_room, -across.sign(), across.sign())
    normal = (torch.where(on_x, c, torch.where(on_z, 0.0, -s)) * sign,
              torch.where(on_x, s, torch.where(on_z, 0.0, c)) * sign, torch.where(on_z, sign, 0.0))  # fmt: skip
    material = torch.where(on_room, face, pick(rooms.box_materials[..., None], index)[0])
    return Patch(u, v, torch.where(on_room, 0, face), material, normal, turn(q), turn(ahead))


def round_patch(rooms, cylinder: Tensor, ball: Tensor, on_ball: Tensor, point: Triple, d: Triple, ez: Triple) -> Patch:
    """Cylinder sides unrolled around the axis, caps flat, balls by longitude and latitude."""
    x, y, z = point
    cx, cy, z0, z1, radius = pick(rooms.cylinders, cylinder)
    gx, gy, gz, g = pick(rooms.balls, ball)
    cx, cy, radius = torch.where(on_ball, gx, cx), torch.where(on_ball, gy, cy), torch.where(on_ball, g, radius)
    rx, ry = x - cx, y - cy
    across = (rx * rx + ry * ry).clamp(min=1e-12).sqrt()
    cap = ~on_ball & (across < radius * (1 - 1e-4)) & (torch.minimum((z - z1).abs(), (z - z0).abs()) < 1e-3)
    up = torch.where(on_ball, ((z - gz) / g).clamp(-1, 1), torch.where(cap, torch.where(z * 2 > z0 + z1, 1.0, -1.0), 0.0))
    out = torch.where(on_ball, (1 - up * up).sqrt(), torch.where(cap, 0.0, 1.0))
    normal = (rx / across * out, ry / across * out, up)
    t = (torch.where(cap, 1.0, -ry / across), torch.where(cap, 0.0, rx / across), torch.zeros_like(x))
    nx, ny, nz = normal
    b = (-nz * t[1], nz * t[0], nx * t[1] - ny * t[0])  # normal × t

    def along(a: Triple) -> Triple:
        return tuple(n[0] * a[0] + n[1] * a[1] + n[2] * a[2] for n in (normal, t, b))

    u = torch.where(cap, rx, torch.atan2(ry, rx) * radius)
    v = torch.where(cap, ry, torch.where(on_ball, torch.asin(up) * g, z))
    material = torch.where(on_ball, pick(rooms.ball_materials[..., None], ball)[0],
                           pick(rooms.cylinder_materials[..., None], cylinder)[0])  # fmt: skip
    return Patch(u, v, cap.long() * 4, material, normal, along(d), along(ez))


def trace(rooms: RoomBatch, origins: Float[Tensor, "E V 3"], directions: Float[Tensor, "E V R 3"],
          forward: Float[Tensor, "E V 3"]) -> Surface:  # fmt: skip
    """First surface along each ray. `forward` is the camera's z axis in the world."""
    o = tuple(x[..., None] for x in axes(origins))
    d = tuple(torch.where(x.abs() < 1e-7, 1e-7, x).contiguous() for x in axes(directions))
    ez = tuple(x[..., None] for x in axes(forward))
    t_room = hit_room(rooms.size, o, d)
    t_box, box = hit_boxes(rooms.boxes, o, d)
    t_cylinder, cylinder = hit_cylinders(rooms.cylinders, o, d)
    t_ball, ball = hit_balls(rooms.balls, o, d)
    depth = torch.minimum(torch.minimum(t_room, t_box), torch.minimum(t_cylinder, t_ball))
    on_room, on_ball = t_room <= depth, t_ball <= depth
    curved = on_ball | (t_cylinder <= depth)

    point = tuple(p + depth * q for p, q in zip(o, d, strict=True))
    a = flat_patch(rooms, box, on_room, point, d, ez)
    b = round_patch(rooms, cylinder, ball, on_ball, point, d, ez)

    def choose(x, y):
        return tuple(torch.where(curved, q, p) for p, q in zip(x, y, strict=True))

    u, v, side, material = choose((a.u, a.v, a.side, a.material), (b.u, b.v, b.side, b.material))
    dn, du, dv = choose(a.ray, b.ray)
    zn, zu, zv = choose(a.ahead, b.ahead)
    # how far u and v move in one pixel: each tangent, slid along the ray onto the image plane
    dn = torch.where(dn.abs() < 1e-3, 1e-3, dn)
    feet = []
    for along, ahead in ((du / dn, zu), (dv / dn, zv)):
        feet.append(depth * (1 + along * along - (ahead - zn * along) ** 2).clamp(min=1e-4).sqrt())
    return Surface(depth, u, v, feet[0], feet[1], side, material, point, choose(a.normal, b.normal))
