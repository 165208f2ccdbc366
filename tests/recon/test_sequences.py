"""The recipe for sequences, on planes that are known exactly."""

from dataclasses import replace

import pytest
import torch

from recon import View
from recon.quality import assess
from recon.refine import RefineConfig
from recon.sequences import SequenceConfig, reconstruct_sequence, split
from render import Camera


@pytest.fixture(scope="module")
def walk(plane_view):
    """Nine views of two planes, 15 cm apart, each with depth and a right eye."""
    views = []
    for i in range(9):
        w2c = torch.eye(4)
        w2c[0, 3], w2c[1, 3] = -0.15 * i, 0.02 * i
        planes = (((0.3, 0.15, 1.0), 2.4), ((0.0, 1.0, 0.1), 0.9))
        views.append(plane_view(planes, w2c=w2c, shortest=0.3))
    return views


@pytest.mark.parametrize(("depth", "used"), [("auto", "truth"), ("rgbd", "truth"), ("stereo", "stereo")])
def test_a_walk_becomes_a_scene_that_shows_the_views_kept_out(walk, depth, used):
    built = reconstruct_sequence(walk, SequenceConfig(depth=depth, held_out_every=3))
    assert (len(built.views), len(built.held_out), built.depth) == (6, 3, used)
    assert set(built.seconds) == {"depth", "fuse"}
    quality, renders = assess(built.scene, built.held_out, built.views)
    assert len(renders) == 3 and renders[0].shape == walk[0].image.shape
    assert quality.coverage > 0.9 and quality.psnr_covered > quality.nearest_psnr + 3
    assert quality.depth_close > 0.95


def test_what_views_carry_decides(walk):
    blind = [replace(view, depth=None) for view in walk]
    assert reconstruct_sequence(blind, SequenceConfig()).depth == "stereo"
    mono = [replace(view, depth=None, right=None, baseline=None) for view in walk]
    assert reconstruct_sequence(mono, SequenceConfig()).depth == "multiview"


def test_a_scene_of_other_cameras_does_not_pass(walk):
    """The control: the same views with each other's cameras."""
    views = [replace(view, camera=other.camera) for view, other in zip(walk, walk[3:] + walk[:3], strict=True)]
    built = reconstruct_sequence(views, SequenceConfig())
    quality, _ = assess(built.scene, walk[4:5], walk[:4])
    right, _ = assess(reconstruct_sequence(walk, SequenceConfig()).scene, walk[4:5], walk[:4])
    assert quality.psnr < right.psnr - 5


def test_refining_helps_and_is_reported(walk):
    reports, parts = [], []
    config = SequenceConfig(held_out_every=3, refine=RefineConfig(steps=60, densify_every=0))
    refined = reconstruct_sequence(
        walk, config, progress=lambda part, done, total: parts.append((part, done, total)), refining=reports.append
    )
    plain = reconstruct_sequence(walk, replace(config, refine=None))
    after, before = (assess(built.scene, built.held_out, built.views)[0].psnr for built in (refined, plain))
    assert after > before + 0.5
    assert reports and reports[-1].step <= 60 and "refine" in refined.seconds
    assert parts[0] == ("depth", 0, 6) and parts[-1] == ("fuse", 5, 6)


def test_holding_out_takes_the_middle_of_each_run():
    camera = Camera.from_fov(4, 3, 60.0)
    views = [View(torch.full((3, 4, 3), i / 10), camera) for i in range(10)]
    own, held_out = split(views, 3)
    assert [round(float(v.image[0, 0, 0]) * 10) for v in held_out] == [1, 4, 7]
    assert len(own) == 7 and split(views, 0) == (views, [])
    for every in (1, -2):
        with pytest.raises(ValueError, match="hold out"):
            split(views, every)


def test_nothing_to_see_is_said(walk):
    blank = {"depth": None, "right": None, "baseline": None}
    grey = [replace(view, image=torch.full_like(view.image, 0.5), **blank) for view in walk]
    with pytest.raises(ValueError, match="none of 9 views gave depth by 'multiview'"):
        reconstruct_sequence(grey)
    with pytest.raises(ValueError, match="at least one view"):
        reconstruct_sequence([])
    with pytest.raises(ValueError, match="Hold some out"):
        assess(reconstruct_sequence(walk).scene, [], walk)
