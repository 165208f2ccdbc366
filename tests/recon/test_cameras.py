"""Cameras of images: registered within bounds, sure where they should be, unsure with a reason where they cannot be."""

import importlib.util

import pytest
import torch

from recon.alignment import align
from recon.bundle import Structure
from recon.cameras import estimate_cameras
from recon.certainty import judge
from recon.readers import read_captured
from recon.structure import build_structure, camera_centers
from recon.tracks import Tracks
from render.camera import Camera
from render.trajectory import look_at

ROOM = [((0.25, 0.1, 1.0), 2.6), ((0.0, -1.0, 0.25), -1.2), ((1.0, 0.0, 0.3), 1.9)]


@pytest.fixture(scope="module")
def captured(see_planes):
    """Six images of three textured planes, from places up to 0.6 m apart, and their cameras."""
    x = torch.linspace(-0.35, 0.35, 6)
    eye = torch.stack([x, 0.1 * torch.sin(7 * x), 0.2 * x.abs()], dim=1)
    w2c = look_at(eye, torch.tensor([[0.2, 0.1, 2.4]]), torch.tensor([[0.0, -1.0, 0.0]]))
    K = torch.tensor([[240.0, 0, 155.0], [0, 238.0, 123.0], [0, 0, 1]])
    cameras = Camera(K.expand(6, 3, 3), w2c, 320, 240)
    images = [see_planes(cameras[i], ROOM, shortest=0.06)[0] for i in range(6)]
    return images, cameras


def test_cameras_of_a_room_up_to_a_similarity(captured):
    images, cameras = captured
    found = estimate_cameras(images, cameras.K[0], "incremental")
    assert found.registered.all() and found.sure and found.reason == ""
    assert align(found.cameras.center, cameras.center).errors.max() < 0.005
    assert torch.equal(found.cameras.w2c[0], torch.eye(4)) and found.cameras.K.dtype == torch.float32
    assert found.numbers["disagreement_share"] < 0.05 and found.numbers["images"] == 6


def test_known_cameras_are_never_estimated_again(captured, monkeypatch):
    images, cameras = captured
    monkeypatch.setattr("recon.cameras.find_features", lambda image: pytest.fail("features of known cameras"))
    found = estimate_cameras(images, cameras.K[0], known=[cameras[i] for i in range(6)])
    assert torch.equal(found.cameras.w2c, cameras.w2c) and torch.equal(found.cameras.K, cameras.K)
    assert found.sure and found.registered.all()


def test_unknown_cameras_are_found_in_the_world_of_known_ones_which_stay(captured):
    images, cameras = captured
    known = [cameras[i] if i in (0, 2, 4) else None for i in range(6)]
    found = estimate_cameras(images, cameras.K[0], "incremental", known)
    assert torch.equal(found.cameras.w2c[[0, 2, 4]], cameras.w2c[[0, 2, 4]])
    assert (found.cameras.center - cameras.center).norm(dim=1).max() < 0.005  # metres, and no alignment
    moved = [None if one is None else Camera(one.K, one.w2c.clone(), 320, 240) for one in known]
    moved[2].w2c[:3, 3] += 0.4  # a wrong one among them
    wrong = estimate_cameras(images, cameras.K[0], "incremental", moved)
    assert not wrong.sure and "known cameras" in wrong.reason
    assert torch.equal(wrong.cameras.w2c[2], moved[2].w2c)


@pytest.mark.parametrize("kind", ["flat", "noise", "same", "one"])
def test_images_that_tell_nothing_are_not_sure(captured, kind):
    images, cameras = captured
    generator = torch.Generator().manual_seed(0)
    given = {
        "flat": [torch.full((240, 320, 3), 0.5)] * 4,
        "noise": [torch.rand(240, 320, 3, generator=generator) for _ in range(4)],
        "same": [images[0]] * 4,
        "one": images[:1],
    }[kind]
    found = estimate_cameras(given, cameras.K[0], "incremental")
    assert not found.sure and found.reason and not found.registered.any()
    assert torch.equal(found.cameras.w2c, torch.eye(4).expand(len(given), 4, 4))


def test_a_camera_that_only_turns_is_not_sure(captured, see_planes):
    _, cameras = captured
    target = torch.stack([torch.linspace(-0.3, 0.3, 4), torch.zeros(4), torch.full((4,), 2.4)], dim=1)
    w2c = look_at(torch.zeros(1, 3), target, torch.tensor([[0.0, -1.0, 0.0]]))
    images = [see_planes(Camera(cameras.K[0], one, 320, 240), ROOM, shortest=0.06)[0] for one in w2c]
    found = estimate_cameras(images, cameras.K[0], "incremental")
    assert not found.sure and found.reason


def walk(see_points, length):
    """A walk sideways past points, one camera each 0.4 m, its tracks and K."""
    count = int(length / 0.4)
    x = torch.rand(60 * count, 3, generator=torch.Generator().manual_seed(0)).double()
    x = x * torch.tensor([length + 4, 3.0, 2.0]) + torch.tensor([-2.0, -1.5, 2.5])
    w2c = torch.eye(4).double().repeat(count, 1, 1)
    w2c[:, 0, 3] = -torch.linspace(0, length, count)
    K = torch.tensor([[500.0, 0, 320], [0, 500, 240], [0, 0, 1]]).double()
    cameras = Camera(K.expand(count, 3, 3), w2c, 640, 480)
    pixels, seen = see_points(cameras, x, 0.5)
    track, image = seen.T.nonzero(as_tuple=True)
    _, track = track.unique(return_inverse=True)
    return cameras, Tracks(track, image, pixels[seen.T.nonzero(as_tuple=True)[1], seen.T.nonzero(as_tuple=True)[0]]), K


