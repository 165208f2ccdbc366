"""Causality, action timing and the cache of the video transformer, on random (not zero-initialised) weights."""

import torch

from hybridwm.core.config import CoreConfig
from hybridwm.core.transformer import Conditions, Page, Sight, VideoTransformer

SMALL = CoreConfig(height=32, width=48, dim=48, depth=4, heads=3, window=3)


def network(config: CoreConfig = SMALL, seed: int = 0) -> VideoTransformer:
    torch.manual_seed(seed)
    net = VideoTransformer(config)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return net.eval()


def clip(length: int, config: CoreConfig = SMALL, seed: int = 1, first: int = 0):
    g = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(shape, generator=g)

    patches = config.tokens - 1
    noisy = normal(1, length, config.channels, config.height, config.width)
    conditions = Conditions(
        t=torch.rand(1, length, generator=g),
        steps=torch.arange(first, first + length)[None],
        actions=0.2 * normal(1, length, config.action_dim),
        rays=normal(1, length, patches, 6),
        recall=torch.rand(1, length, config.recall_channels, config.height, config.width, generator=g),
        has_recall=torch.ones(1, length, dtype=torch.bool),
    )
    return noisy, conditions


def one(conditions: Conditions, i: int) -> Conditions:
    return Conditions(**{k: v[:, i : i + 1] for k, v in vars(conditions).items()})


@torch.no_grad()
def test_the_future_does_not_reach_the_past():
    net, (noisy, told) = network(), clip(6)
    before, _ = net(noisy, told)
    changed = noisy.clone()
    changed[:, 4:] += 1
    after, _ = net(changed, told)
    assert torch.equal(before[:, :4], after[:, :4])
    assert (before[:, 4:] - after[:, 4:]).abs().max() > 1e-2


@torch.no_grad()
def test_an_action_enters_its_own_frame_and_no_earlier_one():
    """conditions.actions[:, i] led to frame i: it changes frame i, and frames before it stay bitwise equal."""
    net, (noisy, told) = network(), clip(6)
    before, _ = net(noisy, told)
    actions = told.actions.clone()
    actions[:, 3] += 1
    after, _ = net(noisy, Conditions(**{**vars(told), "actions": actions}))
    assert torch.equal(before[:, :3], after[:, :3])
    assert (before[:, 3] - after[:, 3]).abs().max() > 1e-3


@torch.no_grad()
def test_frames_beyond_the_window_are_seen_only_through_others():
    """With one temporal layer the window is exact: frame 5 does not see frame 1 through a window of 3."""
    config = CoreConfig(height=32, width=48, dim=48, depth=2, heads=3, window=3)
    net, (noisy, told) = network(config), clip(6, config)
    before, _ = net(noisy, told)
    changed = noisy.clone()
    changed[:, 1] += 1
    after, _ = net(changed, told)
    assert torch.equal(before[:, 5], after[:, 5])
    assert (before[:, 4] - after[:, 4]).abs().max() > 1e-4


@torch.no_grad()
def test_cached_steps_equal_the_full_forward():
    """Row 7: one frame at a time over pages, and the whole clip at once, agree to 1e-4; also after the cache rolled."""
    for first in (0, 5000):
        net, (noisy, told) = network(), clip(12, first=first)
        full, _ = net(noisy, told)
        pages: tuple[Page, ...] = ()
        for i in range(12):
            frame, written = net(noisy[:, i : i + 1], one(told, i), pages=pages)
            assert (frame[:, 0] - full[:, i]).abs().max() <= 1e-4, (first, i)
            pages = (*pages, net.write_page(written, first + i))[-SMALL.window :]


@torch.no_grad()
def test_a_wrong_rotary_offset_would_show():
    """The control of the test above: pages written one step off do not agree."""
    net, (noisy, told) = network(), clip(6)
    full, _ = net(noisy, told)
    late = Conditions(**{**vars(told), "steps": told.steps + torch.arange(6) // 3})
    pages: tuple[Page, ...] = ()
    worst = 0.0
    for i in range(6):
        frame, written = net(noisy[:, i : i + 1], one(late, i), pages=pages)
        worst = max(worst, float((frame[:, 0] - full[:, i]).abs().max()))
        pages = (*pages, net.write_page(written, i))[-SMALL.window :]
    assert worst > 1e-3


@torch.no_grad()
def test_only_the_difference_of_steps_matters():
    net = network()
    early, _ = net(*clip(5, first=0))
    late, _ = net(*clip(5, first=100_000))
    assert (early - late).abs().max() < 1e-4


@torch.no_grad()
def test_output_is_zero_and_blocks_are_identity_at_initialisation():
    torch.manual_seed(0)
    net = VideoTransformer(SMALL)
    noisy, told = clip(3)
    assert net(noisy, told)[0].abs().max() == 0
    x = torch.randn(1, 3, SMALL.tokens, SMALL.dim)
    rotary = (torch.ones(1, 3, SMALL.tokens, 8), torch.zeros(1, 3, SMALL.tokens, 8))
    for block in net.blocks:
        y, _ = block(x, torch.randn(1, 3, SMALL.dim), rotary, Sight.causal(1, 3, 3), None)
        assert torch.equal(x, y)


@torch.no_grad()
def test_recall_without_alpha_adds_no_colour():
    """The head's way round the bottleneck is weighted by alpha: where the scene knows nothing it gives nothing."""
    net, (noisy, told) = network(), clip(1)
    recall = told.recall.clone()
    recall[:, :, SMALL.channels : SMALL.channels + SMALL.eyes] = 0
    net.embed_recall.weight.zero_()
    a, _ = net(noisy, Conditions(**{**vars(told), "recall": recall}))
    recall[:, :, : SMALL.channels] += 1
    b, _ = net(noisy, Conditions(**{**vars(told), "recall": recall}))
    assert torch.equal(a, b)
