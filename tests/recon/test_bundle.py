"""Bundle adjustment: truth without noise, SciPy's minimum with it, outliers held down, known cameras left alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from recon.alignment import align
from recon.bundle import Structure, adjust, center_deviations
from recon.structure import camera_centers


@pytest.fixture
def scene(arc_of_cameras, see_points):
    """scene(noise, wrong, shaken, count, points): a structure around the truth, the truth itself, and K."""

    def make(noise=0.5, wrong=0.0, shaken=0.02, count=6, points=120, seed=0):
        cameras = arc_of_cameras(count, 50.0, seed=seed)
        generator = torch.Generator().manual_seed(seed)
        x = 3 * torch.rand(points, 3, generator=generator).double() - 1.5
        pixels, seen = see_points(cameras, x, noise, wrong, seed)
        point, camera = seen.T.nonzero(as_tuple=True)
        everything = torch.ones(count, dtype=torch.bool)
        truth = Structure(cameras.w2c, everything, x, camera, point, pixels[camera, point])
        w2c = cameras.w2c.clone()
        w2c[:, :3, 3] += shaken * torch.randn(count, 3, generator=generator).double()
        start = replace(truth, w2c=w2c, points=x + shaken * torch.randn(x.shape, generator=generator).double())
        return start, truth, cameras.K[0]

    return make


def test_without_noise_the_truth_comes_back_up_to_a_similarity(scene):
    start, truth, K = scene(noise=0.0, shaken=0.1)
    found = adjust(start, K, most_steps=100, tolerance=1e-15)
    assert found.cost < 1e-16
    moved = align(camera_centers(found.structure), camera_centers(truth))
    assert moved.errors.max() < 1e-7 and align(found.structure.points, truth.points).errors.max() < 1e-7


@pytest.mark.parametrize("huber", [1e6, 1.0])
def test_the_minimum_is_scipys(scene, huber):
    """The same cost by an independent solver with numerical derivatives (its loss is Huber's on each axis, so with a
    finite one the costs are compared by our own measure)."""
    start, _, K = scene(count=3, points=12, wrong=0.0 if huber > 1 else 0.05)
    found = adjust(start, K, huber=huber, most_steps=200, tolerance=1e-14)
    count = len(start.w2c)

    def unpacked(x):
        cameras, points = x[: 6 * count].reshape(count, 6), x[6 * count :].reshape(-1, 3)
        w2c = start.w2c.clone()
        turn = torch.from_numpy(Rotation.from_rotvec(cameras[:, :3]).as_matrix())
        w2c[:, :3, :3] = turn @ start.w2c[:, :3, :3]
        w2c[:, :3, 3] += torch.from_numpy(cameras[:, 3:])
        return replace(start, w2c=w2c, points=torch.from_numpy(points))

    def residuals(x):
        length = unpacked(x).residuals(K)[0].norm(dim=1)
        loss = torch.where(length <= huber, length, (2 * huber * length - huber**2).clamp(min=0).sqrt())
        return loss.numpy()

    x = np.concatenate([np.zeros(6 * count), start.points.flatten().numpy()])
    referee = least_squares(residuals, x, xtol=1e-14, ftol=1e-14, gtol=1e-12, max_nfev=300)
    # Ours is at least as low, and no lower than rounding allows where both are at the bottom.
    assert found.cost <= 2 * referee.cost / len(start.pixels) * (1 + 1e-6)
    if huber > 1:
        assert found.cost >= 2 * referee.cost / len(start.pixels) * (1 - 1e-3)


def test_wrong_matches_are_held_down_by_the_loss(scene):
    start, truth, K = scene(noise=0.3, wrong=0.03, shaken=0.01, points=300)
    error = {}
    for huber in (1.0, 1e6):
        found = adjust(start, K, huber=huber).structure
        error[huber] = align(camera_centers(found), camera_centers(truth)).ate
    assert error[1.0] < 0.015 and error[1.0] < 0.3 * error[1e6]


def test_known_cameras_stay_bit_for_bit_and_give_the_scale(scene):
    start, truth, K = scene(noise=0.2, shaken=0.05)
    fixed = torch.tensor([True, True, False, False, False, False])
    w2c = torch.where(fixed[:, None, None], truth.w2c, start.w2c)
    found = adjust(replace(start, w2c=w2c), K, fixed=fixed).structure
    assert torch.equal(found.w2c[fixed], truth.w2c[fixed])
    assert not torch.equal(found.w2c[~fixed], w2c[~fixed])
    assert (camera_centers(found) - camera_centers(truth)).norm(dim=1).max() < 0.02  # no alignment: the world is theirs
    every = adjust(start, K, fixed=torch.ones(6, dtype=torch.bool)).structure
    assert torch.equal(every.w2c, start.w2c) and not torch.equal(every.points, start.points)


def test_the_predicted_deviation_is_the_one_that_comes_about(scene):
    """Over runs with new noise, errors of the aligned centres against their predicted standard deviation."""
    ratio = []
    for seed in range(12):
        start, truth, K = scene(noise=0.5, shaken=0.0, seed=seed)
        found = adjust(start, K, huber=1e6, tolerance=1e-10).structure
        predicted = center_deviations(found, K, noise=0.5)
        ratio.append(align(camera_centers(found), camera_centers(truth)).ate / float(predicted.square().mean().sqrt()))
    assert 0.8 < sum(ratio) / len(ratio) < 1.2


def test_less_parallax_is_less_certain(arc_of_cameras, see_points):
    deviations = []
    for degrees in (40.0, 4.0):
        cameras = arc_of_cameras(5, degrees, wander=0.0)
        x = 3 * torch.rand(150, 3, generator=torch.Generator().manual_seed(1)).double() - 1.5
        pixels, seen = see_points(cameras, x, 0.0)
        point, camera = seen.T.nonzero(as_tuple=True)
        structure = Structure(cameras.w2c, torch.ones(5) > 0, x, camera, point, pixels[camera, point])
        centers = camera_centers(structure)
        extent = (centers - centers.mean(0)).square().sum(1).mean().sqrt()
        deviations.append(float(center_deviations(structure, cameras.K[0], 0.5).mean() / extent))
    assert deviations[1] > 5 * deviations[0]


def test_points_that_too_few_see_are_dropped_and_the_rest_renumbered(scene):
    start, _, _ = scene(points=10)
    kept = start.keep((start.point_index != 3) | (start.camera_index == 0))
    assert len(kept.points) == 9 and torch.equal(kept.points[3], start.points[4])
    assert kept.point_index.max() == 8 and (kept.point_index.diff() >= 0).all()


def test_what_cannot_be_adjusted_is_refused(scene):
    start, _, K = scene(points=20)
    cases = {
        "got none": start.keep(torch.zeros(len(start.pixels), dtype=torch.bool)),
        "finite": replace(start, points=start.points * torch.nan),
        "sorted": replace(start, point_index=start.point_index.flip(0)),
        "not registered": replace(start, registered=torch.zeros(6, dtype=torch.bool)),
    }
    for message, structure in cases.items():
        with pytest.raises(ValueError, match=message):
            adjust(structure, K)
