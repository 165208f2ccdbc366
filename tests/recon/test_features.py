"""Features: found again where they went, no place twice, none where there is nothing."""

import pytest
import torch

from recon.features import find_features, match_features
from render.camera import Camera
from render.geometry import project, unproject


@pytest.fixture(scope="module")
def moved_pair(see_planes):
    K = torch.tensor([[260.0, 0, 151.0], [0, 260.0, 123.0], [0, 0, 1]])
    a = Camera(K, torch.eye(4), 320, 240)
    b = a.moved_right(0.2)
    planes = [((0.3, 0.15, 1.0), 2.4)]
    return a, see_planes(a, planes, shortest=0.05), b, see_planes(b, planes, shortest=0.05)


def test_matches_lie_where_the_depth_puts_them(moved_pair):
    a, (image_a, depth), b, (image_b, _) = moved_pair
    found_a, found_b = find_features(image_a), find_features(image_b)
    pairs = match_features(found_a, found_b)
    assert len(pairs) > 150
    u, v = found_a.pixels[pairs[:, 0]].floor().long().unbind(1)
    expected, _ = project(unproject(depth, a)[v, u], b)
    # The point seen is the pixel's centre, the keypoint lies up to half a pixel from it.
    inside = found_a.pixels[pairs[:, 0]] - torch.stack([u, v], dim=1) - 0.5
    error = (expected + inside - found_b.pixels[pairs[:, 1]]).norm(dim=1)
    assert error.median() < 0.15 and (error < 1).double().mean() > 0.95


def test_the_first_pixel_centre_is_a_half(moved_pair):
    """A picture turned by half has its features where they are turned to only if pixel centres lie at (i + 0.5)."""
    _, (image, _), _, _ = moved_pair
    plain, turned = find_features(image), find_features(image.rot90(2, (0, 1)))
    pairs = match_features(plain, turned)
    total = plain.pixels[pairs[:, 0]] + turned.pixels[pairs[:, 1]]
    assert len(pairs) > 150
    assert (total.median(0).values - torch.tensor([320.0, 240.0])).abs().max() < 0.05


def test_no_keypoint_is_matched_twice_and_no_place_either(moved_pair):
    _, (image_a, _), _, (image_b, _) = moved_pair
    found = find_features(image_a), find_features(image_b)
    pairs = match_features(*found)
    for side in (0, 1):
        assert len(pairs[:, side].unique()) == len(pairs)
        assert len(found[side].pixels[pairs[:, side]].unique(dim=0)) == len(pairs)
    assert torch.equal(pairs, match_features(*found))
    swapped = match_features(found[1], found[0]).flip(1)
    assert {tuple(row) for row in swapped.tolist()} == {tuple(row) for row in pairs.tolist()}


def test_the_limit_on_keypoints_holds(moved_pair):
    assert 90 <= len(find_features(moved_pair[1][0], most=100)) <= 110  # one place may have two orientations


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_no_texture_has_no_features(value):
    flat = find_features(torch.full((60, 80, 3), value))
    assert len(flat) == 0 and len(match_features(flat, flat)) == 0


def test_an_image_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="finite"):
        find_features(torch.full((20, 20, 3), torch.nan))
