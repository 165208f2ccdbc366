"""Wrong splats: the share that was asked for, inside the scene, in colours of the scene."""

import pytest
import torch

from hybridwm.memory.wrong import wrong_splats
from recon import GaussianScene
from recon.fuse import fuse
from recon.view import View
from render import Camera


@pytest.fixture(scope="module")
def scene():
    generator = torch.Generator().manual_seed(0)
    camera = Camera.from_fov(32, 32, 70.0)
    view = View(torch.rand(32, 32, 3, generator=generator), camera, 1 + torch.rand(32, 32, generator=generator))
    return fuse(GaussianScene.empty(), view, observed=True, step=0)


def test_a_share_is_moved_within_the_scene_and_the_rest_stays(scene):
    wrong = wrong_splats(scene, 0.1, torch.Generator().manual_seed(1)).gaussians
    moved = (wrong.means != scene.gaussians.means).any(1)
    assert len(wrong.means) == len(scene) and 0.06 < moved.float().mean() < 0.14
    low, high = scene.gaussians.means.amin(0), scene.gaussians.means.amax(0)
    assert ((wrong.means >= low) & (wrong.means <= high)).all()
    torch.testing.assert_close(wrong.sh[~moved], scene.gaussians.sh[~moved])
    known = {tuple(row) for row in scene.gaussians.sh.flatten(1).tolist()}
    assert all(tuple(row) in known for row in wrong.sh[moved].flatten(1).tolist())


def test_no_share_changes_nothing(scene):
    same = wrong_splats(scene, 0.0, torch.Generator().manual_seed(1)).gaussians
    assert torch.equal(same.means, scene.gaussians.means) and torch.equal(same.sh, scene.gaussians.sh)


def test_an_empty_scene_stays_empty():
    assert len(wrong_splats(GaussianScene.empty(), 0.5, torch.Generator().manual_seed(1))) == 0
