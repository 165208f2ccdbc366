"""Balls and sliding blocks in rooms: flight, bounces, rolling, sliding, collisions; batched, deterministic.

Time goes on in substeps of DT = 1/120 s, in float64. Between contacts the flight is exact (constant gravity). At a
contact the body is set back onto the surface, its speed is that at which it met the surface (v² − 2 g n_z depth), and
the impulse is Coulomb's: normal part (1 + e) v, tangential part at most μ times that and at most what ends the slip
(Mirtich 1996, Impulse-based Dynamic Simulation, 3.2). So no contact with what stands still adds energy. Rolling drag
takes a share of each normal impulse. What is left out: friction between two bodies, and blocks that topple or turn (a
block collides as the ball inside it).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from .layout import BODY_LOW, RoomBatch

GRAVITY = 9.81  # m/s²
DT = 1 / 120  # seconds, of a substep
REST = 0.1  # m/s: what meets a surface more slowly than this stays on it
SOLID = 0.4  # moment of inertia of a solid ball, in units of mass · radius²
WALKER_TOP = 1.3  # metres: bodies above this pass over a walker
UP = (0.0, 0.0, 1.0)


@dataclass(frozen=True)
class Bodies:
    """N bodies in each of E rooms, float64. A radius of 0 is no body."""

    position: Float[Tensor, "E N 3"]  # centre, metres
    velocity: Float[Tensor, "E N 3"]  # m/s
    spin: Float[Tensor, "E N 3"]  # rad/s, world axes
    turn: Float[Tensor, "E N 3 3"]  # world_from_body
    radius: Float[Tensor, "E N"]  # metres; of a block, half its height
    mass: Float[Tensor, "E N"]  # kg
    rolls: Bool[Tensor, "E N"]  # a ball; else a block, which slides and does not turn
    restitution: Float[Tensor, "E N"]  # speed after a bounce / before
    friction: Float[Tensor, "E N"]  # Coulomb's μ
    drag: Float[Tensor, "E N"]  # rolling: lost speed / normal impulse per mass


@dataclass(frozen=True)
class Pusher:
    """An upright cylinder in each room that pushes bodies and is not pushed back: the walker."""

    start: Float[Tensor, "E 2"]  # metres, at the beginning of the step
    end: Float[Tensor, "E 2"]
    radius: float


def energy(bodies: Bodies) -> Float[Tensor, "E N"]:
    """Joules of each body: motion, spin, and height of its lowest point over the floor."""
    b = bodies
    motion = b.velocity.square().sum(-1) + SOLID * b.radius**2 * b.spin.square().sum(-1)
    return b.mass * (motion / 2 + GRAVITY * (b.position[..., 2] - b.radius))


@torch.no_grad()
def advance(
    rooms: RoomBatch, bodies: Bodies, seconds: float, pusher: Pusher | None = None
) -> tuple[Bodies, Float[Tensor, "E N"]]:
    """The bodies `seconds` later, and the impulse (N s) that each exchanged with the pusher.

    Raises ValueError unless `seconds` is a whole number of substeps.
    """
    count = round(seconds / DT)
    if count < 1 or abs(count * DT - seconds) > 1e-9:
        raise ValueError(f"seconds: expected a multiple of {DT:.5f} s; got {seconds}; choose fps among divisors of 120")
    felt, turned = torch.zeros_like(bodies.radius), torch.zeros_like(bodies.spin)
    pusher = pusher if pusher is not None and in_reach(bodies, pusher, seconds) else None
    if pusher is None and asleep(bodies):
        return bodies, felt
    up = torch.tensor(UP, dtype=bodies.position.dtype, device=bodies.position.device)
    present = (bodies.radius > 0)[..., None].to(bodies.position.dtype)
    pushed = 1.0 if pusher is not None else 0.0  # metres that a push may send a body on
    size, solids = rooms.size.to(bodies.position), within_reach(rooms, bodies, farthest(bodies, seconds) + pushed)
    for k in range(count):
        fall = GRAVITY * DT * up * present
        bodies = replace(bodies, position=bodies.position + (bodies.velocity - fall / 2) * DT,
                         velocity=bodies.velocity - fall)  # fmt: skip
        bodies = meet_each_other(bodies)
        if pusher is not None:
            share = (k + 1) / count
            middle = pusher.start + share * (pusher.end - pusher.start)
            normal, depth = from_cylinder(bodies, middle, pusher.radius)
            pace = torch.nn.functional.pad((pusher.end - pusher.start) / seconds, (0, 1))
            bodies, push = bounce(bodies, normal, depth, pace[:, None])
            felt = felt + push * bodies.mass
        for normal, depth in contacts(bodies, size, solids):
            bodies, _ = bounce(bodies, normal, depth)
        turned = turned + bodies.spin * DT
    return replace(bodies, turn=turning(turned) @ bodies.turn), felt


def asleep(bodies: Bodies) -> bool:
    """Whether every body lies still on the floor: then nothing happens to it but by a pusher."""
    b = bodies
    if bool((b.velocity != 0).any()) or bool((b.spin != 0).any()):
        return False
    return not bool(((b.position[..., 2] - b.radius > 1e-9) & (b.radius > 0)).any())


def farthest(bodies: Bodies, seconds: float) -> Float[Tensor, "E N"]:
    """Metres that each body may go within `seconds`: fallen freely, and hit by the fastest of the others."""
    speed = torch.linalg.vector_norm(bodies.velocity, dim=-1) + GRAVITY * seconds
    return (speed if speed.shape[1] == 1 else 2 * speed.sum(1, keepdim=True).expand_as(speed)) * seconds + 0.05


def in_reach(bodies: Bodies, pusher: Pusher, seconds: float) -> bool:
    """Whether the pusher could meet a body within `seconds`."""
    away = torch.linalg.vector_norm(bodies.position[..., :2] - pusher.start[:, None], dim=-1)
    way = torch.linalg.vector_norm(pusher.end - pusher.start, dim=-1)[:, None]
    return bool((away < bodies.radius + pusher.radius + way + farthest(bodies, seconds)).any())


def bounce(
    bodies: Bodies, normal: Float[Tensor, "E N 3"], depth: Float[Tensor, "E N"], pace: Tensor | float = 0.0
) -> tuple[Bodies, Float[Tensor, "E N"]]:
    """Contact with a surface that moves at `pace` (m/s, [E, 1, 3]); also the normal impulse per mass (m/s)."""
    velocity = bodies.velocity - pace
    along = (velocity * normal).sum(-1)
    hit = (depth > 0) & (along < 0) & (bodies.radius > 0)
    if not bool(hit.any()):
        return bodies, torch.zeros_like(depth)
    speed = (along.square() - 2 * GRAVITY * normal[..., 2] * depth).clamp(min=0).sqrt()
    push = torch.where(hit, torch.where(speed > REST, bodies.restitution * speed, 0.0) - along, 0.0)
    # where the body touches, at −radius · normal, it moves with `slip` along the surface
    slide = velocity - along[..., None] * normal
    slip = slide - bodies.radius[..., None] * torch.linalg.cross(bodies.spin, normal)
    size = torch.linalg.vector_norm(slip, dim=-1).clamp(min=1e-12)
    stop = torch.where(bodies.rolls, SOLID / (1 + SOLID), 1.0) * size  # takes all slip away
    rub = torch.minimum(bodies.friction * push, stop)[..., None] * slip / size[..., None]
    twist = torch.linalg.cross(normal, rub) / (SOLID * bodies.radius.clamp(min=1e-6))[..., None]
    spin = bodies.spin + torch.where(bodies.rolls[..., None], twist, 0.0)
    slide = slide - rub
    pace_left = torch.linalg.vector_norm(slide, dim=-1).clamp(min=1e-12)
    keep = (1 - bodies.drag * bodies.rolls * push / pace_left).clamp(min=0)[..., None]
    touched = hit[..., None]
    moved = pace + keep * slide + (along + push)[..., None] * normal
    return replace(
        bodies,
        position=torch.where(touched, bodies.position + depth[..., None] * normal, bodies.position),
        velocity=torch.where(touched, moved, bodies.velocity),
        spin=torch.where(touched, keep * spin, bodies.spin),
    ), push


def within_reach(rooms: RoomBatch, bodies: Bodies, ways: Float[Tensor, "E N"]) -> list[tuple[str, Tensor]]:
    """The kinds of solids, as (kind, table), of which one could be touched by a body that goes `ways` metres."""
    reach = bodies.radius + ways
    kinds = (("box", rooms.boxes), ("cylinder", rooms.cylinders), ("ball", rooms.balls))
    tables = [(kind, table.to(bodies.position)) for kind, table in kinds]
    near = [torch.linalg.vector_norm(offsets(bodies.position, table, kind), dim=-1) for kind, table in tables]
    return [pair for pair, d in zip(tables, near, strict=True) if bool((d < reach[..., None]).any())]


def contacts(
    bodies: Bodies, size: Tensor, solids: list[tuple[str, Tensor]]
) -> Iterator[tuple[Tensor, Tensor]]:
    """Normals [E, N, 3] and depths [E, N] of what the bodies touch: the room's faces, then the nearest of each kind.

    Boxes and cylinders are solid; each depth is of the bodies as given.
    """
    p, r = bodies.position, bodies.radius
    middle = size[:, None] / 2 * p.new_tensor(UP)
    side = torch.where(p > middle, 1.0, -1.0)
    gap = size[:, None] / 2 - (p - middle).abs() - r[..., None]
    for axis in (2, 0, 1):
        if bool((gap[..., axis] < 0).any()):
            normal = torch.zeros_like(p)
            normal[..., axis] = -side[..., axis]
            yield normal, -gap[..., axis]
    for kind, table in solids:
        offset = offsets(p, table, kind)
        near, which = torch.linalg.vector_norm(offset, dim=-1).min(-1)
        depth = torch.where(near > 1e-9, r - near, 0.0)
        if bool((depth > 0).any()):
            nearest = offset.gather(-2, which[..., None, None].expand(*which.shape, 1, 3))[..., 0, :]
            yield nearest / near.clamp(min=1e-9)[..., None], depth


def offsets(p: Float[Tensor, "E N 3"], table: Float[Tensor, "E B K"], kind: str) -> Float[Tensor, "E N B 3"]:
    """From the nearest point of each solid to each body's centre, metres; far away for padding."""
    rows = table[:, None].unbind(-1)
    x, y, z = (v[..., None] - c for v, c in zip(p.unbind(-1), rows, strict=False))
    if kind == "box":
        c, s = rows[6].cos(), rows[6].sin()
        local = (c * x + s * y, c * y - s * x, z)
        a, b, up = (v - torch.minimum(torch.maximum(v, -h), h) for v, h in zip(local, rows[3:6], strict=True))
        out = torch.stack([c * a - s * b, s * a + c * b, up], -1)
        real = (rows[3] > 0) & (rows[2] + rows[5] > BODY_LOW)  # what is painted on the floor is no step
    elif kind == "cylinder":
        height = p[..., None, 2]
        up = height - torch.minimum(torch.maximum(height, rows[2]), rows[3])
        away = torch.hypot(x, y).clamp(min=1e-12)
        share = (away - rows[4]).clamp(min=0) / away
        out, real = torch.stack([share * x, share * y, up], -1), rows[4] > 0
    else:
        away = torch.sqrt(x * x + y * y + z * z).clamp(min=1e-12)
        share = (away - rows[3]).clamp(min=0) / away
        out, real = torch.stack([share * x, share * y, share * z], -1), rows[3] > 0
    return torch.where(real[..., None], out, 1e3)


