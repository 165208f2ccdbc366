"""Structure from motion on synthetic truth: tracks, resection, triangulation, and the whole."""

import pytest
import torch

from recon.alignment import align, rotation_degrees
from recon.features import Features
from recon.resection import resect
from recon.structure import build_structure, camera_centers, triangulate
from recon.tracks import Tracks, join_tracks


def tracks_of(pixels, seen):
    track, image = seen.T.nonzero(as_tuple=True)
    counted = seen.sum(0) >= 2
    every = Tracks(track, image, pixels[image, track])
    return Tracks((counted.cumsum(0) - 1)[track[counted[track]]], image[counted[track]], every.pixels[counted[track]])


def cube(count=400, seed=0):
    return 3 * torch.rand(count, 3, generator=torch.Generator().manual_seed(seed)).double() - 1.5


@pytest.mark.parametrize(("wrong", "bound"), [(0.0, 0.006), (0.1, 0.008), (0.2, 0.01)])
def test_cameras_and_points_under_noise_and_wrong_matches(arc_of_cameras, see_points, wrong, bound):
    """Bounds are shares of the distance to the scene, 5 m, at half a pixel of noise."""
    cameras, x = arc_of_cameras(10, 60.0), cube()
    tracks = tracks_of(*see_points(cameras, x, 0.5, wrong))
    structure = build_structure(tracks, 10, cameras.K[0])
    assert structure.registered.all()
    moved = align(camera_centers(structure), cameras.center)
    assert moved.errors.max() < 5 * bound
    turn = torch.linalg.det(moved.b_from_a[:3, :3]) ** (-1 / 3) * moved.b_from_a[:3, :3]
    relative = structure.w2c[:, :3, :3] @ turn.T @ cameras.w2c[:, :3, :3].mT
    assert rotation_degrees(relative).max() < 0.3
    residuals, depth = structure.residuals(cameras.K[0])
    assert (depth > 0).all() and residuals.norm(dim=1).max() < 3
    assert len(structure.points) > 0.8 * len(x) * (1 - wrong) ** 2


def test_without_noise_it_is_exact_from_any_beginning(arc_of_cameras, see_points):
    cameras = arc_of_cameras(5, 40.0)
    tracks = tracks_of(*see_points(cameras, cube(120), 0.0))
    for seed in (None, (0, 4), (1, 2)):
        structure = build_structure(tracks, 5, cameras.K[0], seed)
        assert structure.registered.all()
        assert align(camera_centers(structure), cameras.center).errors.max() < 1e-4


def test_an_image_of_somewhere_else_is_left_out(arc_of_cameras, see_points):
    cameras = arc_of_cameras(5, 40.0)
    pixels, seen = see_points(cameras, cube(200), 0.3)
    pixels[2] = 480 * torch.rand(200, 2, generator=torch.Generator().manual_seed(9)).double()
    structure = build_structure(tracks_of(pixels, seen), 5, cameras.K[0])
    assert structure.registered.tolist() == [True, True, False, True, True]
    assert torch.equal(structure.w2c[2], torch.eye(4).double())
    r = structure.registered
    assert align(camera_centers(structure)[r], cameras.center[r]).errors.max() < 0.02


@pytest.mark.parametrize("still", [True, False])
def test_no_baseline_or_no_tracks_register_nothing(arc_of_cameras, see_points, still):
    cameras = arc_of_cameras(1)[torch.zeros(4, dtype=torch.long)]
    pixels, seen = see_points(cameras, cube(200), 0.3)
    structure = build_structure(tracks_of(pixels, seen & still), 4, cameras.K[0])
    assert not structure.registered.any() and len(structure.points) == 0


def test_triangulation_is_exact_and_tells_the_cone_of_its_rays(arc_of_cameras, see_points):
    cameras, x = arc_of_cameras(2, 30.0, wander=0.0), torch.zeros(1, 3).double()
    pixels, _ = see_points(cameras, x, 0.0)
    index = torch.tensor([0, 1])
    points, angle = triangulate(cameras.w2c, cameras.K[0], index, 0 * index, pixels[:, 0], 2)
    assert points[0].abs().max() < 1e-6 and abs(float(angle[0]) - 30) < 1e-5
    assert angle[1] == 0 and points[1].abs().max() == 0  # nobody sees the second point


@pytest.mark.parametrize("wrong", [0.0, 0.3, 0.5])
def test_resection_under_wrong_pairs(arc_of_cameras, see_points, wrong):
    camera, x = arc_of_cameras(1), cube(150, seed=4)
    pixels, seen = see_points(camera, x, 0.5, wrong)
    found = resect(x[seen[0]], pixels[0, seen[0]], camera.K[0])
    assert found.found and torch.equal(found.w2c, resect(x[seen[0]], pixels[0, seen[0]], camera.K[0]).w2c)
    assert rotation_degrees(found.w2c[:3, :3] @ camera.w2c[0, :3, :3].T) < 0.15
    assert abs(float(found.inliers.double().mean()) - (1 - wrong)) < 0.12


def test_resection_of_nothing_says_so(arc_of_cameras):
    K = arc_of_cameras(1).K[0]
    generator = torch.Generator().manual_seed(0)
    anywhere = 400 * torch.rand(100, 2, generator=generator).double()
    for points, pixels in (
        (cube(5), anywhere[:5]),
        (cube(100), anywhere),
        (torch.zeros(100, 3).double(), anywhere),
        (cube(100), torch.zeros(100, 2).double()),
    ):
        found = resect(points, pixels, K)
        assert not found.found and found.reason and not found.inliers.any()
        assert torch.equal(found.w2c, torch.eye(4).double())


def test_tracks_join_over_images_and_drop_those_that_see_one_image_twice():
    none = torch.zeros(4, 128)
    features = [Features(10.0 * image + torch.arange(8).double().reshape(4, 2), none) for image in range(3)]
    matches = {
        (0, 1): torch.tensor([[0, 1], [1, 0], [2, 2]]),
        (1, 2): torch.tensor([[1, 3], [2, 0]]),
        (0, 2): torch.tensor([[3, 0]]),  # closes 0:2 - 1:2 - 2:0 - 0:3, which sees image 0 twice
    }
    tracks = join_tracks(features, matches)
    found = {tuple(tracks.image[tracks.track == t].tolist()) for t in range(tracks.count)}
    assert tracks.count == 2 and found == {(0, 1, 2), (0, 1)}
    longest = next(t for t in range(2) if (tracks.track == t).sum() == 3)
    expected = [features[0].pixels[0], features[1].pixels[1], features[2].pixels[3]]
    assert torch.equal(tracks.pixels[tracks.track == longest], torch.stack(expected))
    assert join_tracks(features, {}).count == 0
