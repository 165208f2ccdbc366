"""Surfaces and their collision parts against boxes and planes of known size."""

import math
from dataclasses import replace

import pytest
import torch

from recon.collision import convex_parts, free_share, save_parts
from recon.surface import Mesh, mesh_depth, ray_scene, save_mesh, tsdf_mesh
from recon.view import View
from render.camera import Camera

BOX = (0.6, 0.4, 0.5)  # metres, centred at the origin
BEHIND = 5.0  # metres to what is seen past it
NEAR = {"voxel": 0.01, "max_depth": 4.0}


def box_mesh(size=BOX):
    trimesh = pytest.importorskip("trimesh")
    box = trimesh.creation.box(extents=size)
    vertices = torch.tensor(box.vertices, dtype=torch.float32)
    return Mesh(vertices, torch.tensor(box.faces), torch.full_like(vertices, 0.5))


def look_at(eye, width=240, height=180, focal=220.0):
    """A camera at `eye` that looks at the origin, z of the world up; neither square nor centred."""
    eye = torch.tensor(eye, dtype=torch.float32)
    forward = torch.nn.functional.normalize(-eye, dim=0)
    right = torch.nn.functional.normalize(torch.linalg.cross(forward, torch.tensor([0.0, 0.0, 1.0])), dim=0)
    down = torch.linalg.cross(forward, right)
    w2c = torch.eye(4)
    w2c[:3, :3] = torch.stack([right, down, forward])
    w2c[:3, 3] = -w2c[:3, :3] @ eye
    K = torch.tensor([[focal, 0, width / 2 - 2.3], [0, focal + 4, height / 2 + 1.4], [0, 0, 1]])
    return Camera(K, w2c, width, height)


def around(count=12, radius=1.6):
    for i in range(count):
        angle = 2 * math.pi * i / count
        yield look_at((radius * math.cos(angle), radius * math.sin(angle), 0.9 if i % 2 else -0.9))


@pytest.fixture(scope="module")
def box_views():
    mesh, views = box_mesh(), []
    for camera in around():
        depth = mesh_depth(mesh, camera)
        image = torch.tensor([0.8, 0.4, 0.2]).expand(*depth.shape, 3).clone()
        views.append(View(image, camera, depth=torch.where(depth > 0, depth, BEHIND)))
    return views


@pytest.fixture(scope="module")
def scanned(box_views):
    return tsdf_mesh(box_views, **NEAR)


def test_the_depth_of_a_mesh_is_along_the_axis_at_pixel_centres():
    camera = look_at((1.1, 0.0, 0.0), 31, 21, 110.0)
    depth = mesh_depth(box_mesh((0.2, 0.2, 0.2)), camera)
    _, rays = camera.rays()
    points = camera.center + depth[..., None] * rays
    hit = depth > 0
    assert hit.any() and not hit.all()
    assert torch.allclose(points[hit][:, 0], torch.full_like(depth[hit], 0.1), atol=1e-4)  # the nearest face
    assert torch.allclose(depth[hit], torch.ones_like(depth[hit]), atol=1e-4)
    # its edge at 11 pixels from the principal point, (13.2, 11.9)
    assert hit[11].nonzero().flatten().tolist() == list(range(2, 24))


def test_a_box_is_recovered_in_its_size_place_and_colour(scanned):
    low, high = (scanned.vertices.quantile(q, dim=0) for q in (0.02, 0.98))
    assert torch.allclose(high - low, torch.tensor(BOX), atol=0.008)
    assert torch.allclose(high + low, torch.zeros(3), atol=0.006)
    # each face where it is, to 1 mm: half a pixel off would be 4 mm here
    for axis in range(3):
        facing = scanned.normals()[:, axis].abs() > 0.98
        flat = scanned.vertices[scanned.faces].mean(1)[facing]
        assert float((flat[:, axis].abs() - BOX[axis] / 2).median().abs()) < 0.001
    assert (scanned.vertices.abs() < torch.tensor(BOX) / 2 + 0.02).all()  # fins at edges are shorter than two voxels
    assert torch.allclose(scanned.colours.median(0).values, torch.tensor([0.8, 0.4, 0.2]), atol=0.02)
    area = 2 * (BOX[0] * BOX[1] + BOX[1] * BOX[2] + BOX[0] * BOX[2])
    assert float(scanned.areas().sum()) == pytest.approx(area, rel=0.1)


def test_faces_look_at_the_side_that_was_seen(scanned):
    outwards = (scanned.normals() * scanned.vertices[scanned.faces].mean(1)).sum(1) * scanned.areas()
    assert float(outwards.clamp(max=0).sum()) > -0.02 * float(outwards.clamp(min=0).sum())


def test_the_mesh_agrees_with_depth_it_was_not_made_from(scanned):
    camera = look_at((1.1, 0.9, 0.5))
    truth, got = mesh_depth(box_mesh(), camera), mesh_depth(scanned, camera)
    both = (truth > 0) & (got > 0)
    assert float(both.sum() / (truth > 0).sum()) > 0.97
    assert float((truth - got)[both].abs().median()) < 0.002


def test_specks_are_removed_and_doubtful_pixels_left_out(box_views):
    speckled = []
    for view in box_views:
        depth, confidence = view.depth.clone(), torch.ones_like(view.depth)
        depth[4:10, 4:10] = 1.0  # a speck that hangs before each camera
        doubtful = torch.zeros_like(depth, dtype=torch.bool)
        doubtful[80:100, :40] = True
        depth[doubtful], confidence[doubtful] = 0.7, 0.1
        speckled.append(replace(view, depth=depth, confidence=confidence))
    mesh = tsdf_mesh(speckled, **NEAR)
    assert mesh.vertices.abs().amax() < 0.33
    # no other view speaks against this one: only its size does
    assert tsdf_mesh(speckled[:1], **NEAR).vertices.abs().amax() < 0.4
    assert tsdf_mesh(speckled[:1], **NEAR, smallest=0.0).vertices.abs().amax() > 0.5


