"""The last layers of the head: none at first, each eye for itself, across the seams of patches."""

from dataclasses import replace

import pytest
import torch

from hybridwm.core.clip import Conditions
from hybridwm.core.config import CoreConfig
from hybridwm.core.finish import Finish
from hybridwm.core.network import VideoNetwork

CORE = CoreConfig(height=16, width=32, patch=8, dim=24, depth=2, heads=3, window=2, finish=16)


def conditions(core: CoreConfig, frames: int = 1) -> Conditions:
    generator = torch.Generator().manual_seed(4)
    h, w = core.height, core.width
    K = torch.tensor([[w * 0.6, 0, w / 2], [0, w * 0.6, h / 2], [0, 0, 1]])
    return Conditions(
        t=torch.full((1, frames), 0.7),
        level=torch.zeros(1, frames, dtype=torch.long),
        steps=torch.arange(frames)[None],
        actions=torch.rand(1, frames, core.action_dim, generator=generator),
        K=K.expand(1, frames, 3, 3),
        motion=torch.eye(4).expand(1, frames, core.eyes, 4, 4),
        recall=torch.rand(1, frames, core.recall_channels, h, w, generator=generator),
        has_recall=torch.ones(1, frames, dtype=torch.bool),
    )


def noisy(core: CoreConfig, frames: int = 1):
    return torch.randn(1, frames, core.channels, core.height, core.width, generator=torch.Generator().manual_seed(5))


def network(core: CoreConfig, *, trained: bool) -> VideoNetwork:
    torch.manual_seed(0)
    made = VideoNetwork(core)
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if trained or "finish.out" not in name and "finish.modulation" not in name:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return made.eval()


@torch.no_grad()
def drawn() -> Finish:
    """Layers of random weights, for two trusts."""
    layers = Finish(CORE, 2)
    for parameter in layers.parameters():
        parameter.copy_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(6)))
    return layers


@torch.no_grad()
@pytest.mark.parametrize("change", [{}, {"eyes": 1}, {"cross_eye": "rows"}, {"eyes": 1, "eye_channels": 4}])
def test_untrained_layers_change_nothing_and_trained_ones_do(change):
    core = replace(CORE, **change)
    for trained in (False, True):
        whole = network(core, trained=trained)
        without = VideoNetwork(replace(core, finish=0)).eval()
        without.load_state_dict({k: v for k, v in whole.state_dict().items() if not k.startswith("finish.")})
        a, b = (each(noisy(core), conditions(core)).frames for each in (whole, without))
        assert torch.equal(a, b) is not trained


@torch.no_grad()
def test_pixels_are_told_of_their_neighbours_across_patches_but_not_of_the_other_eye():
    layers = drawn()
    planes = torch.randn(1, 1, 2, 19, 16, 32, generator=torch.Generator().manual_seed(7))
    c = torch.randn(1, 1, CORE.dim, generator=torch.Generator().manual_seed(8))
    other = planes.clone()
    other[0, 0, 0, :, 4, 7] += 1  # the last column of a patch
    changed = (layers(planes, c) != layers(other, c)).any(3)[0, 0]
    assert changed[0, 4, 8:12].all()
    assert not changed[0, :, 16:].any()
    assert not changed[1].any()


@torch.no_grad()
def test_each_frame_is_finished_by_its_own_modulation():
    layers = drawn()
    planes = torch.randn(1, 2, 2, 19, 16, 32, generator=torch.Generator().manual_seed(7))
    c = torch.randn(1, 2, CORE.dim, generator=torch.Generator().manual_seed(8))
    other = c.clone()
    other[0, 1] += 1
    a, b = layers(planes, c), layers(planes, other)
    assert torch.equal(a[0, 0], b[0, 0])
    assert ((a[0, 1] - b[0, 1]).abs().amax((1, 2, 3)) > 1e-3).all()  # of both eyes


@torch.no_grad()
@pytest.mark.parametrize("t", [1.0, 0.7, 0.0])
def test_the_noisy_frame_is_shown_as_far_as_it_tells_of_the_clean_one(t):
    """Shown pure noise, the layers let it through into samples of one step."""
    model, shown = network(CORE, trained=True), []
    assert model.finish is not None
    model.finish.register_forward_pre_hook(lambda _, given: shown.append(given[0]))
    told = conditions(CORE)
    model(noisy(CORE), replace(told, t=torch.full_like(told.t, t)))
    expected = (1 - t) * noisy(CORE).view(1, 1, 2, 3, 16, 32)
    torch.testing.assert_close(shown[0][:, :, :, :3], expected)


@torch.no_grad()
def test_the_frames_of_a_clip_are_finished_as_each_alone():
    core = replace(CORE, window=0)
    model = network(core, trained=True)
    frames, told = noisy(core, 3), conditions(core, 3)
    together = model(frames, told).frames
    last = Conditions(**{k: v[:, 2:] for k, v in vars(told).items() if v is not None})
    torch.testing.assert_close(together[:, 2:], model(frames[:, 2:], last).frames, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_patches_of_odd_sides_are_finished_at_full_resolution():
    core = replace(CORE, height=15, width=30, patch=5)
    assert network(core, trained=True)(noisy(core), conditions(core)).frames.shape == (1, 1, 6, 15, 30)