def from_cylinder(bodies: Bodies, middle: Float[Tensor, "E 2"], radius: float) -> tuple[Tensor, Tensor]:
    """Contact with an upright cylinder at `middle`: horizontal normals [E, N, 3], and depths [E, N]."""
    away = bodies.position[..., :2] - middle[:, None].to(bodies.position)
    distance = torch.linalg.vector_norm(away, dim=-1).clamp(min=1e-9)
    low = bodies.position[..., 2] < WALKER_TOP
    normal = torch.nn.functional.pad(away / distance[..., None], (0, 1))
    return normal, torch.where(low, radius + bodies.radius - distance, -1.0)


def meet_each_other(bodies: Bodies) -> Bodies:
    """Bodies that meet exchange momentum along the line of their centres, with the lower of their restitutions."""
    n = bodies.radius.shape[1]
    first, second = torch.triu_indices(n, n, 1, device=bodies.radius.device)
    apart = torch.linalg.vector_norm(bodies.position[:, first] - bodies.position[:, second], dim=-1)
    close = (apart < bodies.radius[:, first] + bodies.radius[:, second]).any(0)
    for i, j in zip(first[close].tolist(), second[close].tolist(), strict=True):
        between = bodies.position[:, j] - bodies.position[:, i]
        distance = torch.linalg.vector_norm(between, dim=-1).clamp(min=1e-9)
        depth = bodies.radius[:, i] + bodies.radius[:, j] - distance
        normal = between / distance[:, None]
        closing = ((bodies.velocity[:, i] - bodies.velocity[:, j]) * normal).sum(-1)
        hit = (depth > 0) & (closing > 0) & (bodies.radius[:, i] > 0) & (bodies.radius[:, j] > 0)
        if not bool(hit.any()):
            continue
        e = torch.minimum(bodies.restitution[:, i], bodies.restitution[:, j])
        whole = bodies.mass[:, i] + bodies.mass[:, j]
        position, velocity = bodies.position.clone(), bodies.velocity.clone()
        for k, other, sign in ((i, j, -1.0), (j, i, 1.0)):
            share = torch.where(hit, sign * bodies.mass[:, other] / whole, 0.0)[:, None] * normal
            velocity[:, k] += share * ((1 + e) * closing)[:, None]
            position[:, k] += share * depth[:, None] * torch.tensor([1.0, 1.0, 0.0]).to(share)  # not up: no energy
        bodies = replace(bodies, position=position, velocity=velocity)
    return bodies


