"""Small episodes of noise with every part that an episode can have."""

from dataclasses import fields

import torch

from hybridwm.worlds.episodes import Episode


def episode(seed=0, frames=4, height=6, width=10, **changes):
    made = torch.Generator().manual_seed(seed)
    values = {
        "rgb": torch.randint(0, 256, (frames, height, width, 3), generator=made, dtype=torch.uint8),
        "w2c": torch.rand(frames, 4, 4, generator=made),
        "K": torch.rand(3, 3, generator=made),
        "actions": torch.randn(frames - 1, 2, generator=made),
        "right": torch.randint(0, 256, (frames, height, width, 3), generator=made, dtype=torch.uint8),
        "depth": torch.rand(frames, height, width, generator=made) * 5,
        "baseline": 0.1,
        "disparity_offset": -1.5,
        "up": (0.0, -1.0, 0.0),
        "world": "test",
        "seed": seed,
        "proprio": torch.randn(frames, 3, generator=made),
        "touch": torch.rand(frames, 1, generator=made),
        "action_names": ("turn", "go"),
        "proprio_names": ("a", "b", "c"),
        "touch_names": ("bump",),
        "fps": 35 / 4,
        "task": f"task {seed % 2}",
    }
    return Episode(**{**values, **changes})


BARE = {name: None for name in ("w2c", "K", "right", "depth", "baseline", "proprio", "touch", "fps")}
BARE |= {"proprio_names": (), "touch_names": (), "disparity_offset": 0.0}


def differences(one, other):
    """Names of the fields that are not equal, bit for bit and in their type."""
    return [field.name for field in fields(Episode) if not same(getattr(one, field.name), getattr(other, field.name))]


def same(a, b):
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    return type(a) is type(b) and a == b
