import pytest
import torch

from render import Camera
from render.geometry import normals_from_depth, pixel_grid, project, unproject


def test_projecting_what_was_unprojected_gives_the_pixels_back(camera):
    # Loose, because the fixture's rotation is orthogonal to float32 only.
    pair = Camera.stack([camera, camera.moved_right(0.3)]).to(torch.float64)
    depth = 1 + torch.rand(2, 45, 70, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    pixels, z = project(unproject(depth, pair), pair)
    assert (pixels - pixel_grid(70, 45)).abs().max() < 1e-4
    assert (z - depth).abs().max() < 1e-6


def test_shared_points_broadcast_over_a_batch(camera):
    pair = Camera.stack([camera, camera.moved_right(0.3)])
    points = torch.rand(5, 3)
    pixels, depth = project(points[None], pair)
    assert pixels.shape == (2, 5, 2) and depth.shape == (2, 5)
    assert torch.allclose(pixels[0], project(points, camera)[0])
    with pytest.raises(ValueError, match=r"points\[None\]"):
        project(points[0], Camera(pair.K[None], pair.w2c[None], 70, 45))


def test_depth_of_another_size_is_refused(camera):
    with pytest.raises(ValueError, match="45, 70"):
        unproject(torch.ones(70, 45), camera)


def test_normals_of_a_tilted_plane_face_the_camera(camera):
    camera = camera.to(torch.float64)
    normal = torch.nn.functional.normalize(torch.tensor([0.2, -0.3, -1.0], dtype=torch.float64), dim=0)
    origin, directions = camera.rays()
    depth = (normal @ (torch.tensor([0.0, 0.0, 3.0]).double() - origin)) / (directions @ normal)
    normals = normals_from_depth(depth, camera)
    assert torch.allclose(normals, normal.expand(45, 70, 3), atol=1e-8)


def test_normals_do_not_smear_over_depth_edges_and_stay_zero_where_unknown(camera):
    depth = torch.full((45, 70), 2.0)
    depth[:, 35:] = 4.0
    depth[10, 10] = 0
    depth[20, 20], depth[19, 20], depth[21, 20] = 2, 0, 0  # no measured neighbour above or below
    normals = normals_from_depth(depth, camera)
    facing = -camera.c2w[:3, 2]
    known = normals.norm(dim=-1) > 0
    assert torch.allclose(normals[known], facing.expand_as(normals[known]), atol=1e-3)
    assert not known[10, 10] and not known[20, 20]
    assert known.sum() == 45 * 70 - 4