def turning(angle: Float[Tensor, "*B 3"]) -> Float[Tensor, "*B 3 3"]:
    """Rotation about the vector's direction by its length in radians (Rodrigues)."""
    size = torch.linalg.vector_norm(angle, dim=-1, keepdim=True).clamp(min=1e-12)
    x, y, z = (angle / size).unbind(-1)
    o = torch.zeros_like(x)
    cross = torch.stack([o, -z, y, z, o, -x, -y, x, o], -1).unflatten(-1, (3, 3))
    s, c = size.sin()[..., None], size.cos()[..., None]
    return torch.eye(3, dtype=angle.dtype, device=angle.device) + s * cross + (1 - c) * (cross @ cross)


def make_bodies(rows: list[dict]) -> Bodies:
    """Bodies of one room (E = 1) from their numbers: position, velocity, radius, and what differs from a ball.

    A ball that starts with `rolling` has no slip; `yaw` in radians turns a block about the vertical.
    """
    usual = {"mass": 1.0, "rolls": True, "restitution": 0.6, "friction": 0.4, "drag": 0.006, "rolling": True,
             "yaw": 0.0}  # fmt: skip
    rows = [usual | row for row in rows]

    def column(name: str, dtype: torch.dtype = torch.float64) -> Tensor:
        return torch.tensor([row[name] for row in rows], dtype=dtype)[None]

    position, velocity, radius = column("position"), column("velocity"), column("radius")
    spin = torch.zeros_like(velocity)
    starts = (column("rolling", torch.bool) & column("rolls", torch.bool))[..., None]
    across = torch.stack([-velocity[..., 1], velocity[..., 0], spin[..., 0]], -1)
    spin = torch.where(starts, across / radius[..., None].clamp(min=1e-6), spin)
    turn = turning(column("yaw")[..., None] * spin.new_tensor(UP))
    names = ("mass", "restitution", "friction", "drag")
    return Bodies(position, velocity, spin, turn, radius, rolls=column("rolls", torch.bool),
                  **{name: column(name) for name in names})  # fmt: skip
