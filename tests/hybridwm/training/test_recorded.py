"""Training on recorded episodes: what is read, how it is cut and scaled, and what is refused."""

import json
from dataclasses import replace

import pytest
import torch

from hybridwm.actions.scale import SPREAD, ActionScale
from hybridwm.core.config import CoreConfig
from hybridwm.training.config import EpisodesConfig, RecallConfig, TrainConfig
from hybridwm.training.recorded import load_recorded, split_walks, starts
from hybridwm.training.rig import RecordedRig, Rig
from hybridwm.training.train import train
from hybridwm.worlds.alignment import shifted
from hybridwm.worlds.collection import walk_rooms
from hybridwm.worlds.episodes import Episode, save_episode
from hybridwm.worlds.resize import resized
from hybridwm.worlds.rooms.rig import RoomsRig

CORE = CoreConfig(height=16, width=16, eyes=1, dim=32, depth=2, heads=2, window=2, action_dim=3)
NAMES = ("dx", "dy", "grip")


def robot(seed, frames=24, **changes):
    """A square that actions push about, before a camera that is not known."""
    generator = torch.Generator().manual_seed(seed)
    actions = torch.randint(-2, 3, (frames - 1, 3), generator=generator).float() * torch.tensor([100.0, 100.0, 0.0])
    actions[:, 2] = 7.0
    rgb = torch.full((frames, 32, 32, 3), 40, dtype=torch.uint8)
    place = torch.tensor([12, 12])
    for i in range(frames):
        place = (place + (actions[i - 1, :2] / 100).long()).clamp(0, 23) if i else place
        colour = torch.tensor([200, 60, seed % 250], dtype=torch.uint8)
        rgb[i, place[0] : place[0] + 8, place[1] : place[1] + 8] = colour
    return Episode(rgb, None, None, actions, action_names=NAMES, fps=10.0, seed=seed, **changes)


def record(folder, episodes):
    folder.mkdir(exist_ok=True)
    for i, episode in enumerate(episodes):
        save_episode(episode, folder / f"{i:04d}.safetensors")
    return str(folder)


def config(source, **changes):
    return replace(EpisodesConfig(source=source, body="still", steps=10, validation=2), **changes)


def test_walks_are_cut_without_gap_and_held_out_by_episode():
    assert starts(24, 10) == [0, 10, 14]
    assert starts(20, 10) == [0, 10]
    assert starts(9, 10) == []
    training, held = split_walks([[0, 10], [0], [0, 10, 14]], 2)
    assert training == [(0, 0), (0, 10), (1, 0)]
    assert held == [(2, 10), (2, 14)]
    assert {i for i, _ in training}.isdisjoint(i for i, _ in held)
    assert split_walks([[0, 10, 14]], 1) == ([(0, 0)], [(0, 10)])  # one episode: what overlaps is left out
    assert split_walks([[0], [0]], 2)[0] == []


def test_actions_are_scaled_and_lead_to_their_frames(tmp_path):
    episodes = [robot(seed) for seed in range(4)]
    recorded = load_recorded(config(record(tmp_path, episodes)), CORE, recalls=False, quiet=True)
    walks = recorded.walks
    assert walks.rgb.shape == (9 + 2, 10, 1, 16, 16, 3)
    every = torch.cat([episode.actions for episode in episodes])
    assert recorded.scale(every).std(0, correction=0)[:2].tolist() == pytest.approx([SPREAD, SPREAD], rel=1e-4)
    assert recorded.scale(every)[:, 2].abs().max() == 0  # what never changes says nothing
    assert torch.equal(walks.actions[0, 0], torch.zeros(3))
    assert torch.allclose(walks.actions[0, 4], recorded.scale(episodes[0].actions[3]))
    assert torch.allclose(walks.actions[1, 0], recorded.scale(episodes[0].actions[9]))  # it begins at frame 10
    assert torch.equal(walks.rgb[1, 0, 0], resized(episodes[0], 16, 16).rgb[10])
    assert isinstance(recorded.rig, Rig) and isinstance(RoomsRig(), Rig)


