"""The stages of stereo, each against exact truth or a plain reference."""

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from recon.matching_cost import BIT, COLOUR, COLOUR_CAP, COLOUR_SHIFT, LARGEST_COST, OUTSIDE, census, matching_costs
from recon.semi_global import CONTRAST, LARGE_STEP, SMALL_STEP, semi_global
from recon.stereo import match
from recon.stereo_refinement import fill_disparity, refine, seen_by_both

RNG = np.random.default_rng(0)


def shifted_pair(height, width, disparity, seed=0):
    """Exact noise seen twice: left [H, W, 3], right; disparity is a number or [H, W] of the *right* image's pixels."""
    rng = np.random.default_rng(seed)
    waves, size = rng.uniform(0.15, 2.2, (40, 2)), rng.uniform(0.4, 1, (40, 3))
    phase = rng.uniform(0, 6.28, (40, 3))

    def paint(x, y):
        angle = waves[:, 0] * x[..., None] + waves[:, 1] * y[..., None]
        return np.clip(0.5 + 0.06 * (size * np.sin(angle[..., None] + phase)).sum(-2), 0, 1).astype(np.float32)

    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    return paint(x, y), paint(x + disparity, y)


def test_census_bits_say_which_neighbours_are_darker():
    grey = RNG.integers(0, 255, (9, 11), dtype=np.uint8)
    codes = census(grey).reshape(9, 11)
    padded = np.pad(grey, 2, mode="edge")
    for y, x in ((0, 0), (4, 5), (8, 10)):
        window = (padded[y : y + 5, x : x + 5] < grey[y, x]).reshape(-1)
        bits = np.delete(window, 12)
        assert codes[y, x] == int("".join("01"[int(bit)] for bit in bits), 2)


def test_costs_are_those_of_the_pixels_that_are_compared():
    left, right = (RNG.integers(0, 255, (7, 30, 3), dtype=np.uint8) for _ in range(2))
    import cv2

    codes = [census(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)).reshape(7, 30) for image in (left, right)]
    for threads in (1, 2):
        costs = matching_costs(left, right, 20, threads)
        assert costs.shape == (7, 30, 32)
        for y, x, d in ((0, 0, 0), (3, 20, 5), (6, 29, 19), (6, 29, 29)):
            bits = bin(int(codes[0][y, x] ^ codes[1][y, x - d])).count("1")
            difference = int(np.abs(left[y, x].astype(int) - right[y, x - d]).sum())
            assert costs[y, x, d] == BIT * bits + (min(difference, COLOUR_CAP) * COLOUR >> COLOUR_SHIFT)
        assert (costs[:, 3, 4:] == OUTSIDE).all()
        assert costs.max() <= LARGEST_COST


def plain_sums(costs, grey):
    """Semi-global matching as the paper writes it, path by path: sums [H, W, D]."""
    height, width, depth = costs.shape
    total = np.zeros(costs.shape, int)
    for dy, dx in ((0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1)):
        path = np.zeros(costs.shape, int)
        for y in range(height)[:: 1 if dy >= 0 else -1]:
            for x in range(width)[:: 1 if dx >= 0 else -1]:
                v, u = y - dy, x - dx
                path[y, x] = costs[y, x]
                if 0 <= v < height and 0 <= u < width:
                    before = path[v, u]
                    contrast = abs(int(grey[y, x]) - int(grey[v, u]))
                    jump = max(SMALL_STEP + 1, int(LARGE_STEP / (1 + contrast / CONTRAST)))
                    lower = np.append(10**6, before[:-1]) + SMALL_STEP
                    upper = np.append(before[1:], 10**6) + SMALL_STEP
                    best = np.minimum(np.minimum(before, lower), np.minimum(upper, before.min() + jump))
                    path[y, x] += best - before.min()
        total += path
    return total


@pytest.mark.parametrize("threads", [1, 2])
def test_sums_and_winners_are_those_of_the_plain_algorithm(threads):
    costs = RNG.integers(0, LARGEST_COST, (9, 13, 32), dtype=np.uint8)
    grey = RNG.integers(0, 255, (9, 13), dtype=np.uint8)
    search = 25
    winners = semi_global(costs, grey, search, threads)
    sums = plain_sums(costs, grey)[..., :search]
    best = sums.argmin(-1)
    assert np.array_equal(winners.cost, sums.min(-1))
    assert (np.abs(winners.disparity - best) <= 0.5).all()
    far = np.abs(np.arange(search) - best[..., None]) > 1
    assert np.array_equal(winners.second, np.where(far, sums, 10**6).min(-1))
    for y, x in ((0, 0), (4, 6), (8, 12)):
        diagonal = [sums[y, x + d, d] for d in range(min(search, 13 - x))]
        assert winners.from_right[y, x] == int(np.argmin(diagonal))


