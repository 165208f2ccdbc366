"""Rooms of the plain calls stay what they were when the packaged weights were trained: numbers on file, compared.

Written by `python -m tests.hybridwm.worlds.rooms.test_unchanged`: to be run only where a change is meant.
"""

from pathlib import Path

import gymnasium
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import hybridwm  # noqa: F401 (registers the environment)
from hybridwm.worlds.collection import walk_rooms
from hybridwm.worlds.rooms import RoomsRig, make_room, stack_rooms, walk

FILE = Path(__file__).with_name("unchanged.safetensors")
SEEDS = (0, 7, 911)
HERE = {"torch": torch.__version__.split("+")[0], "cpu": torch.backends.cpu.get_cpu_capability()}


def plain_rooms() -> dict[str, torch.Tensor]:
    """What the plain calls give: the rooms' numbers, a walk, an episode's frames, the environment's frames."""
    rooms = stack_rooms([make_room(seed) for seed in SEEDS])
    out = {f"room.{k}": v for k, v in vars(rooms).items() if isinstance(v, torch.Tensor)}
    path = walk(rooms, 40, 0)
    out |= {"walk.w2c": path.w2c[:, ::8], "walk.index": path.index, "walk.touch": path.touch}
    for episode in walk_rooms(SEEDS, 3, RoomsRig(size=24)):
        for name in ("rgb", "right", "depth"):
            out[f"episode.{episode.seed}.{name}"] = getattr(episode, name)[::2]
    env = gymnasium.make("hybridwm/Rooms-v0", size=24)
    seen, _ = env.reset(seed=5)
    for action in (0, 2, 0, 4, 7):
        seen, *_ = env.step(action)
    out |= {f"env.{k}": torch.as_tensor(v) for k, v in seen.items()}
    return {k: v.contiguous().clone() for k, v in out.items()}


def test_plain_rooms_are_unchanged():
    """Bit for bit on the kind of machine that wrote the file; elsewhere to rounding, with whole numbers equal."""
    with safe_open(FILE, framework="pt") as file:
        same_machine = file.metadata() == HERE
        before = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    now = plain_rooms()
    assert set(now) == set(before)
    for name, old in before.items():
        new = now[name]
        assert new.shape == old.shape and new.dtype == old.dtype, name
        if same_machine:
            assert torch.equal(new, old), name
        elif old.dtype == torch.uint8:
            assert float((new.float() - old.float()).abs().mean()) < 0.05, name
        elif old.is_floating_point():
            assert torch.allclose(new, old, rtol=1e-5, atol=1e-5), name
        else:
            assert torch.equal(new, old), name


if __name__ == "__main__":
    save_file(plain_rooms(), FILE, HERE)
