"""What every memory owes: the protocol, states that nothing rewrites, and a size that a long rollout does not grow."""

from dataclasses import fields, is_dataclass, replace

import pytest
import torch

from hybridwm.core.conditioning import Recalled
from hybridwm.memory import MEMORIES, Memory, RetrievedMemory, RoutedMemory, make_memory
from recon import View
from render import Camera

KEEPING = [name for name in MEMORIES if name not in ("none", "recent")]


def tensors(value) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    if is_dataclass(value):
        return [t for field in fields(value) for t in tensors(getattr(value, field.name))]
    return [t for item in value for t in tensors(item)] if isinstance(value, tuple) else []


def observe(memory: Memory, state, view: View, step: int, observed: bool = True):
    recalled = memory.recall(state, view.camera, view.baseline) if memory.grounded else None
    return memory.observe(state, view, observed=observed, step=step, recalled=recalled)


@pytest.mark.parametrize("name", MEMORIES)
def test_each_memory_keeps_to_the_protocol(name, room_views):
    memory = make_memory(name, eyes=2)
    assert isinstance(memory, Memory)
    views = room_views(32, 7)
    state = memory.begin("cpu")
    assert memory.recall(state, views[0].camera, 0.3).frames == memory.recall(state, views[0].camera, 0.3).renders == ()
    for i, view in enumerate(views):
        state = observe(memory, state, view, i)
    recalled = memory.recall(state, views[0].camera, 0.3)
    assert isinstance(recalled, Recalled)
    assert len(recalled.renders) == (2 if memory.grounded else 0)
    assert all(render.rgb.shape == (32, 32, 3) for render in recalled.renders)
    assert bool(recalled.frames) == (name in ("loopy", "retrieved"))
    for frame in recalled.frames:
        assert frame.image.shape == (frame.camera.height, frame.camera.width, 3)
        assert frame.right is not None and frame.right.shape == frame.image.shape
        assert frame.camera.height % 8 == frame.camera.width % 8 == 0
        assert frame.image.dtype == torch.float32 and 0 <= frame.image.min() <= frame.image.max() <= 1
    assert (memory.scene(state) is not None) == memory.grounded


@pytest.mark.parametrize("name", KEEPING)
def test_forks_do_not_see_each_other(name, room_views):
    memory, views = make_memory(name, eyes=2), room_views(32, 8)
    state = memory.begin("cpu")
    for i, view in enumerate(views[:6]):
        state = observe(memory, state, view, i)
    before = [t.clone() for t in tensors(state)]
    one = observe(memory, state, views[6], 6, observed=False)
    kept = [t.clone() for t in tensors(one)]
    other = observe(memory, state, views[7], 6, observed=False)
    for was, now in ((before, tensors(state)), (kept, tensors(one))):
        assert len(was) == len(now) and all(torch.equal(a, b) for a, b in zip(was, now, strict=True))
    again = observe(memory, state, views[6], 6, observed=False)
    assert all(torch.equal(a, b) for a, b in zip(kept, tensors(again), strict=True))
    assert any(a.shape != b.shape or not torch.equal(a, b) for a, b in zip(kept, tensors(other), strict=False))


@pytest.mark.parametrize("name", ["loopy", "retrieved", "routed"])
def test_the_state_is_bounded_over_400_views(name):
    """Along a line of ever new places, which no rule for duplicates keeps small (but a scene grows with the space that
    was seen: the routed one goes round)."""
    memory = make_memory(name, eyes=1)
    if isinstance(memory, RetrievedMemory | RoutedMemory):
        memory = replace(memory, budget=24)
    size, state, largest = 8, memory.begin("cpu"), []
    image, depth, sure = torch.rand(size, size, 3), torch.full((size, size), 2.0), torch.ones(size, size)
    for i in range(400):
        w2c = torch.eye(4)
        w2c[0, 3] = -0.25 * (i % 40 if name == "routed" else i)
        view = View(image, Camera.from_fov(size, size, 77, w2c), depth=depth, confidence=sure)
        state = memory.observe(state, view, observed=i < 20, step=i, recalled=None)
        largest.append(sum(t.nbytes for t in tensors(state)))
    assert max(largest[250:]) <= 1.02 * max(largest[:250])
    if name != "loopy":
        assert len((state.past if name == "routed" else state).frames) == 24


def test_what_the_cameras_and_the_memory_need_is_said():
    view = View(torch.rand(16, 16, 3), Camera.from_fov(16, 16, 80), right=torch.rand(16, 16, 3), baseline=0.3)
    memory = make_memory("routed", eyes=2)
    with pytest.raises(ValueError, match="needs View.depth|needs .*depth"):
        memory.observe(memory.begin("cpu"), view, observed=True, step=0, recalled=None)
