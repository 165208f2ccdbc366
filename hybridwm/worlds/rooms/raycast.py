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
    point, normal = torch.stack(hit.point), torch.stack(hit.normal)
    total = rooms.ambient.T[..., None, None] * (1 + 0.22 * normal[2])
    # for all lamps at once: x, y, z [3, E, lamps, V, R]
    lamps = rooms.lights.movedim(-1, 0)[..., None, None]
    way = lamps[:3] - point[:, :, None]
    dx, dy, dz = (way * way).unbind(0)
    square = dx + dy + dz + 1e-4
    dx, dy, dz = (normal[:, :, None] * way).unbind(0)
    lambert = (dx + dy + dz).clamp(min=0) * square.rsqrt() / (1 + 0.06 * square)
    for lamp in (lamps[3:] * lambert).unbind(2):
        total = total + lamp
    height = rooms.size[:, 2, None, None] / 2
    middle = torch.stack([point[0], point[1], point[2] - height])
    gap = (rooms.size.T[..., None, None] / 2 - middle.abs()).clamp(min=0)
    for corner in (1 - 0.25 * torch.exp(-gap / 0.22)).unbind(0):
        total = total * corner
    return total * 1.08


def cast(
    rooms: RoomBatch, origins: Tensor, directions: Tensor, forward: Tensor, focal: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Colour [3, E, V, R], depth and material [E, V, R] of rays; `focal` [E, V] in pixels."""
    hit = trace(rooms, origins, directions, forward)
    E, M, _ = rooms.materials.shape
    material = hit.material
    if E > 1:
        material = material + torch.arange(E, device=hit.material.device)[:, None, None] * M
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
        with torch.inference_mode():
            few = cull(rooms if step_e >= E else rooms[some[0]], camera[some])
        for r in range(0, pixels, step_r):
            part = (*some, slice(r, r + step_r))
            with torch.inference_mode():  # hundreds of small operations; what they give is copied below
                colour, z, row = cast(few, origins[some], directions[part], forward[some], focal[some])
            rgb[part], depth[part] = colour.permute(1, 2, 3, 0), z
            if shown is not None:
                shown[part] = row
    return Raycast(
        rgb.reshape(E, V, height, width, 3),
        depth.reshape(E, V, height, width),
        None if shown is None else shown.reshape(E, V, height, width),
    )
