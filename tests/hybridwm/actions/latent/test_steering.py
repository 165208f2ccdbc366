"""Steering towards a colour: left of the middle is a turn to the left, near is arrived, absent is said."""

import math

import pytest
import torch

from hybridwm.actions.latent.steering import ARRIVED, colour_in, largest_patch, of_colour, steer

FOV = 77.0


def scene(left, top, size, colour=(0.8, 0.1, 0.1), height=48, width=64):
    image = torch.full((height, width, 3), 0.5)
    image[top : top + size, left : left + size] = torch.tensor(colour)
    return image


@pytest.mark.parametrize(("left", "sign"), [(2, 1), (52, -1)])
def test_it_turns_to_the_side_on_which_the_patch_is(left, sign):
    action = steer(scene(left, 10, 10), "red", FOV)
    assert action is not None and action[2] * sign == pytest.approx(math.radians(15)) and action[0] == 0


def test_what_is_ahead_is_walked_to_until_it_is_near():
    ahead = steer(scene(28, 20, 8), "red", FOV)
    assert ahead is not None and ahead[0] == 0.25 and abs(float(ahead[2])) < math.radians(1)
    side = math.ceil(math.sqrt(ARRIVED * 48 * 64)) + 1
    assert steer(scene(15, 5, side), "red", FOV) is None


def test_the_largest_patch_counts_and_specks_do_not():
    image = scene(50, 10, 10)
    image[2:5, 2:5] = torch.tensor([0.8, 0.1, 0.1])
    patch = largest_patch(of_colour(image, "red"))
    assert int(patch.sum()) == 100 and bool(patch[12, 52]) and not bool(patch[3, 3])


@pytest.mark.parametrize("colour", ["green", "blue", "yellow"])
def test_another_colour_is_not_in_view(colour):
    with pytest.raises(ValueError, match=f"expected something {colour} in view; got none"):
        steer(scene(28, 20, 8), colour, FOV)


def test_colours_are_read_off_words():
    assert colour_in("Go to the RED door") == "red"
    with pytest.raises(ValueError, match="expected one colour to steer towards"):
        colour_in("go to the door")
    with pytest.raises(ValueError, match="got red, blue"):
        colour_in("between red and blue")