@pytest.mark.parametrize("suffix", [".glb", ".ply", ".obj"])
def test_what_is_written_another_tool_reads_back(tmp_path, scanned, suffix):
    trimesh = pytest.importorskip("trimesh")
    save_mesh(scanned, tmp_path / f"box{suffix}")
    read = trimesh.load(tmp_path / f"box{suffix}", force="mesh", process=False)
    assert len(read.faces) == len(scanned.faces)
    assert torch.allclose(torch.tensor(read.extents, dtype=torch.float32), torch.tensor(BOX), atol=0.03)
    if suffix != ".obj":
        colour = torch.tensor(read.visual.vertex_colors[:, :3]).float().median(0).values / 255
        assert torch.allclose(colour, torch.tensor([0.8, 0.4, 0.2]), atol=0.02)


def test_refusals_say_what_to_do(tmp_path, box_views):
    with pytest.raises(ValueError, match="at least one view"):
        tsdf_mesh([])
    with pytest.raises(ValueError, match="View.depth"):
        tsdf_mesh([replace(box_views[0], depth=None)])
    with pytest.raises(ValueError, match="12 NaN"):
        broken = box_views[0].depth.clone()
        broken[0, :12] = torch.nan
        tsdf_mesh([replace(box_views[0], depth=broken)])
    with pytest.raises(ValueError, match="no pixel with depth"):
        tsdf_mesh([replace(box_views[0], depth=torch.zeros_like(box_views[0].depth))])
    with pytest.raises(ValueError, match="Use larger voxels"):
        tsdf_mesh(box_views, voxel=0.002, max_bytes=1_000_000)
    empty = Mesh(torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.long), torch.zeros(0, 3))
    for refused in (ray_scene, convex_parts, lambda mesh: save_mesh(mesh, tmp_path / "mesh.ply")):
        with pytest.raises(ValueError, match="triangles"):
            refused(empty)
    with pytest.raises(ValueError, match=".glb"):
        save_mesh(box_mesh(), tmp_path / "mesh.gltf5")
    with pytest.raises(ValueError, match="faces must name"):
        Mesh(torch.zeros(2, 3), torch.tensor([[0, 1, 2]]), torch.zeros(2, 3))
    assert not list(tmp_path.iterdir())


def corner():
    """A floor and a wall that meet at x = 0, 2 m each, facing the space between them."""
    floor = [(0, -1, 0), (2, -1, 0), (2, 1, 0), (0, 1, 0)]
    wall = [(0, -1, 0), (0, 1, 0), (0, 1, 2), (0, -1, 2)]
    vertices = torch.tensor(floor + wall, dtype=torch.float32)
    faces = torch.tensor([[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]])
    return Mesh(vertices, faces, torch.zeros_like(vertices))


def test_a_corner_becomes_a_floor_and_a_wall_and_a_ball_lands_on_the_floor():
    parts = convex_parts(corner(), tolerance=0.03, thickness=0.05)
    assert len(parts) == 2
    # a ball of 10 cm dropped from 1 m falls to the floor's height, and nothing holds it up above
    for part in parts:
        assert closed(part)
    assert drop((1.0, 0.0, 1.0), 0.1, parts) == pytest.approx(0.1, abs=0.005)
    assert drop((-0.5, 0.0, 1.0), 0.1, parts) == -math.inf  # behind the wall there is nothing


def test_parts_of_a_scan_leave_free_what_the_cameras_saw_free(box_views, scanned):
    parts = convex_parts(scanned, tolerance=0.04)
    assert 1 <= len(parts) <= 64
    assert free_share(parts, box_views, margin=0.06) < 0.04
    solid = [replace(parts[0], vertices=parts[0].vertices * 4)]
    assert free_share(solid, box_views, margin=0.06) > 0.2  # the measure notices


def test_parts_keep_to_their_number_and_are_written(tmp_path, scanned):
    trimesh = pytest.importorskip("trimesh")
    parts = convex_parts(scanned, tolerance=0.002, thickness=0.01, max_parts=5)
    assert 1 <= len(parts) <= 5
    save_parts(parts, tmp_path / "parts.glb")
    read = trimesh.load(tmp_path / "parts.glb")
    assert len(read.geometry) == len(parts)
    assert all(mesh.is_convex and mesh.is_watertight and mesh.volume > 0 for mesh in read.geometry.values())


def closed(part):
    edges = torch.cat([part.faces[:, [0, 1]], part.faces[:, [1, 2]], part.faces[:, [2, 0]]]).tolist()
    return sorted(map(tuple, edges)) == sorted((b, a) for a, b in edges)


def drop(start, radius, parts):
    """The height at which a falling ball first touches a part, by bisection over signed distances to its planes."""
    x, y, top = start
    for step in range(2000):
        z = top - step * 0.002
        if z < -3:
            return -math.inf
        centre = torch.tensor([x, y, z])
        for part in parts:
            a, b, c = part.vertices[part.faces].unbind(1)
            normals = torch.nn.functional.normalize(torch.linalg.cross(b - a, c - a), dim=1)
            if float(((centre - a) * normals).sum(1).max()) < radius:
                return z
    return -math.inf
