"""Episodes of Doom: cameras and depth reproject, the seed decides, players play."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hybridwm.worlds.doom.env import NAMES
from hybridwm.worlds.doom.players import INVERSE, NEAR, Player
from hybridwm.worlds.episodes import load_episode, save_episode
from hybridwm.worlds.reprojection import reproject_episode

SEEDS = (1, 2)


@pytest.fixture(scope="module")
def episodes():
    pytest.importorskip("vizdoom", reason="vizdoom is not installed: pip install 'hybridwm[doom]'")
    from hybridwm.worlds.doom.collection import play_episode

    return [play_episode(seed, 32, 64) for seed in SEEDS]


def test_cameras_and_depth_reproject(episodes):
    """1 px and 2 % on 95 % of co-visible pixels, from frame to frame and over six frames."""
    for episode in episodes:
        near, far = reproject_episode(episode), reproject_episode(episode, gap=6)
        assert near.agreeing > 0.99 and near.covisible > 0.6 and near.pixels > 50_000
        assert far.agreeing > 0.97 and far.pixels > 10_000


def test_wrong_cameras_do_not(episodes):
    for episode in episodes:
        late = replace(episode, w2c=torch.cat([episode.w2c[:1], episode.w2c[:-1]]))
        assert reproject_episode(late).agreeing < 0.9
        K = episode.K.clone()
        K[0, 0], K[1, 1] = K[0, 0] * 0.8, K[1, 1] * 0.8
        assert min(reproject_episode(replace(episode, K=K), gap=gap).agreeing for gap in (1, 3)) < 0.9


def test_an_episode_is_whole(episodes, tmp_path):
    episode = episodes[0]
    assert len(episode) == 32 and episode.world == "doom" and episode.seed == 1 and episode.fps == 8.75
    assert episode.proprio.shape == (32, 4) and episode.touch.shape == (32, 1) and episode.right is None
    assert episode.depth.min() > 0 and bool((episode.w2c[:, 1, 2] == -1).all())  # upright
    save_episode(episode, tmp_path / "e.safetensors")
    assert torch.equal(load_episode(tmp_path / "e.safetensors").rgb, episode.rgb)


def test_seeds_differ_and_repeat(episodes):
    from hybridwm.worlds.doom.collection import play_episode

    again = play_episode(2, 24, 64)
    assert torch.equal(again.rgb, episodes[1].rgb[:24]) and torch.equal(again.actions, episodes[1].actions[:23])
    starts = {tuple(e.w2c[0].flatten().tolist()) for e in episodes}
    assert len(starts) == len(SEEDS)


def test_too_short_a_game_is_refused_in_the_end():
    pytest.importorskip("vizdoom", reason="vizdoom is not installed: pip install 'hybridwm[doom]'")
    from hybridwm.worlds.doom import collection

    with pytest.raises(ValueError, match="at least 2 frames"):
        collection.play_episode(0, 1, 32)


def test_players_turn_before_walls_and_leave_little_to_chance():
    """In front of a wall nobody who wanders goes on; chance has at most 30 % of the steps."""
    player, wall, field = Player(5), np.full((64, 64), NEAR / 2, np.float32), np.full((64, 64), 9, np.float32)
    kinds, made = [], []
    for step in range(600):
        before = player.behaviour
        made.append(player.act(wall if step % 2 else field))
        kinds.append(player.behaviour)
        if step % 2 and player.behaviour == before == "wander":
            assert made[-1] != NAMES.index("forward")
    assert np.mean([kind == "chance" for kind in kinds]) < 0.3 and len(set(kinds)) == 5
    again = Player(5)
    assert made == [again.act(wall if step % 2 else field) for step in range(600)]
    assert made != [Player(6).act(field) for _ in range(600)]


def test_out_and_back_undoes_itself():
    player, field = Player(0), np.full((32, 32), 9, np.float32)
    made = []
    while len(made) < 24:
        action = player.act(field)
        if player.behaviour == "out_and_back":
            made.append(action)
    assert [INVERSE[action] for action in made[:12]] == made[12:][::-1]