@pytest.mark.parametrize("disparity", [3.0, 7.25, 11.5, 18.75])
def test_sub_pixel_disparity(disparity):
    left, right = shifted_pair(60, 200, disparity)
    found, confidence = match(left, right, 32)
    inside = np.s_[5:-5, 40:-5]
    assert np.median(np.abs(found - disparity)[inside]) <= 0.15  # whole pixels would be off by 0.25
    assert (confidence[inside] > 0.9).mean() > 0.9


def test_slanted_plane():
    # a right-eye disparity of a + b * x' is one of (a + b * x) / (1 + b) in the left eye
    columns, rows = np.meshgrid(np.arange(240) + 0.5, np.arange(80) + 0.5)
    left, right = shifted_pair(80, 240, 5 + 0.04 * columns + 0.05 * rows)
    true = (5 + 0.04 * columns + 0.05 * rows) / 1.04
    found, confidence = match(left, right, 32)
    error = np.abs(found - true)[5:-5, 40:-5]
    assert np.median(error) <= 0.08
    assert np.quantile(error, 0.95) <= 0.35


def test_two_layers_and_the_occlusion_between_them():
    """A near square hides what is behind it: its left side is seen by the left eye alone."""
    back, back_right = shifted_pair(90, 220, 4.0, seed=1)
    front, front_right = shifted_pair(90, 220, 14.0, seed=2)
    left, right = back.copy(), back_right.copy()
    left[30:60, 90:150] = front[30:60, 90:150]
    right[30:60, 76:136] = front_right[30:60, 76:136]
    true = np.full((90, 220), 4.0)
    true[30:60, 90:150] = 14
    found, confidence = match(left, right, 32)
    error = np.abs(found - true)[2:-2, 20:-2]
    assert (error > 1).mean() <= 0.02
    hidden = np.s_[33:57, 82:88]  # hidden from the right eye: 80 to 90
    assert (confidence[hidden] < 0.05).mean() > 0.8
    assert (np.abs(found[hidden] - 4) <= 1).mean() > 0.8


def test_large_images_are_matched_in_bands(monkeypatch):
    left, right = shifted_pair(400, 180, 6.5)
    whole, trust = match(left, right, 24)
    monkeypatch.setattr("recon.stereo.LARGEST_VOLUME", 180 * 24 * 150)
    banded, banded_trust = match(left, right, 24)
    assert banded.shape == whole.shape == banded_trust.shape
    assert np.abs(banded - whole)[:, 30:].max() <= 0.5
    assert np.abs(banded_trust - trust)[:, 30:].mean() <= 0.01


def test_eyes_must_agree():
    disparity = np.full((40, 60), 5, np.float32)
    from_right = np.full((40, 60), 5, np.int16)
    disparity[20, 30] = 11
    from_right[:, 40:] = 15
    seen = seen_by_both(disparity, from_right)
    assert not seen[:, :7].any() and seen[:, 7:30].all()
    assert not seen[20, 30] and not seen[:, 45:].any()


def test_holes_are_filled_from_the_background():
    disparity = np.array([[5, 0, 0, 2, 0]], dtype=np.float32)
    assert fill_disparity(disparity, disparity > 0).tolist() == [[5, 2, 2, 2, 2]]
    empty = np.zeros((2, 3), dtype=np.float32)
    assert np.array_equal(fill_disparity(empty, empty > 0), empty)


def test_edges_move_to_where_the_colour_changes():
    image = np.zeros((60, 80, 3), np.uint8)
    image[:, 40:] = 200
    disparity = np.where(np.arange(80) >= 37, 12, 3).astype(np.float32)[None].repeat(60, 0)
    refined = refine(disparity, np.ones((60, 80), bool), image)
    assert (np.abs(refined[:, :39] - 3) < 0.5).mean() > 0.97
    assert (np.abs(refined[:, 41:] - 12) < 0.5).all()


def test_matches_in_several_threads_do_not_disturb_each_other():
    """Each thread keeps sums of its own between calls."""
    generator = np.random.default_rng(0)
    pairs = [generator.integers(0, 255, (2, 96, 128, 3), np.uint8) for _ in range(8)]

    def winners(pair):
        grey = cv2.cvtColor(pair[0], cv2.COLOR_RGB2GRAY)
        return semi_global(matching_costs(pair[0], pair[1], 64, 1), grey, 64, 1).disparity

    alone = [winners(pair) for pair in pairs]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(6):
            for one, together in zip(alone, pool.map(winners, pairs), strict=True):
                assert np.array_equal(one, together)
