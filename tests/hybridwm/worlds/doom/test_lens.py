"""How the engine's picture becomes ours: angles, areas, sizes."""

import numpy as np
import pytest

from hybridwm.worlds.doom.lens import Lens, shrink


@pytest.mark.parametrize("size", [16, 64, 100, 128, 256, 451])
def test_angles_of_our_pixels_lie_inside_the_engines_picture(size):
    lens = Lens(size)
    rows, columns = lens.nearest()
    assert rows[0] >= 0 and rows[-1] <= lens.height - 1 and columns[0] >= 0 and columns[-1] < lens.width
    assert lens.height >= 1.7 * size and lens.width * 3 == lens.height * 4
    assert lens.rays()[[0, -1]] == pytest.approx([-lens.reach * (1 - 1 / size), lens.reach * (1 - 1 / size)])
    assert 63.5 < lens.fov < 64.0


def test_a_picture_of_its_own_rays_shrinks_to_ours():
    """Each pixel of the engine's picture holds its own direction; averaged, it is the direction of our pixel."""
    lens = Lens(64)
    across = (np.arange(lens.width) + 0.5 - lens.width / 2) / (lens.width / 2)
    down = (np.arange(lens.height) + 0.5 - (lens.height / 2 - 0.5)) / (0.6 * lens.width)
    picture = np.zeros((lens.height, lens.width, 3))
    picture[..., 0], picture[..., 1] = 128 + 100 * across, 128 + 100 * down[:, None]
    small = shrink(np.rint(picture).astype(np.uint8), *lens.areas()).astype(float)
    assert np.abs((small[32, :, 0] - 128) / 100 - lens.rays()).max() < 0.011
    assert np.abs((small[:, 32, 1] - 128) / 100 - lens.rays()).max() < 0.011


def test_weights_are_shares():
    rows, columns = Lens(64).areas()
    assert rows.sum(1) == pytest.approx(np.ones(64)) and columns.sum(1) == pytest.approx(np.ones(64))
    assert rows[:, -1].sum() == 0  # the last row lies beyond the square: the horizon is half a row above the middle


@pytest.mark.parametrize("size", [15, 452, 0])
def test_sizes_out_of_reach_are_refused(size):
    with pytest.raises(ValueError, match="size: expected 16…451"):
        Lens(size)