def test_rooms_that_were_recorded_train_as_rooms_that_are_made(tmp_path):
    rig = RoomsRig(16)
    source = record(tmp_path, walk_rooms([0, 1, 2, 3], 12, rig))
    core = replace(CORE, action_dim=4, eyes=2)
    recorded = load_recorded(config(source, body="walker", steps=12), core, recalls=True, quiet=True)
    assert recorded.scale is None
    eye = recorded.rig.stereo(torch.eye(4))
    assert torch.allclose(eye.K, rig.stereo(torch.eye(4)).K) and torch.equal(eye.w2c, rig.stereo(torch.eye(4)).w2c)
    assert recorded.walks.rgb.shape == (4, 12, 2, 16, 16, 3)
    assert float(recorded.walks.depth.float().mean()) > 0.5


def test_a_network_learns_recorded_actions_and_its_card_tells_them(tmp_path):
    source = record(tmp_path / "episodes", [robot(seed) for seed in range(6)])
    training = TrainConfig(
        name="pushed", core=CORE, episodes=config(source), recall=RecallConfig(drop=1.0), steps=3, batch=2, clip=4,
        warm_up=1, remembered=0.0, threads=1, device="cpu",
    )  # fmt: skip
    weights = train(training, tmp_path / "run")
    card = json.loads(weights.with_suffix(".json").read_text())["card"]
    assert card["action_names"] == list(NAMES)
    assert card["period"] == pytest.approx(0.1)
    scale = ActionScale.read(card)
    assert scale is not None and scale(torch.tensor([0.0, 0.0, 7.0]))[2] == 0
    assert "training_seeds" not in card


@pytest.mark.parametrize(
    ("episodes", "changes", "core", "message"),
    [
        ([robot(0)], {}, replace(CORE, action_dim=4), r"action_dim: expected 3.*dx, dy, grip.*got 4"),
        ([robot(0)], {}, replace(CORE, eyes=2), "two eyes"),
        ([robot(0)], {}, replace(CORE, eye_channels=4), "expected depth"),
        ([robot(0)], {"steps": 30}, CORE, "the longest of 24 frames"),
        ([robot(0)], {"body": "drive"}, CORE, "2 numbers for 'drive'"),
        ([robot(0), replace(robot(1), fps=5.0)], {}, CORE, "one frame rate; episode of seed 1"),
        ([robot(0), replace(robot(1), action_names=("a", "b", "c"))], {}, CORE, "actions of one body"),
        ([robot(0)], {}, replace(CORE, height=64, width=64), "at least 64x64, the core's size; got 32x32.*core.width"),
        ([], {}, CORE, "found none"),
    ],
)
def test_episodes_that_do_not_fit_are_refused_by_name(tmp_path, episodes, changes, core, message):
    source = record(tmp_path / "episodes", episodes)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        load_recorded(config(source, **changes), core, recalls=False, quiet=True)


def test_a_recording_that_is_off_by_one_is_refused_unless_it_is_known_to_be(tmp_path):
    late = [shifted(episode, 1) for episode in walk_rooms(list(range(10)), 24, RoomsRig(16))]
    core, given = replace(CORE, action_dim=4), config(record(tmp_path, late), body="walker")
    with pytest.raises(ValueError, match=r"motion 1 steps earlier.*by cameras"):
        load_recorded(given, core, recalls=True, quiet=True)
    assert len(load_recorded(replace(given, aligned=False), core, recalls=True, quiet=True).walks) > 10


def test_recalled_renders_need_cameras_and_depth(tmp_path):
    source = record(tmp_path, [robot(seed) for seed in range(4)])
    with pytest.raises(ValueError, match=r"no w2c and depth.*recall.drop to 1.0"):
        load_recorded(config(source), CORE, recalls=True, quiet=True)


def test_an_episode_at_another_size_keeps_what_it_measures():
    given = walk_rooms([5], 3, RoomsRig(48, height=32))[0]
    small = resized(given, 16, 16)
    before, after = given.view(1), small.view(1)
    point = torch.tensor([24.0, 16.0, 1.0])  # the middle stays the middle
    ray = torch.linalg.inv(before.camera.K) @ point
    there = after.camera.K @ ray
    assert torch.allclose(there[:2] / there[2], torch.tensor([8.0, 8.0]), atol=1e-4)
    assert after.depth is not None and before.depth is not None
    assert float(after.depth[8, 8]) in before.depth[15:19, 23:27].flatten().tolist()
    assert abs(float(small.rgb.float().mean()) - float(given.rgb[:, :, 8:40].float().mean())) < 0.5
    assert isinstance(RecordedRig(small.K, 16, 16, 0.3).camera(small.w2c[0]).width, int)
