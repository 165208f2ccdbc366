"""True frames follow their commands within the stated ceiling; frozen, wrong and unrelated ones do not."""

import numpy as np
import pytest
import torch

from hybridwm.study.camera_following import camera_following
from hybridwm.study.trajectories import random_walk
from render.camera import Camera

BASELINE = 0.3


@pytest.fixture(scope="module")
def walk():
    return random_walk(9_000_201, 22)


def of(walk, **changes):
    given = {
        "frames": torch.stack([view.image for view in walk.views]),
        "cameras": [view.camera for view in walk.views],
        "right": torch.stack([view.right for view in walk.views]),
        "baseline": BASELINE,
        "every": 2,
    } | changes
    return camera_following(**given)


def test_two_eyes_see_how_far_the_true_camera_went(walk):
    seen = of(walk)
    assert np.isnan(seen.found[1::2]).all() and np.nanmean(seen.found) > 0.85
    assert np.nanmedian(seen.rotation) < 1.0 and np.nanmedian(seen.translation) < 0.03
    assert np.nanmax(seen.translation) < 0.12


def test_one_eye_sees_turns_and_directions(walk):
    seen = of(walk, right=None)
    assert np.nanmean(seen.found) > 0.85
    assert np.nanmedian(seen.rotation) < 0.8 and np.nanmedian(seen.translation) < 0.06
    moved = walk.start_actions[::2, :2].abs().sum(1) > 0
    assert np.isnan(seen.translation[::2][~moved.numpy()]).all()  # where nothing was to move, no direction is judged


def test_a_frozen_rollout_is_off_by_what_it_was_told(walk):
    frames, right = walk.views[0].image, walk.views[0].right
    still = of(walk, frames=frames.expand(21, -1, -1, -1), right=right.expand(21, -1, -1, -1))
    actions = walk.start_actions[::2]
    told = torch.rad2deg(actions[:, 2:].norm(dim=1)).numpy()
    good = still.found[::2] == 1
    assert good.all()
    assert np.allclose(still.rotation[::2], told, atol=0.1)
    assert np.allclose(still.translation[::2], actions[:, :2].norm(dim=1).numpy(), atol=0.01)


def test_too_short_steps_are_an_error_of_scale_alone(walk):
    wide = of(walk, baseline=2 * BASELINE)  # everything looks twice as far, and every step twice as long
    moved = (walk.start_actions[::2, :2].abs().sum(1) > 0).numpy()
    assert np.nanmedian(wide.translation[::2][moved]) > 0.2
    assert np.nanmedian(wide.scaled[::2][moved]) < 0.03


def test_wrong_commands_and_other_rooms_are_caught(walk):
    cameras = [view.camera for view in walk.views]
    opposite = of(walk, cameras=[Camera(c.K, torch.linalg.inv(c.w2c), 64, 64) for c in cameras])
    turned = (walk.start_actions[::2, 2] != 0).numpy()
    assert np.nanmin(opposite.rotation[::2][turned]) > 20  # left for right
    noise = torch.rand(6, 64, 64, 3, generator=torch.Generator().manual_seed(0))
    cameras = cameras[:6]
    assert np.nanmax(camera_following(noise, cameras, noise.flip(0), BASELINE).found) == 0
    assert np.nanmax(camera_following(noise, cameras).found) == 0


def test_it_says_what_does_not_fit(walk):
    with pytest.raises(ValueError, match="as many cameras"):
        of(walk, cameras=[])
    with pytest.raises(ValueError, match="baseline"):
        of(walk, baseline=None)
