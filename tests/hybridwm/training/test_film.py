"""Validation pictures: truth above what is imagined after it, which has not seen the truth that it is compared with."""

from dataclasses import replace

import pytest
import torch

from hybridwm.core.config import CoreConfig
from hybridwm.core.video_core import VideoCore
from hybridwm.training.config import TrainConfig
from hybridwm.training.episodes import make_episodes
from hybridwm.training.film import film, rollout
from hybridwm.worlds.rooms.rig import RoomsRig
from render.images import read_image

CORE = CoreConfig(height=32, width=32, dim=24, depth=2, heads=3, window=3)
RIG = RoomsRig(size=32)


@pytest.fixture(scope="module")
def walks():
    return make_episodes([21, 22, 23], 8, RIG, torch.device("cpu"))


@pytest.fixture(scope="module")
def core():
    torch.manual_seed(0)
    core = VideoCore(CORE).eval()
    for parameter in core.parameters():  # zeros at the start would imagine the same whatever was seen
        torch.nn.init.normal_(parameter, std=0.1)
    return core


def changed(walks, frame):
    rgb = walks.rgb.clone()
    rgb[:, frame] = 255 - rgb[:, frame]
    return replace(walks, rgb=rgb)


def test_imagined_frames_follow_from_the_context_alone(core, walks):
    truth, imagined = rollout(core, walks, 0, RIG, 4)
    assert torch.equal(truth, walks.rgb[0, 2:7, 0].float() / 255)
    assert imagined.shape == (4, 32, 32, 3)
    assert torch.equal(rollout(core, changed(walks, 3), 0, RIG, 4)[1], imagined)  # the first to be imagined
    assert not torch.equal(rollout(core, changed(walks, 2), 0, RIG, 4)[1], imagined)  # the last of the context


def test_the_picture_has_a_row_of_truth_above_each_row_imagined(core, walks, tmp_path):
    weights = {name.split(".", 1)[1]: value for name, value in core.state_dict().items()}
    film(weights, walks, TrainConfig(core=CORE), RIG, tmp_path / "rollouts" / "step.png", frames=2)
    image = read_image(tmp_path / "rollouts" / "step.png")
    assert image.shape == (4 * 32, 3 * 32, 3)
    for i in range(2):
        truth, imagined = rollout(core, walks, i, RIG, 2)
        above, below = image[64 * i : 64 * i + 32], image[64 * i + 32 : 64 * i + 64]
        assert torch.allclose(above, torch.cat([*truth], 1), atol=1 / 255)
        assert torch.allclose(below[:, 32:], torch.cat([*imagined], 1), atol=1 / 255)
        assert torch.equal(above[:, :32], below[:, :32])


def test_a_walk_that_is_too_short_is_shown_as_far_as_it_goes(core, walks):
    truth, imagined = rollout(core, walks, 2, RIG, 50)
    assert len(imagined) == 5 and len(truth) == 6
