"""A depth source named as module:function, from outside the package."""

import pytest
import torch

from recon import View, depth_source
from recon.depth_sources import reads_depth
from render import Camera


def flat(views, context=None):
    return torch.full(views[-1].image.shape[:2], 3.0), torch.ones(views[-1].image.shape[:2])


def test_a_function_of_ones_own():
    view = View(torch.rand(8, 8, 3), Camera.from_fov(8, 8, 60.0, torch.eye(4)))
    depth, confidence = depth_source(f"{__name__}:flat")([view])
    assert bool((depth == 3).all()) and bool((confidence == 1).all())
    assert not reads_depth(f"{__name__}:flat")  # so the loop hides the simulator's depth from it


@pytest.mark.parametrize("name", ["no_such_module:depth", f"{__name__}:nothing_here", ":x", "torch:"])
def test_what_cannot_be_imported_is_named(name):
    with pytest.raises(ValueError, match=r"depth source: expected module:name .* got"):
        depth_source(name)
