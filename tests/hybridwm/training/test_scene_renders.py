"""Clips with the renders of use: those of the scene, before each frame is known, the same when made again."""

from dataclasses import replace

import pytest
import torch

from hybridwm.core.config import CoreConfig
from hybridwm.training import scene_renders
from hybridwm.training.clips import make_batch, step_generator
from hybridwm.training.config import EpisodesConfig, RecallConfig, TrainConfig
from hybridwm.training.episodes import make_episodes
from hybridwm.training.scene_renders import load_or_make_renders
from hybridwm.worlds.rooms.rig import RoomsRig

CPU = torch.device("cpu")
CONFIG = TrainConfig(
    core=CoreConfig(dim=24, depth=2, heads=3, window=2),
    episodes=EpisodesConfig(episodes=3, validation=0, steps=24),
    recall=RecallConfig(rendered=1.0, drop=0.0, wrong=0.0, imagined=0.0),
    batch=6,
    clip=4,
)
RIG = RoomsRig()


@pytest.fixture(scope="module")
def walks():
    return make_episodes([9_000_001, 9_000_002, 9_000_003], 24, RIG, CPU)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("scenes")


@pytest.fixture(scope="module")
def renders(walks, folder):
    return load_or_make_renders(folder, walks, CONFIG, RIG, quiet=True)


def errors(renders, walks):
    """Of rendered colours where the scene covers, over frames that have such places; the share it covers."""
    gaps, shares = [], []
    for walk in range(3):
        begin = int(renders.start[walk])
        truth = walks.rgb[walk, begin : begin + 4].float().movedim(-1, 2).flatten(1, 2) / 127.5 - 1
        shown = renders.recall[walk].float()
        covered = (shown[:, 6:8] > 0.5).repeat_interleave(3, 1)
        gaps.append((shown[:, :6] - truth)[covered] / 2)
        shares.append(covered.float().mean((1, 2, 3)))
    return torch.cat(gaps).square().mean(), torch.stack(shares)


def test_both_eyes_see_the_scene_where_it_covers_and_it_grows_with_the_clip(renders, walks):
    assert renders.recall.shape == (3, 4, 10, 64, 64)
    error, shares = errors(renders, walks)
    assert -10 * error.log10() > 20
    assert (shares[:, 1:] > 0.3).all()
    # a frame is rendered before it is fused: what it shows for the first time is not there yet
    assert shares.max() < 1


def test_they_are_a_function_of_walks_and_seed_and_made_once(renders, walks, folder, tmp_path, monkeypatch):
    again = load_or_make_renders(tmp_path, walks, CONFIG, RIG, quiet=True)
    assert torch.equal(again.recall, renders.recall) and torch.equal(again.start, renders.start)
    shared = load_or_make_renders(folder, walks, replace(CONFIG, seed=1), RIG, quiet=True)
    assert torch.equal(shared.recall, renders.recall), "runs of other training seeds share them"
    monkeypatch.setattr(scene_renders, "_clip", lambda *_: pytest.fail("made again"))
    assert torch.equal(load_or_make_renders(folder, walks, CONFIG, RIG, quiet=True).recall, renders.recall)


def test_wrong_splats_and_imagined_frames_make_them_worse(renders, walks, tmp_path):
    recall = replace(CONFIG.recall, wrong=0.5, imagined=1.0)
    worse = load_or_make_renders(tmp_path, walks, replace(CONFIG, recall=recall), RIG, quiet=True)
    assert errors(worse, walks)[0] > 1.2 * errors(renders, walks)[0]
    # the second eye's observed share: imagined frames lower it
    assert worse.recall[:, 3, 8:].float().mean() < renders.recall[:, 3, 8:].float().mean()


def test_a_batch_takes_the_clips_that_were_rendered(renders, walks):
    batch = make_batch(walks, CONFIG, RIG, step_generator(0, 0, CPU), renders=renders)
    told = batch.conditions.recall[:, 4:]
    for clip in range(6):
        walk = [(told[clip] == renders.recall[w].float()).all() for w in range(3)].index(True)
        frames = renders.start[walk] + torch.arange(4)
        assert torch.equal(batch.clean[clip], walks.video(torch.tensor([walk]), frames[None], CONFIG.core)[0])
    without = replace(CONFIG, recall=replace(CONFIG.recall, rendered=0.0))
    none = make_batch(walks, without, RIG, step_generator(0, 0, CPU), renders=renders)
    assert not any(torch.equal(none.conditions.recall[0, 4:], each.float()) for each in renders.recall)


def test_shards_of_another_configuration_and_cores_of_one_eye_are_refused(renders, walks, folder):
    with pytest.raises(ValueError, match="expected scenes of"):
        load_or_make_renders(folder, walks, replace(CONFIG, clip=5), RIG, quiet=True)
    for other in (
        replace(CONFIG, recall=replace(CONFIG.recall, wrong=0.1)),
        replace(CONFIG, episodes=replace(CONFIG.episodes, first_seed=5)),
    ):
        with pytest.raises(ValueError, match="found another configuration's"):
            load_or_make_renders(folder, walks, other, RIG, quiet=True)
    with pytest.raises(ValueError, match=r"rendered: expected 0 for a core of one eye"):
        replace(CONFIG, core=replace(CONFIG.core, eyes=1))


def test_walls_that_stereo_cannot_measure_make_empty_renders(walks, tmp_path):
    blank = replace(walks, rgb=torch.full_like(walks.rgb, 128))
    wrong = replace(CONFIG, recall=replace(CONFIG.recall, wrong=0.5))
    renders = load_or_make_renders(tmp_path, blank, wrong, RIG, quiet=True)
    assert float(renders.recall[:, :, 6:8].max()) < 0.5
