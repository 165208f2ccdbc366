"""Weights of recorded episodes at use: driven by the recording's own actions, from its own frames."""

import json
from dataclasses import replace

import pytest
import torch

import hybridwm as hw
from hybridwm.cli import main
from hybridwm.core.config import CoreConfig
from hybridwm.training.config import EpisodesConfig, RecallConfig, TrainConfig
from hybridwm.training.recorded import load_recorded
from hybridwm.training.train import train
from hybridwm.worlds.episodes import Episode, save_episode
from recon import View
from render import Camera

CORE = CoreConfig(height=16, width=16, eyes=1, patch=4, dim=32, depth=2, heads=2, window=2, action_dim=2)
MOVE = 200.0  # of whatever the recording counts in: one patch


def pushed(seed, frames=12):
    """A bright square that goes where it is pushed, before a camera that nobody knows."""
    generator = torch.Generator().manual_seed(seed)
    rgb = torch.full((frames, 16, 16, 3), 30, dtype=torch.uint8)
    place, actions = torch.randint(0, 4, (2,), generator=generator), torch.zeros(frames - 1, 2)
    for i in range(frames):
        if i:
            step = torch.randint(-1, 2, (2,), generator=generator)
            actions[i - 1] = step * MOVE
            place = (place + step).clamp(0, 3)
        rgb[i, 4 * place[0] : 4 * place[0] + 4, 4 * place[1] : 4 * place[1] + 4] = 230
    return Episode(rgb, None, None, actions, action_names=("down", "right"), fps=5.0, seed=seed)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recorded")
    for seed in range(40):
        save_episode(pushed(seed), folder / "episodes" / f"{seed:03d}.safetensors")
    episodes = EpisodesConfig(source=str(folder / "episodes"), body="still", steps=12, validation=2)
    config = TrainConfig(
        name="pushed", core=CORE, episodes=episodes, recall=RecallConfig(drop=1.0), steps=160, batch=16, clip=4,
        rate=4e-3, warm_up=10, ema=0.9, remembered=0.0, own_rollouts=0.0, validate_every=1000, threads=1, device="cpu",
    )  # fmt: skip
    return config, train(config, folder / "run"), folder


def test_what_drives_the_weights_is_what_they_were_trained_on(trained):
    config, weights, _ = trained
    world = hw.load(weights, memory="recent")
    recorded = load_recorded(config.episodes, CORE, recalls=False, quiet=True)
    assert world.body.names == ("down", "right")
    assert world.scale is not None
    assert torch.allclose(world.scale(pushed(0).actions[3]), recorded.walks.actions[0, 4], atol=1e-5)
    with pytest.raises(ValueError, match=r"2 finite numbers \(down, right\)"):
        world.body.read("forward")


def test_the_dream_goes_where_it_is_pushed(trained):
    """Action following: the frame that was pushed to is nearer to the truth than the frame of the opposite push."""
    _, weights, _ = trained
    world = hw.load(weights, memory="recent")
    K = torch.tensor([[16.0, 0, 8], [0, 16, 8], [0, 0, 1]])
    right = moved = 0
    for seed in range(10_000_000, 10_000_040):
        episode = pushed(seed, 8)
        views = [View(image, Camera(K, torch.eye(4), 16, 16)) for image in episode.rgb.float() / 255]
        state = world.start(views[:4], episode.actions[:3], seed=0)
        if torch.equal(episode.rgb[4], episode.rgb[3]):
            continue
        moved += 1
        told, opposite = (world.step(state, sign * episode.actions[3])[1].image for sign in (1, -1))
        truth = views[4].image
        right += bool((told - truth).square().mean() < (opposite - truth).square().mean())
    assert moved >= 20
    assert right >= 0.75 * moved  # of 27; a coin gets there once in 200


def test_start_views_need_their_actions(trained):
    world = hw.load(trained[1], memory="recent")
    view = View(torch.rand(16, 16, 3), Camera(torch.eye(3), torch.eye(4), 16, 16))
    with pytest.raises(ValueError, match="expected the actions between the views"):
        world.start([view, view])


def test_a_rollout_goes_on_as_the_recording_does(trained, tmp_path, capsys):
    _, weights, folder = trained
    out = tmp_path / "run"
    start = str(folder / "episodes" / "000.safetensors")
    given = ["rollout", "--weights", str(weights), "--memory", "recent", "--start", start, "--out", str(out)]
    assert main([*given, "--actions", "recorded", "--views", "4"]) == 0
    summary = json.loads((out / "summary.json").read_text())
    assert summary["frames"] == 8
    assert summary["psnr"]["first"] > 14
    assert "beside the truth" in capsys.readouterr().out
    assert main([*given, "--actions", "recorded", "--views", "8"]) == 0
    assert len(list((out / "frames").iterdir())) == 4, "what an earlier run made is gone"
    for arguments, message in (
        (["--actions", "w-2"], "numbers"),
        (["--actions", "recorded", "--views", "12"], "more than --views 12 frames"),
    ):
        assert main([*given[:-1], str(tmp_path / "other"), *arguments]) == 2
        assert message in " ".join(capsys.readouterr().err.split())


def test_a_recording_with_cameras_is_followed_by_them(tmp_path):
    from hybridwm.cli.beginnings import from_path

    w2c = torch.eye(4).repeat(6, 1, 1)
    w2c[:, 0, 3] = torch.arange(6)
    K = torch.tensor([[16.0, 0, 8], [0, 16, 8], [0, 0, 1]])
    path = tmp_path / "a.safetensors"
    save_episode(replace(pushed(1, 6), w2c=w2c, K=K), path)
    begun = from_path(path, 16, 16, 2, going_on=True)
    assert [float(camera.w2c[0, 3]) for camera in begun.ahead.cameras] == [2, 3, 4, 5]
    assert torch.equal(begun.led, pushed(1, 6).actions[:1])
    assert torch.equal(begun.ahead.actions, pushed(1, 6).actions[1:])
    assert torch.allclose(begun.ahead.frames[0], pushed(1, 6).rgb[2].float() / 255)
