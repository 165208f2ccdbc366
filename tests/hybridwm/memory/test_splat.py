"""The splat memory is fusion on the way in and rasterization on the way out."""

import pytest
import torch

from hybridwm.memory import make_memory
from recon import GaussianScene, View
from recon.fuse import fuse
from render import Camera


def test_an_empty_scene_recalls_nothing_and_two_eyes_need_a_baseline():
    memory = make_memory("splat", eyes=2)
    camera = Camera.from_fov(16, 16, 80)
    assert memory.recall(memory.begin("cpu"), camera, 0.3).renders == ()
    view = View(torch.rand(16, 16, 3), camera, torch.full((16, 16), 2.0), torch.ones(16, 16))
    state = memory.observe(memory.begin("cpu"), view, observed=True, step=0, recalled=None)
    assert len(memory.recall(state, camera, 0.3).renders) == 2
    with pytest.raises(ValueError, match="expected a baseline"):
        memory.recall(state, camera, None)


def test_observing_is_fusing():
    memory, camera = make_memory("splat", eyes=1), Camera.from_fov(24, 24, 70)
    g = torch.Generator().manual_seed(0)
    view = View(torch.rand(24, 24, 3, generator=g), camera, torch.full((24, 24), 2.0), torch.ones(24, 24))
    state = memory.observe(memory.begin("cpu"), view, observed=True, step=0, recalled=None)
    direct = fuse(GaussianScene.empty(), view, observed=True, step=0)
    assert torch.equal(state.gaussians.means, direct.gaussians.means)
    assert memory.scene(state) is state
