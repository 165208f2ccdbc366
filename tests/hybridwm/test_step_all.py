"""Several dreams in one step: each as if alone, whatever their ages, and each a value of its own."""

import pytest
import torch

from hybridwm.core.config import CoreConfig
from hybridwm.core.guidance import HistoryGuidance
from hybridwm.core.video_core import VideoCore
from hybridwm.memory import make_memory
from hybridwm.world_model import WorldModel
from hybridwm.worlds.collection import walk_rooms
from hybridwm.worlds.rooms import RoomsRig

CONFIG = CoreConfig(height=32, width=32, dim=24, depth=4, heads=3, window=2, vectors=(("felt", 2),))
ACTIONS = ["left", "forward", "look_up"]


@pytest.fixture(scope="module")
def core():
    torch.manual_seed(0)
    core = VideoCore(CONFIG)
    with torch.no_grad():
        for parameter in core.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return core


@pytest.fixture(scope="module")
def beginnings():
    """Three rooms; the last beginning is a single view, so its context has fewer pages than the others'."""
    walks = walk_rooms([3, 4, 5], 4, RoomsRig(size=32))
    return [walk.views()[:n] for walk, n in zip(walks, (4, 3, 1), strict=True)]


def starts(model, beginnings):
    told = [[{"felt": torch.full((2,), 0.1 * i)}] * len(views) for i, views in enumerate(beginnings)]
    return [model.start(views, seed=i, vectors=told[i]) for i, views in enumerate(beginnings)]


ARMS = [("recent", None), ("none", None), ("retrieved", None), ("splat", "stereo")]


@pytest.mark.parametrize(("memory", "depth"), ARMS)
def test_a_batch_equals_single_steps(core, beginnings, memory, depth):
    model = WorldModel(core, make_memory(memory, eyes=2), depth=depth, solver_steps=2)
    states = starts(model, beginnings)
    alone = list(states)
    for _ in range(3):
        together = model.step_all(states, ACTIONS)
        single = [model.step(state, action) for state, action in zip(alone, ACTIONS, strict=True)]
        states, alone = [s for s, _ in together], [s for s, _ in single]
        for (state, frame), (other, one) in zip(together, single, strict=True):
            assert (frame.image - one.image).abs().max() <= 1.01 / 255 and frame.right is not None
            assert torch.allclose(frame.vectors["felt"], one.vectors["felt"], atol=1e-4)
            assert state.steps == other.steps and torch.equal(state.camera.w2c, other.camera.w2c)
            assert [page.step for page in state.context.pages] == [page.step for page in other.context.pages]


def test_order_and_company_do_not_matter(core, beginnings):
    """The control: with the actions of another dream a frame does change."""
    model = WorldModel(core, make_memory("recent", eyes=2))
    states = starts(model, beginnings)
    forth = [frame.image for _, frame in model.step_all(states, ACTIONS)]
    back = [frame.image for _, frame in model.step_all(states[::-1], ACTIONS[::-1])][::-1]
    assert all((a - b).abs().max() <= 1.01 / 255 for a, b in zip(forth, back, strict=True))
    other = [frame.image for _, frame in model.step_all(states, ["right", "back", "look_down"])]
    assert all((a - b).abs().max() > 2 / 255 for a, b in zip(forth, other, strict=True))


def test_a_state_out_of_a_batch_goes_on_alone_and_leaves_its_company_alone(core, beginnings):
    model = WorldModel(core, make_memory("recent", eyes=2))
    (first, _), (second, _), _ = model.step_all(starts(model, beginnings), ACTIONS)
    kept = second.context.pages[-1].keys.clone()
    assert first.context.pages[-1].keys.shape[1] == 1
    assert first.context.pages[-1].keys.data_ptr() != second.context.pages[-1].keys.data_ptr()
    model.step(first, "forward")
    assert torch.equal(second.context.pages[-1].keys, kept)


def test_guidance_is_given_to_all_of_a_batch(core, beginnings):
    guidance = HistoryGuidance.fractional(1.5, 0.3)
    model = WorldModel(core, make_memory("recent", eyes=2), guidance=guidance)
    states = starts(model, beginnings)
    together = model.step_all(states, ACTIONS)
    for (_, frame), state, action in zip(together, states, ACTIONS, strict=True):
        assert (frame.image - model.step(state, action)[1].image).abs().max() <= 1.01 / 255
