"""Causality, action timing and the cache of the video network, on random (not zero-initialised) weights."""

from dataclasses import replace

import torch
from small_core import SMALL, clip, network, one

from hybridwm.core.blocks import Block
from hybridwm.core.clip import Conditions, Page, RememberedTokens, Sight
from hybridwm.core.network import VideoNetwork


@torch.no_grad()
def test_the_future_does_not_reach_the_past():
    net, (noisy, told) = network(), clip(6)
    before = net(noisy, told).frames
    changed = noisy.clone()
    changed[:, 4:] += 1
    after = net(changed, told).frames
    assert torch.equal(before[:, :4], after[:, :4])
    assert (before[:, 4:] - after[:, 4:]).abs().max() > 1e-2


@torch.no_grad()
def test_an_action_enters_its_own_frame_and_no_earlier_one():
    """conditions.actions[:, i] led to frame i: it changes frame i, and frames before it stay bitwise equal."""
    net, (noisy, told) = network(), clip(6)
    before = net(noisy, told).frames
    actions = told.actions.clone()
    actions[:, 3] += 1
    after = net(noisy, replace(told, actions=actions)).frames
    assert torch.equal(before[:, :3], after[:, :3])
    assert (before[:, 3] - after[:, 3]).abs().max() > 1e-3


@torch.no_grad()
def test_frames_beyond_the_window_are_seen_only_through_others():
    """With one temporal layer the window is exact: frame 6 sees nothing of frame 1 through a window of 3."""
    config = replace(SMALL, depth=2)
    net, (noisy, told) = network(config), clip(7, config)
    before = net(noisy, told).frames
    changed = noisy.clone()
    changed[:, 1] += 1
    after = net(changed, told).frames
    # frame 2 was shown frame 1, carried to where it is; frame 5 sees frame 2, and frame 6 does not
    assert torch.equal(before[:, 6], after[:, 6])
    assert (before[:, 5] - after[:, 5]).abs().max() > 1e-4


def written(net: VideoNetwork, noisy, told, first: int, upto: int) -> tuple[Page, ...]:
    pages: tuple[Page, ...] = ()
    for i in range(upto):
        page = net.write(noisy[:, i : i + 1], one(told, i), pages, t=float(told.t[0, i]), step=first + i)
        pages = (*pages, page)[-SMALL.window :]
    return pages


@torch.no_grad()
def test_cached_steps_equal_the_full_forward():
    """Row 7: one frame at a time over pages, and the whole clip at once, agree to 1e-4; also after the cache rolled."""
    for first in (0, 5000):
        net, (noisy, told) = network(), clip(12, first=first)
        full = net(noisy, told).frames
        for i in range(12):
            frame = net(noisy[:, i : i + 1], one(told, i), pages=written(net, noisy, told, first, i)).frames
            assert (frame[:, 0] - full[:, i]).abs().max() <= 1e-4, (first, i)


@torch.no_grad()
def test_a_wrong_rotary_offset_would_show():
    """The control of the test above: pages written one step off do not agree."""
    net, (noisy, told) = network(), clip(6)
    full = net(noisy, told).frames
    late = replace(told, steps=told.steps + torch.arange(6) // 3)
    frame = net(noisy[:, 5:], one(told, 5), pages=written(net, noisy, late, 0, 5)).frames
    assert (frame[:, 0] - full[:, 5]).abs().max() > 1e-3


@torch.no_grad()
def test_pages_and_a_clip_beside_each_other():
    """Two frames at once after three pages are what they are in the whole clip."""
    net, (noisy, told) = network(), clip(5)
    full = net(noisy, told).frames
    late = Conditions.joined([one(told, 3), one(told, 4)])
    both = net(noisy[:, 3:], late, Sight.causal(1, 3, 2, SMALL.window), written(net, noisy, told, 0, 3)).frames
    assert (both - full[:, 3:]).abs().max() <= 1e-4


@torch.no_grad()
def test_only_the_difference_of_steps_matters():
    net = network()
    early, late = net(*clip(5, first=0)).frames, net(*clip(5, first=100_000)).frames
    assert (early - late).abs().max() < 1e-4


@torch.no_grad()
def test_output_is_zero_and_blocks_are_identity_at_initialisation():
    torch.manual_seed(0)
    net = VideoNetwork(SMALL)
    noisy, told = clip(3)
    assert net(noisy, told).frames.abs().max() == 0
    x = torch.randn(1, 3, SMALL.tokens, SMALL.dim)
    rotary = (torch.ones(1, 3, SMALL.tokens, 8), torch.zeros(1, 3, SMALL.tokens, 8))
    for block in net.blocks:
        assert isinstance(block, Block)
        y, _ = block(x, torch.randn(1, 3, SMALL.dim), rotary, Sight.causal(1, 0, 3, 3), None, None)
        assert torch.equal(x, y)


@torch.no_grad()
def test_recall_without_alpha_adds_no_colour():
    """The head's way round the tokens is weighted by alpha: where the scene knows nothing it gives nothing."""
    net, (noisy, told) = network(), clip(1)
    recall = told.recall.clone()
    recall[:, :, SMALL.channels : SMALL.channels + SMALL.eyes] = 0
    pixels = SMALL.patch**2
    net.embed_frame.weight[:, SMALL.channels * pixels : (SMALL.channels + SMALL.recall_channels) * pixels] = 0
    a = net(noisy, replace(told, recall=recall)).frames
    recall[:, :, : SMALL.channels] += 1
    b = net(noisy, replace(told, recall=recall)).frames
    assert torch.equal(a, b)


@torch.no_grad()
def test_remembered_patches_reach_the_last_frames_only():
    net, (noisy, told) = network(), clip(4)
    g = torch.Generator().manual_seed(5)
    patches = torch.randn(1, 10, SMALL.channels * SMALL.patch**2, generator=g)
    shown = RememberedTokens(patches, torch.randn(1, 2, 10, 6, generator=g), torch.ones(1, 10, dtype=torch.bool))
    none, some = net(noisy, told).frames, net(noisy, replace(told, remembered=shown)).frames
    assert torch.equal(none[:, :2], some[:, :2])
    assert (none[:, 2:] - some[:, 2:]).abs().amax((0, 2, 3, 4)).min() > 1e-3
    hidden = replace(shown, visible=shown.visible & (torch.arange(10) < 5))
    moved = replace(hidden, patches=patches + (torch.arange(10) >= 5)[:, None])
    a, b = (net(noisy, replace(told, remembered=each)).frames for each in (hidden, moved))
    assert torch.equal(a, b)
