"""The mesh of a room: closed parts, true sizes, a colour for each face."""

import numpy as np

from hybridwm.worlds.rooms import make_room
from hybridwm.worlds.rooms.mesh import to_trimesh


def test_mesh_spans_the_room_and_is_coloured():
    room = make_room(4)
    mesh = to_trimesh(room)
    size = room.size.numpy()
    assert np.allclose(mesh.bounds, [[-size[0] / 2, -size[1] / 2, 0], [size[0] / 2, size[1] / 2, size[2]]], atol=0.02)
    assert mesh.is_watertight
    colours = mesh.visual.face_colors
    assert colours.shape == (len(mesh.faces), 4) and (colours[:, 3] == 255).all()
    assert len(np.unique(colours, axis=0)) > 6


def test_walls_face_inwards():
    mesh = to_trimesh(make_room(4))
    first = mesh.triangles_center[:12], mesh.face_normals[:12]  # the room itself comes first
    middle = mesh.bounds.mean(0)
    assert (((middle - first[0]) * first[1]).sum(1) > 0).all()
