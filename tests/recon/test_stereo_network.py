"""The stereo network and its costs, against exact truth and plain references."""

import numpy as np
import pytest
import torch

from recon.learned_stereo import network_costs
from recon.networks.stereo_config import StereoNetworkConfig
from recon.networks.stereo_network import OUTSIDE as BEYOND
from recon.networks.stereo_network import StereoNetwork, similarities
from recon.stereo_descriptor_cost import (
    COLOUR,
    COLOUR_CAP,
    COLOUR_SHIFT,
    LARGEST_COST,
    MOST_UNLIKE,
    OUTSIDE,
    SLOPE,
    SLOPE_SHIFT,
    UNIT,
    descriptor_costs,
)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return StereoNetwork(StereoNetworkConfig(channels=8, layers=3))


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (20, 31)])
def test_descriptors_have_unit_length_at_every_pixel(network, size):
    images = torch.rand(2, 3, *size)
    found = network(images)
    assert found.shape == (2, 8, *size)
    assert torch.allclose(found.norm(dim=1), torch.ones(2, *size), atol=1e-5)


def test_a_pixel_s_descriptor_sees_its_patch_alone_and_moves_with_it(network):
    image = torch.rand(1, 3, 30, 40)
    moved = image.roll(4, 3)
    a, b = network(image), network(moved)
    inside = np.s_[:, :, 3:-3, 7:-3]
    assert torch.allclose(b[inside], a.roll(4, 3)[inside], atol=1e-5)
    touched = image.clone()
    touched[:, :, 15, 20] = touched[:, [1, 2, 0], 15, 20]  # of the same mean and contrast
    changed = (network(touched) - a).abs().amax((0, 1)) > 1e-4
    assert changed[12:19, 17:24].any()
    changed[12:19, 17:24] = False
    assert not changed.any()


def test_strips_of_an_image_are_as_the_whole(network, monkeypatch):
    image = np.random.default_rng(1).integers(0, 255, (23, 30, 3), dtype=np.uint8)
    whole = network_costs(network)(image, np.roll(image, -3, 1), 16)
    monkeypatch.setattr("recon.learned_stereo.ROWS", 5)
    strips = network_costs(network)(image, np.roll(image, -3, 1), 16)
    assert np.abs(whole.astype(int) - strips).max() <= 1


def test_exposure_tells_nothing(network):
    image = torch.rand(1, 3, 16, 20) * 0.5
    assert (network(image) * network(1.7 * image + 0.1)).sum(1).min() > 0.999
    assert (network(image) * network(torch.rand(1, 3, 16, 20))).sum(1).min() < 0.9  # the control


def test_likeness_does_not_depend_on_which_eye_is_which(network):
    """Both eyes go through one network, so a pair that is mirrored and exchanged has the mirrored likeness."""
    left, right = network(torch.rand(1, 3, 6, 24)), network(torch.rand(1, 3, 6, 24))
    there, back = similarities(left, right, 10), similarities(right.flip(3), left.flip(3), 10)
    for x in range(24):
        for d in range(10):
            if d > x:
                assert (there[0, :, x, d] == BEYOND).all()
            else:
                assert torch.allclose(there[0, :, x, d], back[0, :, 23 - (x - d), d], atol=1e-5)
                assert torch.allclose(there[0, :, x, d], (left[0, :, :, x] * right[0, :, :, x - d]).sum(0), atol=1e-5)


@pytest.mark.parametrize("threads", [1, 2])
def test_costs_are_those_of_the_inner_products_and_the_colours(threads):
    generator = torch.Generator().manual_seed(3)
    left, right = (
        torch.nn.functional.normalize(torch.randn(12, 7, 30, generator=generator), dim=0).numpy() for _ in range(2)
    )
    right[:, :, 10] = -left[:, :, 15]  # as unlike as can be
    right[:, :, 20] = left[:, :, 25]
    images = tuple(np.random.default_rng(i).integers(0, 40, (7, 30, 3), dtype=np.uint8) for i in (0, 1))
    costs = descriptor_costs((left, right), images, 20, threads)
    assert costs.shape == (7, 30, 32)
    for y in range(7):
        for x in range(30):
            for d in range(20):
                if d > x:
                    assert costs[y, x, d] == OUTSIDE
                    continue
                unlike = max(0, UNIT**2 * (1 - float(left[:, y, x] @ right[:, y, x - d]))) / 64
                plain = min(MOST_UNLIKE, unlike * SLOPE / 2**SLOPE_SHIFT)
                difference = int(np.abs(images[0][y, x].astype(int) - images[1][y, x - d]).sum())
                plain += min(difference, COLOUR_CAP) * COLOUR >> COLOUR_SHIFT
                assert abs(int(costs[y, x, d]) - plain) <= 1.5
    assert costs[:, 15, 5].min() >= MOST_UNLIKE and costs.max() <= LARGEST_COST


def test_costs_of_a_network_are_least_where_the_eyes_agree(network):
    image = np.random.default_rng(0).integers(0, 255, (20, 60, 3), dtype=np.uint8)
    costs = network_costs(network)(image, np.roll(image, -6, 1), 16)
    assert costs.shape == (20, 60, 16) and costs.dtype == np.uint8
    inside = costs[4:-4, 16:50]
    assert (inside[..., 6] <= 1).all()
    assert (inside.argmin(-1) == 6).mean() > 0.9
