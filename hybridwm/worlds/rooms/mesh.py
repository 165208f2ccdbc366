"""A room as a triangle mesh: the truth for surface measures, and the ray caster's referee."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from .layout import Room
from .materials import COLUMNS

if TYPE_CHECKING:
    import trimesh

SECTIONS = 256  # around a cylinder
SUBDIVISIONS = 5  # of the icosahedron that a ball is


def to_trimesh(room: Room) -> trimesh.Trimesh:
    """One mesh of the room and all that is in it, coloured per face with the materials' middle tone.

    World axes, metres. The room's own walls face inwards. Curved things are tessellated to under 1 mm.
    """
    import trimesh
    from trimesh.visual import ColorVisuals

    middle = [COLUMNS.index(k) for k in ("b_r", "b_g", "b_b")]
    tones = np.clip(room.materials.numpy()[:, middle], 0, 1)
    parts: list[trimesh.Trimesh] = []

    def add(mesh: trimesh.Trimesh, material) -> None:
        colours = np.concatenate(
            [np.broadcast_to(tones[material], (len(mesh.faces), 3)), np.ones((len(mesh.faces), 1))], 1
        )
        mesh.visual = ColorVisuals(mesh, face_colors=(colours * 255).astype(np.uint8))
        parts.append(mesh)

    size = room.size.numpy().astype(np.float64)
    shell = trimesh.creation.box(extents=size)
    shell.apply_translation([0, 0, size[2] / 2])
    normals = shell.face_normals  # -x +x -y +y, then floor (-z, index 4) and ceiling
    axis = abs(normals).argmax(1)
    faces = 2 * axis + (normals[np.arange(len(axis)), axis] > 0)
    shell.invert()
    add(shell, faces)

    for (x, y, z, hx, hy, hz, yaw), material in zip(room.boxes.tolist(), room.box_materials.tolist(), strict=True):
        box = trimesh.creation.box(extents=[2 * hx, 2 * hy, 2 * hz])
        box.apply_transform(trimesh.transformations.rotation_matrix(yaw, [0, 0, 1]))
        box.apply_translation([x, y, z])
        add(box, material)
    for (x, y, z0, z1, r), material in zip(room.cylinders.tolist(), room.cylinder_materials.tolist(), strict=True):
        # a radius between the inscribed and the circumscribed polygon halves the worst error
        fit = r * 2 / (1 + math.cos(math.pi / SECTIONS))
        cylinder = trimesh.creation.cylinder(radius=fit, height=z1 - z0, sections=SECTIONS)
        cylinder.apply_translation([x, y, (z0 + z1) / 2])
        add(cylinder, material)
    for (x, y, z, r), material in zip(room.balls.tolist(), room.ball_materials.tolist(), strict=True):
        ball = trimesh.creation.icosphere(subdivisions=SUBDIVISIONS, radius=r)
        ball.apply_translation([x, y, z])
        add(ball, material)
    whole = trimesh.util.concatenate(parts)
    assert isinstance(whole, trimesh.Trimesh)
    return whole
