"""The rooms' camera: `raycast(rooms, camera)` gives colour and depth, batched over rooms and cameras.

Every colour is a function of the surface point (Lambert light, no highlights), apart from the fading of
patterns finer than a pixel, so that views agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import torch
from jaxtyping import Float, Int
from torch import Tensor

from render.camera import Camera

from .cull import cull
from .layout import RoomBatch
from .surface import Surface, trace
from .textures import texture

CPU_RAYS = 2**13  # rays in one piece of work: its tensors stay in a core's cache
CUDA_RAYS = 2**23


@dataclass(frozen=True)
class Raycast:
    """Images of E rooms from V cameras each."""

    rgb: Float[Tensor, "E V H W 3"]  # 0…1
    depth: Float[Tensor, "E V H W"]  # metres along the camera's z
    material: Int[Tensor, "E V H W"] | None = None  # row of the room's materials, where asked for


def light(rooms: RoomBatch, hit: Surface) -> Tensor:
    """Light that reaches each surface [3, E, V, R]: point lamps, a sky of ambient light, darker corners."""
    x, y, z = hit.point
    nx, ny, nz = hit.normal
    total = rooms.ambient.T[..., None, None] * (1 + 0.22 * nz)
    for lamp in rooms.lights.unbind(1):
        lx, ly, lz = (c[:, None, None] for c in lamp[:, :3].unbind(-1))
        dx, dy, dz = lx - x, ly - y, lz - z
        square = dx * dx + dy * dy + dz * dz + 1e-4
        lambert = (nx * dx + ny * dy + nz * dz).clamp(min=0) * square.rsqrt() / (1 + 0.06 * square)
        total = total + lamp[:, 3:].T[..., None, None] * lambert
    for p, size in zip((x, y, z - rooms.size[:, 2, None, None] / 2), rooms.size.unbind(-1), strict=True):
        gap = (size[:, None, None] / 2 - p.abs()).clamp(min=0)
        total = total * (1 - 0.25 * torch.exp(-gap / 0.22))
    return total * 1.08


def cast(
    rooms: RoomBatch, origins: Tensor, directions: Tensor, forward: Tensor, focal: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Colour [3, E, V, R], depth and material [E, V, R] of rays; `focal` [E, V] in pixels."""
    hit = trace(rooms, origins, directions, forward)
    E, M, _ = rooms.materials.shape
    material = hit.material + torch.arange(E, device=hit.material.device)[:, None, None] * M
    table = rooms.materials.reshape(E * M, -1).T.contiguous()
    scale = 1 / focal[..., None]
    albedo = texture(table, material, hit.u, hit.v, hit.foot_u * scale, hit.foot_v * scale, hit.side)
    return (albedo * light(rooms, hit)).clamp(0, 1), hit.depth, hit.material


def raycast(rooms: RoomBatch, camera: Camera, *, materials: bool = False) -> Raycast:
    """See E rooms from cameras of batch shape [E, V], all on the rooms' device.

    The cameras must be inside the rooms and outside the furniture. `materials`: also which material each pixel
    shows. Works in pieces of bounded size: a few
    rooms at a time, or bands of image rows. Raises ValueError when the camera batch does not fit the rooms.
    """
    if len(camera.batch_shape) != 2 or camera.batch_shape[0] != len(rooms):
        raise ValueError(
            f"expected a camera batch [E, V] with E = {len(rooms)} rooms; got {tuple(camera.batch_shape)}; "
            "stack one row of cameras for each room (RoomsRig.stereo gives [E, 2])"
        )
    E, V = camera.batch_shape
    height, width = camera.height, camera.width
    origins, directions = camera.rays()
    forward, focal = camera.c2w[..., :3, 2], camera.K[..., 0, 0]
    directions = directions.reshape(E, V, height * width, 3)
    rgb = torch.empty(E, V, height * width, 3, device=rooms.device)
    depth = torch.empty(E, V, height * width, device=rooms.device)
    shown = torch.empty(E, V, height * width, device=rooms.device, dtype=torch.long) if materials else None
    rays = CPU_RAYS if rooms.device.type == "cpu" else CUDA_RAYS
    pixels = height * width
    step_e, step_v = max(rays // (V * pixels), 1), max(min(rays // pixels, V), 1)
    step_r = max(min(rays // step_v, pixels), 1)
    for e, v in product(range(0, E, step_e), range(0, V, step_v)):
        some = (slice(e, e + step_e), slice(v, v + step_v))
        few = cull(rooms[some[0]], camera[some])
        for r in range(0, pixels, step_r):
            part = (*some, slice(r, r + step_r))
            colour, z, row = cast(few, origins[some], directions[part], forward[some], focal[some])
            rgb[part], depth[part] = colour.permute(1, 2, 3, 0), z
            if shown is not None:
                shown[part] = row
    return Raycast(
        rgb.reshape(E, V, height, width, 3),
        depth.reshape(E, V, height, width),
        None if shown is None else shown.reshape(E, V, height, width),
    )
