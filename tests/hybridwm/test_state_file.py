"""A state that was saved and read goes on as the one in memory does, bit for bit."""

from dataclasses import fields, is_dataclass, replace

import pytest
import torch

from hybridwm.core.config import CoreConfig
from hybridwm.core.video_core import VideoCore
from hybridwm.memory import make_memory
from hybridwm.state_file import load_state, save_state
from hybridwm.world_model import WorldModel, imagine
from hybridwm.worlds.rooms.layout import make_room, stack_rooms
from hybridwm.worlds.rooms.raycast import raycast
from hybridwm.worlds.rooms.rig import RoomsRig
from hybridwm.worlds.rooms.walkers import walk
from recon import View
from render import FormatError

RIG = RoomsRig(size=32)
GOES_ON = [("recent", None), ("loopy", None), ("retrieved", None), ("routed", "stereo"), ("splat", "stereo")]


@pytest.fixture(scope="module")
def views():
    rooms = stack_rooms([make_room(8)], torch.device("cpu"))
    path = walk(rooms, 3, seed=2)
    seen = [raycast(rooms, RIG.stereo(path.w2c[:, i])) for i in range(3)]
    return [
        View(s.rgb[0, 0], RIG.camera(path.w2c[0, i]), right=s.rgb[0, 1], baseline=RIG.baseline)
        for i, s in enumerate(seen)
    ]


def model(memory: str, depth: str | None) -> WorldModel:
    torch.manual_seed(0)
    core = VideoCore(CoreConfig(height=32, width=32, dim=24, depth=2, heads=3, window=2))
    with torch.no_grad():
        for parameter in core.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return WorldModel(core, make_memory(memory, eyes=2), depth=depth)


def same(a, b) -> bool:
    """Whether two values are equal in every tensor, bit for bit."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b) and a.dtype == b.dtype
    if is_dataclass(a):
        return type(a) is type(b) and all(same(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


@pytest.mark.parametrize(("memory", "depth"), GOES_ON)
def test_a_saved_state_goes_on_bit_for_bit(views, tmp_path, memory, depth):
    world = model(memory, depth)
    state = imagine(world, world.start(views, seed=4), ["left", "left"]).state
    save_state(state, tmp_path / "state.safetensors")
    again = load_state(tmp_path / "state.safetensors")
    assert type(again.memory) is type(state.memory)
    ahead = replace(state.camera, w2c=views[0].camera.w2c)
    recalled = [world.memory.recall(s.memory, ahead, s.baseline) for s in (state, again)]
    assert same(*recalled), "what is recalled, frames too, of which this core may read none"
    a, b = (imagine(world, s, ["forward", "right", "left"]) for s in (state, again))
    assert torch.equal(a.frames, b.frames)
    assert a.state.steps == b.state.steps == 5
    assert same(*(world.memory.recall(r.state.memory, ahead, r.state.baseline) for r in (a, b)))
    if a.state.scene is not None:
        assert torch.equal(a.state.scene.gaussians.means, b.state.scene.gaussians.means)


def test_a_state_of_another_version_is_refused(views, tmp_path):
    world, path = model("recent", None), tmp_path / "state.safetensors"
    save_state(world.start(views), path)
    whole = path.read_bytes()
    assert whole.count(b'\\"version\\": 3') == 1
    path.write_bytes(whole.replace(b'\\"version\\": 3', b'\\"version\\": 2'))
    with pytest.raises(FormatError, match="version 2, not 3"):
        load_state(path)


def test_what_is_no_state_is_refused(views, tmp_path):
    with pytest.raises(FileNotFoundError, match="found nothing"):
        load_state(tmp_path / "none.safetensors")
    world, path = model("splat", "stereo"), tmp_path / "state.safetensors"
    save_state(world.start(views), path)
    whole = path.read_bytes()
    for broken in (b"", whole[:100], whole[: len(whole) // 2], b"x" * 5000):
        path.write_bytes(broken)
        with pytest.raises(FormatError, match="expected a state that save_state wrote"):
            load_state(path)
    weights = {"a": torch.zeros(2)}
    from safetensors.torch import save_file

    save_file(weights, path)
    with pytest.raises(FormatError, match="hybridwm_state"):
        load_state(path)
