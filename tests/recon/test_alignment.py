"""Alignment: exact for exact similarities, never a reflection, the known errors of recorded trajectories."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recon.alignment import align, moved_cameras, relative_errors, rotation_degrees
from recon.readers import associate, read_trajectory
from render.camera import Camera
from render.geometry import project
from render.transforms import invert_rigid, matrix_from_quats, transform_points


def similarity(seed, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    b_from_a = torch.eye(4).double()
    b_from_a[:3, :3] = scale * matrix_from_quats(torch.randn(4, generator=generator).double())
    b_from_a[:3, 3] = 10 * torch.randn(3, generator=generator).double()
    return b_from_a


def points(seed, count=20):
    return torch.randn(count, 3, generator=torch.Generator().manual_seed(seed)).double()


@given(seed=st.integers(0, 10_000), scale=st.floats(0.01, 100))
@settings(max_examples=60, deadline=None)
def test_an_exact_similarity_is_found_exactly(seed, scale):
    truth, a = similarity(seed, scale), points(seed + 1)
    found = align(a, transform_points(truth, a))
    assert (found.b_from_a - truth).abs().max() < 1e-9 * max(1, scale)
    assert abs(found.scale - scale) < 1e-9 * scale and found.ate < 1e-9 * max(1, scale)


@pytest.mark.parametrize("flat", [0, 1, 2])
def test_points_in_a_plane_do_too_and_mirrored_ones_are_not_mirrored(flat):
    a = points(3)
    a[:, flat] = 0
    truth = similarity(4, 2.0)
    assert (align(a, transform_points(truth, a)).b_from_a - truth).abs().max() < 1e-9
    mirrored = points(5) * torch.tensor([1.0, 1.0, -1.0])
    found = align(points(5), mirrored)
    assert torch.linalg.det(found.b_from_a[:3, :3]) > 0 and found.ate > 0.1


def test_a_rigid_alignment_keeps_the_scale_and_so_leaves_the_error():
    a = points(6) - points(6).mean(0)
    rigid = align(a, 2 * a, "rigid")
    assert rigid.scale == 1 and abs(rigid.ate - float(a.square().sum(1).mean().sqrt())) < 1e-9


def test_moved_cameras_see_moved_points_at_the_same_pixels():
    cameras = Camera.from_fov(64, 48, 70.0, similarity(7)[None].repeat(3, 1, 1))
    b_from_a = similarity(8, 3.0)
    moved = moved_cameras(cameras.w2c, b_from_a)
    x = points(9)
    before, depth = project(x[None], cameras)
    after, far = project(transform_points(b_from_a, x)[None], Camera(cameras.K, moved, 64, 48))
    assert torch.allclose(before, after, rtol=1e-6) and torch.allclose(3 * depth, far)
    assert torch.allclose(moved[:, :3, :3] @ moved[:, :3, :3].mT, torch.eye(3).double(), atol=1e-12)


def test_relative_errors_are_those_of_the_motion_alone():
    steps = torch.stack([invert_rigid(similarity(seed)) for seed in range(5)])
    turned, shifted = relative_errors(steps @ similarity(20), steps)  # another world, the same motions
    assert turned.max() < 1e-6 and shifted.max() < 1e-9
    turn = torch.eye(4).double()
    turn[:2, :2] = torch.tensor([[0.8, -0.6], [0.6, 0.8]])
    turned, _ = relative_errors(torch.stack([steps[0], turn @ steps[1]]), steps[:2])
    assert abs(float(turned[0]) - 36.8698976) < 1e-5
    assert rotation_degrees(torch.eye(3)) == 0


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (torch.zeros(1, 3), torch.zeros(1, 3)),
        (torch.zeros(4, 3), torch.zeros(5, 3)),
        (torch.zeros(4, 3), torch.ones(4, 3)),
        (torch.full((4, 3), torch.nan), torch.ones(4, 3)),
        (torch.eye(3), torch.ones(3, 3)),
    ],
)
def test_what_cannot_be_aligned_is_refused(a, b, unchecked):
    with pytest.raises(ValueError, match="align"):
        align(a, b)


@pytest.mark.parametrize(
    ("estimate", "truth", "group", "ate"),
    [
        ("freiburg1_xyz-rgbdslam.txt", "freiburg1_xyz-groundtruth.txt", "rigid", 0.013470),
        ("freiburg1_xyz-ORB_kf_mono.txt", "freiburg1_xyz-groundtruth.txt", "similarity", 0.009755),
        ("KITTI_00_ORB.txt", "KITTI_00_gt.txt", "rigid", 1.303450),
    ],
)
def test_recorded_trajectories_have_the_errors_that_evo_finds(estimate, truth, group, ate, shared_data):
    folder = shared_data("trajectories/evo_tum_kitti")
    a, b = read_trajectory(folder / estimate), read_trajectory(folder / truth)
    i, j = zip(*associate(a.timestamps, b.timestamps, 0.01), strict=True)
    assert abs(align(a.c2w[list(i), :3, 3], b.c2w[list(j), :3, 3], group).ate - ate) < 2e-6
