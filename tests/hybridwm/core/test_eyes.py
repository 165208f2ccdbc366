"""Eyes with tokens of their own: causal, cached as uncached, and telling each other of the same rows only."""

from dataclasses import replace

import pytest
import torch
from small_core import SMALL, clip, network, one

from hybridwm.cli.beginnings import from_room
from hybridwm.core.clip import Page, RememberedTokens
from hybridwm.core.conditioning import Recalled
from hybridwm.core.config import CoreConfig
from hybridwm.core.embeddings import patchify
from hybridwm.core.eyes import fold, from_page, to_page, unfold
from hybridwm.core.network import VideoNetwork
from hybridwm.core.video_core import VideoCore
from hybridwm.training.config import EpisodesConfig, TrainConfig
from hybridwm.training.train import train
from hybridwm.world_model import imagine, load
from render import Camera

ROWS = replace(SMALL, cross_eye="rows")


def test_folding_and_pages_are_inverse():
    frames = torch.randn(3, 2, 2, 5, 4)
    assert torch.equal(unfold(fold(frames)), frames)
    assert torch.equal(fold(frames)[3], frames[1, :, 1])
    keys = torch.randn(4, 6, 2, 5, 8)  # layers, both eyes of three clips
    pages = to_page(keys)
    assert pages.shape == (4, 3, 2, 10, 8)
    assert torch.equal(from_page(torch.stack([pages[1], pages[2]], 1)), torch.stack([keys[1], keys[2]], 1))


@torch.no_grad()
def test_the_future_does_not_reach_the_past():
    net, (noisy, told) = network(ROWS), clip(6)
    before = net(noisy, told).frames
    changed = noisy.clone()
    changed[:, 4:] += 1
    after = net(changed, told).frames
    assert torch.equal(before[:, :4], after[:, :4])
    assert (before[:, 4:] - after[:, 4:]).abs().max() > 1e-2


@torch.no_grad()
def test_cached_steps_equal_the_full_forward():
    net, (noisy, told) = network(ROWS), clip(6)
    whole = net(noisy, told).frames
    pages: tuple[Page, ...] = ()
    for i in range(6):
        frame = net(noisy[:, i : i + 1], one(told, i), pages=pages).frames
        assert torch.allclose(frame[:, 0], whole[:, i], atol=1e-4)
        page = net.write(noisy[:, i : i + 1], one(told, i), pages, t=float(told.t[0, i]), step=i)
        pages = (*pages, page)[-ROWS.window :]
    n = ROWS.tokens
    assert pages[0].keys.shape == (2, 1, ROWS.heads, 2 * n, ROWS.dim // ROWS.heads)


def edited(net: VideoNetwork, row: int, eye: int) -> torch.Tensor:
    """By how much each row of patches of each eye [E, rows] changes when a row of one eye does, in one frame."""
    noisy, told = clip(1)
    told = replace(told, recall=torch.zeros_like(told.recall))
    changed = noisy.clone()
    changed[:, :, 3 * eye : 3 * eye + 3, 8 * row : 8 * row + 8] += 1
    difference = (net(changed, told).frames - net(noisy, told).frames).abs()[0, 0]
    return difference.view(2, 3, SMALL.height // 8, 8, SMALL.width).amax((1, 3, 4))


@torch.no_grad()
@pytest.mark.parametrize("eye", [0, 1])
def test_in_one_block_an_eye_tells_the_other_of_the_same_rows_only(eye):
    net = network(replace(ROWS, depth=1))
    there = edited(net, 2, eye)[1 - eye]
    assert there[2] > 1e-4 and torch.equal(there[[0, 1, 3]], torch.zeros(3))
    # its own rows, by the attention of its own frame, are all told
    assert (edited(net, 2, eye)[eye] > 0).all()
    # control: without the attention across eyes nothing arrives
    for block in net.blocks:
        block.cross_eye = None
    assert (edited(net, 2, eye)[1 - eye] == 0).all()
    # and in a core whose tokens carry both eyes it arrives in every row
    assert (edited(network(replace(SMALL, depth=1)), 2, eye)[1 - eye] > 0).all()


@torch.no_grad()
def test_across_eyes_nothing_is_told_before_training():
    torch.manual_seed(0)
    net = VideoNetwork(replace(ROWS, depth=2))
    for name, parameter in net.named_parameters():
        if ".cross_eye.modulation" not in name:
            parameter.add_(0.05 * torch.randn_like(parameter))
    assert (edited(net, 1, 1)[0] == 0).all() and (edited(net, 1, 1)[1] > 0).any()


@torch.no_grad()
def test_each_eye_reads_its_own_part_of_what_is_recalled():
    net = network(replace(ROWS, depth=1))
    for block in net.blocks:
        block.cross_eye = None
    noisy, told = clip(1)
    before = net(noisy, told).frames
    c = SMALL.channels
    # colours of the right eye; its alpha; its observed share
    for channel in (3, c + 1, c + 3):
        recall = told.recall.clone()
        recall[:, :, channel] += 0.5
        difference = (net(noisy, replace(told, recall=recall)).frames - before).abs()[0, 0]
        assert (difference[:3] == 0).all() and difference[3:].max() > 1e-4


@torch.no_grad()
def test_gradients_reach_the_attention_across_eyes_and_a_rollout_runs():
    with torch.enable_grad():
        net, (noisy, told) = network(ROWS), clip(3)
        remembered = RememberedTokens(
            patchify(torch.randn(1, 6, 16, 16), 8), torch.randn(1, 3, 4, 6), torch.ones(1, 4, dtype=torch.bool)
        )
        net(noisy, replace(told, remembered=remembered)).frames.square().mean().backward()
    missing = [name for name, parameter in net.named_parameters() if parameter.grad is None]
    assert not missing
    core = VideoCore(replace(ROWS, vectors=(("felt", 2),)))
    camera = Camera.from_fov(ROWS.width, ROWS.height, 70, torch.eye(4))
    context = core.begin(camera, 0, baseline=0.3)
    for _ in range(2):
        frame, vectors = core.imagine_all(context, Recalled(), camera, torch.zeros(4))
        context = core.remember(context, frame, camera, torch.zeros(4), vectors=vectors)
    assert frame.shape == ROWS.shape and vectors["felt"].shape == (2,)
    assert core.sample(context, [Recalled()] * 2, [camera] * 2, torch.zeros(2, 4)).shape == (2, *ROWS.shape)


def test_it_trains_and_dreams_in_a_scene(tmp_path):
    core = CoreConfig(height=16, width=24, dim=24, depth=2, heads=3, window=2, cross_eye="rows")
    config = TrainConfig(
        name="apart",
        core=core,
        episodes=EpisodesConfig(episodes=2, validation=1, steps=6, batch=3),
        steps=2,
        batch=2,
        clip=4,
        warm_up=1,
        validate_every=2,
        shortcut=0.5,
        own_rollouts=1.0,
        remembered=1.0,
        device="cpu",
        threads=1,
    )
    world = load(train(config, tmp_path), memory="splat", depth="stereo")
    assert world.core.config == core
    rollout = imagine(world, world.start(from_room(10_000_001, 2, 24, 16, {}).views, seed=0), ["forward"])
    assert rollout.frames.shape == (1, 16, 24, 3) and rollout.right is not None
    assert torch.isfinite(rollout.frames).all()


def test_one_eye_has_no_other():
    with pytest.raises(ValueError, match="expected 'channels' for one eye"):
        CoreConfig(eyes=1, cross_eye="rows")