def test_a_long_walk_is_unsure_and_a_short_one_is_not(see_points):
    verdicts = {}
    for length in (2.4, 10.0):
        cameras, tracks, K = walk(see_points, length)
        structure = build_structure(tracks, len(cameras), K)
        assert structure.registered.all()
        verdicts[length] = judge(structure, tracks, K)
    assert verdicts[2.4][0], verdicts[2.4][1]
    assert not verdicts[10.0][0] and "nothing in common" in verdicts[10.0][1]


def test_a_walk_whose_scale_jumps_is_not_sure(see_points, monkeypatch):
    """Its reprojection is as good as the right one's: the covariance tells where nothing joins the halves, and the
    comparison with other tracks wherever it lies elsewhere."""
    cameras, tracks, K = walk(see_points, 4.0)
    right = build_structure(tracks, len(cameras), K)
    late = right.camera_index >= len(cameras) // 2
    first_early = torch.zeros(len(right.points), dtype=torch.bool)
    first_early[right.point_index[~late]] = True
    torn = right.keep(~(late & first_early[right.point_index]))  # no point is seen from both halves
    w2c, points = torn.w2c.clone(), torn.points.clone()
    half = len(cameras) // 2
    pivot = camera_centers(torn)[half]
    far = torch.ones(len(points), dtype=torch.bool)
    far[torn.point_index[torn.camera_index < half]] = False
    points[far] = pivot + 3 * (points[far] - pivot)
    moved = pivot + 3 * (camera_centers(torn)[half:] - pivot)
    w2c[half:, :3, 3] = -(w2c[half:, :3, :3] @ moved[..., None]).squeeze(-1)
    jumped = Structure(w2c, torn.registered, points, torn.camera_index, torn.point_index, torn.pixels)
    assert jumped.residuals(K)[0].norm(dim=1).median() < 1
    monkeypatch.setattr("recon.certainty.MOST_APART", 1.0)
    sure, reason, _ = judge(jumped, tracks, K)
    assert not sure and "uncertain" in reason
    monkeypatch.setattr("recon.certainty.MOST_DEVIATION", float("inf"))
    sure, reason, numbers = judge(jumped, tracks, K)
    assert not sure and "half of the tracks" in reason and numbers["disagreement_share"] > 0.1
    assert judge(right, tracks, K)[0]


def test_wrong_calls_are_refused(captured):
    images, cameras = captured
    K = cameras.K[0]
    with pytest.raises(ValueError, match="got none"):
        estimate_cameras([], K)
    with pytest.raises(ValueError, match="one size"):
        estimate_cameras([images[0], images[1][:100]], K)
    with pytest.raises(ValueError, match="for each of the 6"):
        estimate_cameras(images, K, known=[None])
    with pytest.raises(ValueError, match="1 known camera among"):
        estimate_cameras(images, K, known=[cameras[0], *[None] * 5])


needs_colmap = pytest.mark.skipif(importlib.util.find_spec("pycolmap") is None, reason="needs pycolmap")


@needs_colmap
def test_colmap_finds_the_same_cameras(captured):
    images, cameras = captured
    found = estimate_cameras(images, cameras.K[0], "colmap")
    assert found.registered.all() and found.numbers["colmap"] == 1
    assert align(found.cameras.center, cameras.center).errors.max() < 0.005


@needs_colmap
def test_colmap_of_nothing_registers_nothing(captured):
    found = estimate_cameras([torch.full((120, 160, 3), 0.5)] * 3, captured[1].K[0], "colmap")
    assert not found.sure and not found.registered.any()


def test_colmap_asked_for_and_absent_says_what_to_install(captured, monkeypatch):
    monkeypatch.setattr("recon.colmap.importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'hybridwm\[sfm\]'"):
        estimate_cameras(captured[0][:3], captured[1].K[0], "colmap")


@pytest.mark.parametrize("method", ["auto", pytest.param("colmap", marks=[needs_colmap, pytest.mark.long])])
def test_recorded_desk_is_registered_and_sure(method, shared_data):
    views = read_captured(shared_data("multiview/tum_fr2_desk_10")).views
    found = estimate_cameras([view.image for view in views], views[0].camera.K, method)
    ate = align(found.cameras.center, torch.stack([view.camera.center for view in views])).ate
    print(f"\ndesk, {method}: {int(found.registered.sum())} of {len(views)}, ATE {1000 * ate:.1f} mm; {found.numbers}")
    assert found.registered.all() and found.sure and ate <= 0.006


@pytest.mark.parametrize("method", ["auto", pytest.param("colmap", marks=[needs_colmap, pytest.mark.long])])
def test_recorded_walk_is_unsure(method, shared_data):
    views = read_captured(shared_data("multiview/hololens000_a")).views
    found = estimate_cameras([view.image for view in views], views[0].camera.K, method)
    r = found.registered
    ate = align(found.cameras.center[r], torch.stack([view.camera.center for view in views])[r]).ate
    print(f"\nwalk, {method}: {int(r.sum())} of {len(views)}, ATE {1000 * ate:.1f} mm; {found.reason}; {found.numbers}")
    assert not found.sure and found.reason
