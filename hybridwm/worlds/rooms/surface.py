"""The first surface along each ray: its depth, surface coordinates, pixel footprint, material and normal.

Shapes: E rooms, V cameras each, R rays each; directions have camera z = 1, so ray parameters are depths.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from .intersect import axes, hit_balls, hit_boxes, hit_cylinders, hit_room
from .layout import RoomBatch

Triple = tuple[Tensor, ...]  # three


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

    def over(self, where: Tensor, other: Patch) -> Patch:
        """`other` where `where`, else this."""

        def pick(a: Tensor, b: Tensor) -> Tensor:
            return torch.where(where, b, a)

        mine, theirs = (torch.stack([p.u, p.v, *p.normal, *p.ray, *p.ahead]) for p in (self, other))
        u, v, *rest = pick(mine, theirs).unbind(0)
        return Patch(
            u=u,
            v=v,
            side=pick(self.side, other.side),
            material=pick(self.material, other.material),
            normal=tuple(rest[:3]),
            ray=tuple(rest[3:6]),
            ahead=tuple(rest[6:]),
        )


def pick(table: Shaped[Tensor, "E N K"], index: Tensor) -> tuple[Tensor, ...]:
    """Columns of `table` at each ray's index [E, V, R]."""
    E, N, K = table.shape
    if E > 1:
        index = index + torch.arange(E, device=index.device)[:, None, None] * N
    columns = table.reshape(E * N, K).T.contiguous().index_select(1, index.reshape(-1))
    return columns.reshape(K, *index.shape).unbind(0)


def flat_patch(rooms: RoomBatch, index: Tensor, on_room: Tensor, point: Triple, d: Triple, ez: Triple) -> Patch:
    """Faces of boxes, and of the room, which is a box seen from inside."""
    # the room as one more box, behind the others
    E, N = rooms.boxes.shape[:2]
    half = rooms.size / 2
    flat = half.new_zeros(E, 1)
    own = torch.cat([flat, flat, half[:, 2:], half, flat], -1)
    bx, by, bz, hx, hy, hz, yaw = pick(torch.cat([rooms.boxes, own[:, None]], 1), torch.where(on_room, N, index))
    c, s = yaw.cos(), yaw.sin()

    # three vectors at once, each of three components: the point, the ray, camera z; first in the box's axes
    x = torch.stack([point[0] - bx, d[0], ez[0].expand_as(c)])
    y = torch.stack([point[1] - by, d[1], ez[1].expand_as(c)])
    z = torch.stack([point[2] - bz, d[2], ez[2].expand_as(c)])
    x, y = c * x + s * y, c * y - s * x
    share = torch.stack([x[0], y[0], z[0]]).abs() / torch.stack([hx, hy, hz])
    on_x = (share[0] >= share[1]) & (share[0] >= share[2])
    on_z = ~on_x & (share[2] >= share[1])
    # … then along (normal axis, u, v)
    normal_axis = torch.where(on_x, x, torch.where(on_z, z, y))
    u, v = torch.where(on_x, y, x), torch.where(on_z, y, z)

    across = normal_axis[0]
    face = torch.where(on_x, 0, torch.where(on_z, 4, 2)) + (across > 0).long()
    sign = torch.where(on_room, -across.sign(), across.sign())
    nx = torch.where(on_x, c, torch.where(on_z, 0.0, -s)) * sign
    ny = torch.where(on_x, s, torch.where(on_z, 0.0, c)) * sign
    normal = (nx, ny, torch.where(on_z, sign, 0.0))
    material = torch.where(on_room, face, pick(rooms.box_materials[..., None], index)[0]) if N else face
    ray, ahead = ((normal_axis[k], u[k], v[k]) for k in (1, 2))
    return Patch(u[0], v[0], torch.where(on_room, 0, face), material, normal, ray, ahead)


def tangents(normal: Triple, across: Triple, d: Triple, ez: Triple) -> tuple[Triple, Triple]:
    """Ray and camera z along (normal, first tangent, normal × first tangent)."""
    (nx, ny, nz), (tx, ty, tz) = normal, across
    other = (ny * tz - nz * ty, nz * tx - nx * tz, nx * ty - ny * tx)

    def along(a: Triple) -> Triple:
        return tuple(n[0] * a[0] + n[1] * a[1] + n[2] * a[2] for n in (normal, across, other))

    return along(d), along(ez)


