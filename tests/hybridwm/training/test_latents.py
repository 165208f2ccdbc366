"""A core of latents, from training on: walks are encoded once, and the loop runs on the decoded frames."""

import sys
from pathlib import Path

import pytest
import torch

import hybridwm
from hybridwm.core.codec import codec_for, encode_eyes
from hybridwm.core.conditioning import Remembered, remembered_tokens
from hybridwm.core.config import CoreConfig
from hybridwm.training.clips import make_batch, step_generator
from hybridwm.training.config import EpisodesConfig, TrainConfig
from hybridwm.training.episodes import make_episodes
from hybridwm.training.remembering import remembered_tokens as trained_tokens
from hybridwm.training.train import train
from hybridwm.worlds.rooms.rig import RoomsRig
from recon import View

sys.path.insert(0, str(Path(__file__).parents[1] / "core"))
from latent_models import save_autoencoder  # noqa: E402

LATENT = CoreConfig(height=16, width=16, eye_channels=4, factor=2, patch=4, dim=24, depth=2, heads=3, window=2)
RIG = RoomsRig(size=32)


@pytest.fixture(scope="module", params=["AutoencoderKL", "AutoencoderTiny"])
def folder(request, tmp_path_factory):
    return save_autoencoder(request.param, tmp_path_factory.mktemp("autoencoder"))


@pytest.fixture(scope="module")
def walks():
    return make_episodes([3, 4, 5], 8, RIG, torch.device("cpu"))


def test_a_batch_is_of_latents_and_what_is_told_of_cameras_too(folder, walks):
    codec = codec_for(LATENT, str(folder))
    config = TrainConfig(core=LATENT, codec=str(folder), episodes=EpisodesConfig(steps=8), batch=2, clip=4)
    batch = make_batch(walks.encoded(codec), config, RIG, step_generator(0, 0, torch.device("cpu")))
    assert batch.clean.shape == (2, 4, 8, 16, 16) and batch.noisy.shape == (2, 8, 8, 16, 16)
    assert batch.conditions.recall.shape == (2, 8, LATENT.recall_channels, 16, 16)
    assert torch.allclose(batch.conditions.K[0, 0, 0, 0], torch.tensor(RIG.focal / 2))
    walk, frames = torch.tensor([1]), torch.tensor([[2, 3]])
    shown = walks.encoded(codec).video(walk, frames, LATENT)[0, 1]
    left, right = walks.rgb[1, 3].float() / 255
    assert torch.allclose(shown, encode_eyes(codec, left, right), atol=1e-2), "in half precision"


def test_training_remembers_frames_as_use_does(folder, walks):
    """Whole frames and small ones: patches of the same images, seen along the same rays."""
    codec, seen = codec_for(LATENT, str(folder)), set()
    walk, frames = torch.tensor([0]), torch.tensor([[1, 2]])  # frame 0 is all of the past
    to = RIG.camera(walks.w2c[0, 2])
    for seed in range(8):
        generator = torch.Generator().manual_seed(seed)
        told = trained_tokens(walks.encoded(codec), walk, frames, LATENT, RIG, generator)
        left, right = walks.rgb[0, 0].float() / 255
        camera = RIG.camera(walks.w2c[0, 0])
        if told.patches.shape[1] != 4 * 16:  # slots: (1/2, 3/8) of the size, down to a multiple of the patch
            size = (16, 8)
            left, right = torch.nn.functional.interpolate(
                torch.stack([left, right]).movedim(-1, 1), size, mode="area"
            ).movedim(1, -1)
            camera = camera.resized(size[1], size[0])
        used = remembered_tokens(
            [Remembered(left, camera, right)], to, LATENT, lambda a, b, depth: encode_eyes(codec, a, b)
        )
        n = used.patches.shape[1]
        seen.add(n)
        assert torch.allclose(told.patches[0, :n], used.patches[0], atol=1e-2)
        assert torch.allclose(told.rays[0, 1, :n], used.rays[0, 0], atol=1e-4)
    assert seen == {16, 2}


def test_a_core_of_latents_is_trained_loaded_started_stepped_and_grounded(folder, walks, tmp_path):
    config = TrainConfig(
        name="latent",
        core=LATENT,
        codec=str(folder),
        episodes=EpisodesConfig(episodes=2, validation=1, steps=8, batch=3),
        steps=4,
        batch=2,
        clip=4,
        warm_up=2,
        remembered=0.5,
        own_rollouts=0.5,
        validate_every=4,
        device="cpu",
        threads=1,
    )
    run = tmp_path / "run"
    train(config, run)
    assert list((run / "rollouts").glob("*.png"))
    views = []
    for i in range(4):
        left, right = walks.rgb[0, i].float() / 255
        views.append(View(left, RIG.camera(walks.w2c[0, i]), right=right, baseline=RIG.baseline))
    for memory in ("loopy" if "Tiny" in (folder / "config.json").read_text() else "retrieved", "splat"):
        depth = "stereo" if memory == "splat" else None
        world = hybridwm.load(run, memory=memory, depth=depth)
        state = world.start(views, seed=1)
        frames = []
        for action in ("forward", "left"):
            after, frame = world.step(state, action)
            assert torch.equal(world.step(state, action)[1].image, frame.image)
            assert frame.image.shape == (32, 32, 3) and frame.right is not None
            assert torch.equal((frame.image * 255).round() / 255, frame.image), "images are 8-bit"
            state = after
            frames.append(frame.image)
        assert (state.scene is not None and len(state.scene) > 0) == (memory == "splat")
        assert not torch.equal(*frames)
    blank = torch.zeros(16, 16, 3)
    small = View(blank, RIG.camera(torch.eye(4)).resized(16, 16), right=blank, baseline=RIG.baseline)
    with pytest.raises(ValueError, match="expected views of 32x32 .*; got 16x16"):
        world.start([small])
    moved = tmp_path / "elsewhere"
    folder.rename(moved)
    try:
        with pytest.raises(FileNotFoundError, match="expected a local folder"):
            hybridwm.load(run, memory="recent")
        again = hybridwm.load(run, codec=moved, memory="splat", depth="stereo")
        assert torch.equal(again.step(again.start(views, seed=1), "forward")[1].image, frames[0])
        kind = "AutoencoderTiny" if "Tiny" in (moved / "config.json").read_text() else "AutoencoderKL"
        other = save_autoencoder(kind, tmp_path / "other", scaling_factor=4.0)
        with pytest.raises(ValueError, match="makes other latents of a test picture"):
            hybridwm.load(run, codec=other, memory="recent")
    finally:
        moved.rename(folder)


def test_latents_without_a_scale_are_refused(tmp_path, walks):
    tiny = save_autoencoder("AutoencoderTiny", tmp_path / "tiny", scaling_factor=1e-3)
    with pytest.raises(ValueError, match="about unit variance; got a standard deviation of .*scaling_factor"):
        walks.encoded(codec_for(LATENT, str(tiny)))
