"""Real pairs with known disparity: shares of the figures that OpenCV's matcher alone reaches on them."""

import numpy as np
import pytest

from hybridwm.bench.recon_stereo import confidence_cut, figures, opencv_sgbm, reliability
from hybridwm.bench.recon_stereo_pairs import read_true_pair
from recon import read_calibration
from recon.stereo import LEAST_CONFIDENCE, default_max_disparity, match


@pytest.fixture(scope="module")
def matched():
    """Each pair is matched once."""
    return {}


def measured(matched, folder):
    if folder.name not in matched:
        pair = read_true_pair(folder)
        matched[folder.name] = (pair, *match(pair.left, pair.right, pair.search))
    return matched[folder.name]


@pytest.mark.parametrize(
    ("name", "bad1", "bad2", "bad2_all", "endpoint", "density"),
    # of OpenCV 5's matcher with holes filled, as measured for the data set. Tsukuba's truth is in whole pixels, which a
    # matcher that leans to those meets better (0.26): its mean error only guards what was reached.
    [
        ("tsukuba", 4.08, 2.87, 4.45, 0.42, 93.5),
        ("cones", 5.28, 4.24, 10.2, 0.50, 94.5),
        ("motorcycle_q", 7.50, 5.11, 9.90, 0.86, 94),
    ],
)
def test_fewer_bad_pixels_than_the_reference(shared_data, matched, name, bad1, bad2, bad2_all, endpoint, density):
    pair, disparity, confidence = measured(matched, shared_data(f"stereo_gt/{name}"))
    ours = figures(pair, disparity, confidence >= LEAST_CONFIDENCE)
    assert ours["bad1_visible"] <= 0.85 * bad1
    assert ours["bad2_visible"] <= 0.85 * bad2
    assert ours["bad2_all"] <= 0.8 * bad2_all
    visible = pair.visible & pair.known
    assert 100 * (confidence[visible] >= LEAST_CONFIDENCE).mean() >= density
    assert ours["EPE_visible"] <= endpoint


@pytest.mark.parametrize("name", ["tsukuba", "cones", "motorcycle_q"])
def test_the_least_confident_tenth_holds_two_fifths_of_the_bad_pixels(shared_data, matched, name):
    pair, disparity, confidence = measured(matched, shared_data(f"stereo_gt/{name}"))
    for mask in (pair.visible & pair.known, pair.known):
        assert confidence_cut(pair, disparity, confidence, mask) >= 0.4
    off = sum(share * abs(stated - right) for stated, right, share in reliability(pair, disparity, confidence))
    assert off <= 0.05


def test_street_without_a_stated_search_range(shared_data, matched):
    pair, disparity, confidence = measured(matched, shared_data("stereo_gt/kitti2015_000046"))
    assert figures(pair, disparity, confidence >= LEAST_CONFIDENCE)["D1"] <= 3.3


def test_metric_depth_needs_the_offset_of_the_principal_points(shared_data, matched):
    folder = shared_data("stereo_gt/motorcycle_q")
    pair, disparity, confidence = measured(matched, folder)
    known = pair.visible & pair.known
    offset = read_calibration(folder / "calib.txt").disparity_offset

    def median_error(added):
        return np.median(np.abs((pair.truth + offset)[known] / np.maximum(disparity + added, 0.1)[known] - 1))

    assert median_error(offset) <= 0.01
    assert median_error(0) > 0.5  # the control


def test_the_reference_is_as_it_was_published(shared_data, matched):
    pair, _, _ = measured(matched, shared_data("stereo_gt/cones"))
    theirs = figures(pair, *opencv_sgbm(pair.left, pair.right, 64))
    assert 3.5 <= theirs["bad2_visible"] <= 5.0
    assert theirs["density"] > 90
    assert default_max_disparity(pair.left.shape[1]) >= 64