def cylinder_patch(rooms: RoomBatch, index: Tensor, point: Triple, d: Triple, ez: Triple) -> Patch:
    """Sides unrolled around the axis; caps flat."""
    cx, cy, z0, z1, radius = pick(rooms.cylinders, index)
    x, y, z = point[0] - cx, point[1] - cy, point[2]
    r = torch.sqrt(x * x + y * y + 1e-12)
    cap = (r < radius * (1 - 1e-4)) & (torch.minimum((z - z1).abs(), (z - z0).abs()) < 1e-3)
    ux, uy, zero = x / r, y / r, torch.zeros_like(x)
    up = torch.where(cap, torch.where(2 * z > z0 + z1, 1.0, -1.0), 0.0)
    normal = (torch.where(cap, 0.0, ux), torch.where(cap, 0.0, uy), up)
    ray, ahead = tangents(normal, (torch.where(cap, 1.0, -uy), torch.where(cap, 0.0, ux), zero), d, ez)
    u, v = torch.where(cap, x, torch.atan2(y, x) * radius), torch.where(cap, y, z)
    return Patch(u, v, cap.long() * 4, pick(rooms.cylinder_materials[..., None], index)[0], normal, ray, ahead)


def ball_patch(rooms: RoomBatch, index: Tensor, point: Triple, d: Triple, ez: Triple) -> Patch:
    """Longitude and latitude on the ball as it has turned, in metres at the equator."""
    cx, cy, cz, radius = pick(rooms.balls, index)
    normal = tuple((p - c) / radius for p, c in zip(point, (cx, cy, cz), strict=True))
    own = normal
    if rooms.ball_turns is not None:
        turn = pick(rooms.ball_turns.flatten(2), index)  # rows of world_from_ball; its columns are the ball's axes

        def to_ball(a: Triple) -> Triple:
            return tuple(turn[k] * a[0] + turn[3 + k] * a[1] + turn[6 + k] * a[2] for k in range(3))

        own, d, ez = to_ball(normal), to_ball(d), to_ball(ez)
    nx, ny, nz = own
    r = torch.sqrt(nx * nx + ny * ny + 1e-8)
    ray, ahead = tangents(own, (-ny / r, nx / r, torch.zeros_like(r)), d, ez)
    u, v = torch.atan2(ny, nx) * radius, torch.asin(nz.clamp(-1, 1)) * radius
    material = pick(rooms.ball_materials[..., None], index)[0]
    return Patch(u, v, torch.zeros_like(index), material, normal, ray, ahead)


def trace(rooms: RoomBatch, origins: Float[Tensor, "E V 3"], directions: Float[Tensor, "E V R 3"],
          forward: Float[Tensor, "E V 3"]) -> Surface:  # fmt: skip
    """First surface along each ray. `forward` is the camera's z axis in the world."""
    rays = directions.movedim(-1, 0)
    d = torch.where(rays.abs() < 1e-7, 1e-7, rays).contiguous().unbind(0)
    o, ez = axes(origins[..., None, :]), axes(forward[..., None, :])
    depth = hit_room(rooms.size, o, d)
    on_room = torch.ones_like(depth, dtype=torch.bool)
    box = cylinder = ball = torch.zeros_like(depth, dtype=torch.long)
    on_cylinder = on_ball = ~on_room
    if rooms.boxes.shape[1]:
        t, box = hit_boxes(rooms.boxes, o, d)
        on_room, depth = depth <= t, torch.minimum(depth, t)
    if rooms.cylinders.shape[1]:
        t, cylinder = hit_cylinders(rooms.cylinders, o, d)
        on_cylinder, depth = t < depth, torch.minimum(depth, t)
    if rooms.balls.shape[1]:
        t, ball = hit_balls(rooms.balls, o, d)
        on_ball, depth = t < depth, torch.minimum(depth, t)

    point = tuple(p + depth * q for p, q in zip(o, d, strict=True))
    patch = flat_patch(rooms, box, on_room, point, d, ez)
    if rooms.cylinders.shape[1]:
        patch = patch.over(on_cylinder, cylinder_patch(rooms, cylinder, point, d, ez))
    if rooms.balls.shape[1]:
        patch = patch.over(on_ball, ball_patch(rooms, ball, point, d, ez))
    dn, du, dv = patch.ray
    zn, zu, zv = patch.ahead
    # how far u and v move in one pixel: each tangent, slid along the ray onto the image plane
    dn = torch.where(dn.abs() < 1e-3, 1e-3, dn)
    feet = []
    for along, ahead in ((du / dn, zu), (dv / dn, zv)):
        feet.append(depth * (1 + along * along - (ahead - zn * along) ** 2).clamp(min=1e-4).sqrt())
    return Surface(depth, patch.u, patch.v, feet[0], feet[1], patch.side, patch.material, point, patch.normal)
