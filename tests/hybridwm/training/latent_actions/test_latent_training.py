"""Training of latent actions: functions of seeds, without labels, resumable; maps and words from what it finds."""

import json
from dataclasses import replace

import pytest
import torch

from hybridwm.actions.latent.config import LatentConfig
from hybridwm.actions.latent.space import load_latent_actions
from hybridwm.actions.walker import action_vectors
from hybridwm.cli import main
from hybridwm.training.latent_actions.config import LatentTraining, PairsConfig
from hybridwm.training.latent_actions.objective import LatentActionModel, apart, beside, errors, recoloured
from hybridwm.training.latent_actions.pairs import Pairs, labelled_keys, recorded_pairs, room_pairs, walk_pairs
from hybridwm.training.latent_actions.train import train
from hybridwm.worlds.episodes import Episode, save_episode

TINY = LatentTraining(
    name="tiny",
    core=LatentConfig(dim=3, channels=8, hidden=16),
    steps=4,
    batch=4,
    checkpoint_every=2,
    validate_every=4,
    words_steps=0,
)


@pytest.fixture(scope="module")
def pairs():
    return room_pairs([9_000_000, 9_000_001])


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    folder = tmp_path_factory.mktemp("episodes")
    for i in range(3):
        stream = torch.Generator().manual_seed(i)
        rgb = torch.randint(0, 255, (5, 20, 36, 3), dtype=torch.uint8, generator=stream)
        episode = Episode(rgb, None, None, torch.randn(4, 2, generator=stream), action_names=("a", "b"), seed=i)
        save_episode(episode, folder / f"{i}.safetensors")
    return folder


def test_pairs_are_functions_of_their_seeds_and_move(pairs):
    again = room_pairs([9_000_000, 9_000_001])
    assert torch.equal(pairs.before, again.before) and torch.equal(pairs.actions, again.actions)
    assert set(pairs.room.tolist()) == {9_000_000, 9_000_001} and len(pairs) > 20
    assert not torch.equal(pairs.before, pairs.after)
    assert pairs.actions.abs().amax(0).min() > 0.05  # every kind of motion


def test_training_reads_no_labels(pairs):
    model = LatentActionModel(TINY.core)
    blind = replace(pairs, actions=torch.full_like(pairs.actions, float("nan")), room=pairs.room * 0)
    told, other = (
        errors(model, each[:8], torch.Generator().manual_seed(0), recolour=True, back=True) for each in (pairs, blind)
    )
    assert all(torch.equal(a, b) and bool(torch.isfinite(a)) for a, b in zip(told, other, strict=True))


def test_other_colours_are_those_of_both_frames(pairs):
    before, after = pairs.before[:16].float() / 255, pairs.after[:16].float() / 255
    first, second = recoloured(before, after, torch.Generator().manual_seed(0))
    assert not torch.equal(first, before)
    differences = [(x - y).square().sum(1) for x, y in ((before, after), (first, second))]
    assert torch.allclose(differences[0], differences[1], atol=1e-5)


def test_true_motion_agrees_with_matching_and_none_does_not(pairs):
    turned = pairs[pairs.actions[:, 2].abs() > 0.15]
    flow = torch.nn.functional.interpolate(turned.match[:, :2], 32) * 0.5
    after = turned.after.float() / 255
    assert beside(flow, turned.match, after) < 0.01 < beside(torch.zeros_like(flow), turned.match, after)
    assert apart(after, after) < 0.011 < apart(after, turned.before.float() / 255)


def test_a_stopped_run_goes_on_and_its_weights_load(tmp_path, recording):
    config = replace(TINY, pairs=PairsConfig(source=str(recording), rooms=9, validation=1))
    whole = train(config, tmp_path / "whole")
    first = whole.read_bytes()
    (tmp_path / "whole/checkpoints/step-00000004.safetensors").unlink()
    again = train(config, tmp_path / "whole")  # from the second step
    assert first == again.read_bytes()
    space, card = load_latent_actions(whole), json.loads(whole.with_suffix(".json").read_text())["card"]
    assert space.dim == 3 and space.instructor is None and not space.bodies
    assert card["pairs"] == 8 and card["steps"] == 4
    frames = torch.rand(2, 40, 40, 3)
    assert space.codes(frames[:1], frames[1:]).shape == (1, 3)
    with pytest.raises(ValueError, match="expected weights that were trained with words"):
        space.instruct("go forward")


def test_recorded_episodes_are_pairs_of_their_successive_frames(recording):
    pairs = recorded_pairs(recording, 2)
    assert len(pairs) == 8 and set(pairs.room.tolist()) == {0, 1} and pairs.actions.shape == (8, 2)
    assert torch.equal(pairs.after[0], pairs.before[1])


def test_actions_stand_beside_the_frame_that_they_led_to():
    rgb = torch.arange(3, dtype=torch.uint8)[None, :, None, None, None].expand(1, 3, 8, 8, 3)
    pairs = walk_pairs(rgb, torch.tensor([[[0.0], [1.0], [2.0]]]), [5])
    assert pairs.actions.tolist() == [[1.0], [2.0]] and pairs.room.tolist() == [5, 5]
    assert pairs.before[:, 0, 0, 0].tolist() == [0, 1] and pairs.after[:, 0, 0, 0].tolist() == [1, 2]


def test_labelled_keys_show_every_key():
    pairs, keys = labelled_keys(range(9_000_000, 9_000_003), 60)
    assert len(pairs) == len(keys) == 60
    assert torch.equal(action_vectors()[keys], pairs.actions)
    assert torch.bincount(keys, minlength=9).min() >= 1


def test_too_few_episodes_are_said(tmp_path, recording):
    config = replace(TINY, pairs=PairsConfig(source=str(recording), rooms=2, validation=2))
    with pytest.raises(ValueError, match="expected more episodes than pairs.validation=2"):
        train(config, tmp_path)


@pytest.mark.parametrize("labelled", [5, 101])
def test_more_than_a_hundred_labels_are_refused(labelled):
    with pytest.raises(ValueError, match="pairs.labelled: expected 10…100"):
        LatentTraining(pairs=PairsConfig(labelled=labelled))


def test_the_command_says_what_is_wrong(capsys, tmp_path):
    assert main(["train-latent-actions", "--pairs.source", str(tmp_path), "--out", str(tmp_path / "run")]) == 2
    assert "expected a folder with a LeRobot dataset or with episodes" in capsys.readouterr().err


def test_empty_pairs_stay_empty():
    nothing = Pairs.of(torch.zeros(0, 3, 32, 32), torch.zeros(0, 3, 32, 32), torch.zeros(0, 4), torch.zeros(0))
    assert len(nothing) == 0
