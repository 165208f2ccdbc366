"""Heads learn something real of rooms they never saw (how far what is ahead is), and nothing from shuffled labels."""

from dataclasses import replace

import pytest
import torch

from hybridwm.training.heads import FrameHead, HeadConfig, fit, load_head, save_head
from hybridwm.worlds.rooms import RoomsRig, make_room, sample_free_pose, stack_rooms
from hybridwm.worlds.rooms.simulation import see
from recon import View
from render import FormatError

SIZE, MIDDLE = 32, slice(11, 21)
FARTHEST = 4.0  # metres
CONFIG = HeadConfig(eyes=2, steps=120)


def labelled(seeds, places):
    """Both eyes' frames and the metres to what is ahead, of a few places in each room."""
    rig, rooms = RoomsRig(size=SIZE), stack_rooms([make_room(seed) for seed in seeds])
    sights = [see(rooms, sample_free_pose(rooms, k, rig.radius, rig.eye_height), rig) for k in range(places)]
    frames = torch.cat([torch.cat([sight.rgb, sight.right], -1) for sight in sights])
    depths = torch.cat([sight.depth[:, MIDDLE, MIDDLE].flatten(1) for sight in sights])
    return frames, depths.quantile(0.1, dim=1).clamp(max=FARTHEST)


@pytest.fixture(scope="module")
def seen():
    return labelled(range(9_000_000, 9_000_060), 10)


@pytest.fixture(scope="module")
def held_out():
    return labelled(range(10_000_000, 10_000_025), 6)


@pytest.fixture(scope="module")
def head(seen):
    return fit(*seen, CONFIG)


def correlation(head: FrameHead, frames, targets) -> float:
    return float(torch.corrcoef(torch.stack([head(frames.float() / 255), targets]))[0, 1])


def view_of(frame) -> View:
    image = frame.float() / 255
    camera = RoomsRig(size=SIZE).camera(torch.eye(4))
    return View(image[..., :3], camera, right=image[..., 3:], baseline=0.3)


def test_it_tells_how_far_what_is_ahead_is_in_rooms_it_never_saw(head, held_out):
    assert correlation(head, *held_out) > 0.6


def test_shuffled_labels_teach_nothing(seen, held_out):
    frames, targets = seen
    shuffled = targets[torch.randperm(len(targets), generator=torch.Generator().manual_seed(0))]
    assert abs(correlation(fit(frames, shuffled, CONFIG), *held_out)) < 0.35


def test_a_chance_of_a_wall_ahead_ends_an_episode(seen, held_out):
    frames, targets = seen
    head = fit(frames, (targets < 1.2).float(), replace(CONFIG, tells="chance"))
    chance = head(held_out[0].float() / 255)
    near, far = chance[held_out[1] < 1.2], chance[held_out[1] >= 1.2]
    assert (near[:, None] > far).float().mean() > 0.7  # the area under the curve
    frame = held_out[0][chance.argmax()]
    assert head.ends(view_of(frame)) == bool(chance.max() > 0.5)
    assert 0 <= head.reward(view_of(frame), torch.zeros(4), view_of(frame)) <= 1


def test_fitting_again_gives_the_same_head(seen):
    config = replace(CONFIG, steps=3)
    one, other = fit(*seen, config), fit(*seen, config)
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def test_a_head_comes_back_from_disk(head, held_out, tmp_path):
    path = save_head(head, tmp_path, "ahead")
    again = load_head(path)
    frames = held_out[0][:8].float() / 255
    assert again.config == head.config and torch.allclose(again(frames), head(frames), atol=2e-2)
    assert again.reward(view_of(held_out[0][0]), torch.zeros(4), view_of(held_out[0][1])) == pytest.approx(
        float(again(frames)[1]), abs=1e-4
    )
    path.with_suffix(".json").write_text('{"head": {"wide": 3}}')
    with pytest.raises(FormatError, match="wide"):
        load_head(path)
    path.write_bytes(path.read_bytes()[:100])
    path.with_suffix(".json").write_text('{"head": {"eyes": 2}}')
    with pytest.raises(FormatError, match="whole safetensors"):
        load_head(path)


def test_refusals_give_one_clear_line(head, seen):
    frames, targets = seen
    with pytest.raises(ValueError, match="3 channels"):
        fit(frames, targets, replace(CONFIG, eyes=1))
    with pytest.raises(ValueError, match="finite"):
        fit(frames, targets * torch.nan, CONFIG)
    with pytest.raises(ValueError, match="0 or 1"):
        fit(frames, targets, replace(CONFIG, tells="chance"))
    with pytest.raises(ValueError, match="width"):
        HeadConfig(width=6)
    with pytest.raises(ValueError, match="chance"):
        head.ends(view_of(frames[0]))
    with pytest.raises(ValueError, match="both eyes"):
        head.of(replace(view_of(frames[0]), right=None))
