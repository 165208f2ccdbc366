"""A scene larger than its budget: what was evicted comes back as it was, for every fork."""

from dataclasses import fields, replace

import pytest
import torch

from hybridwm.memory import SplatMemory
from recon.agreement import FuseConfig
from recon.paging import PagedScene, paged_for, read_page, write_page
from recon.refine import RefineConfig
from recon.sequences import SequenceConfig, reconstruct_sequence
from render import rasterize
from render.files import atomic_write
from render.formats import FormatError

MOST = 9000
WALL = (((0.02, 0.013, 1.0), 3.0),)  # not quite across, so that no two depths are equal


@pytest.fixture(scope="module")
def walk(plane_view):
    """Views along a wall, 1.6 m apart: 3072 pixels each, a third of them new."""
    views = []
    for i in range(14):
        w2c = torch.eye(4)
        w2c[0, 3] = -1.6 * i
        view = plane_view(WALL, w2c=w2c)
        views.append(replace(view, confidence=torch.ones_like(view.depth)))
    return views


def walked(memory, views, state=None, first=0):
    states = []
    state = memory.begin("cpu") if state is None else state
    for step, view in enumerate(views, first):
        recalled = memory.recall(state, view.camera, None)
        state = memory.observe(state, view, observed=True, step=step, recalled=recalled)
        states.append(state)
    return states


def rows(scene):
    """One row of numbers for each Gaussian, sorted."""
    tensors = [getattr(scene.gaussians, f.name) for f in fields(scene.gaussians)]
    tensors += [scene.observed, scene.step, scene.confirmations, scene.confidence, scene.direction]
    table = torch.cat([t.reshape(len(scene), -1).double() for t in tensors if t is not None], dim=1)
    return table[table[:, 0].argsort(stable=True)] if len(table) == 0 else torch.unique(table, dim=0)


def test_there_and_back_in_a_scene_larger_than_the_budget(walk, tmp_path):
    paging = SplatMemory(eyes=1, fuse_config=FuseConfig(max_gaussians=MOST), evict_to=tmp_path)
    plain = SplatMemory(eyes=1)
    path = [*walk, *walk[-2::-1]]
    states, free = walked(paging, path), walked(plain, path)
    assert len(free[-1]) > 1.5 * MOST and all(len(state.scene) <= MOST for state in states)
    assert states[13].pages and len(states[-1]) == pytest.approx(len(free[-1]), rel=0.01)
    for view in walk:
        ours, theirs = (m.recall(s[-1], view.camera, None).renders[0] for m, s in ((paging, states), (plain, free)))
        assert (ours.alpha > 0.5).float().mean() > 0.99
        assert (ours.rgb - theirs.rgb).abs().mean() < 2e-3

    refusing = walked(SplatMemory(eyes=1, fuse_config=FuseConfig(max_gaussians=MOST)), path)[-1]
    far = rasterize(refusing.gaussians, walk[-1].camera)
    assert (far.alpha > 0.5).float().mean() < 0.5, "the control: without a folder what is new is refused"


def test_nothing_is_lost_or_changed_on_the_way(walk, tmp_path):
    scene = walked(SplatMemory(eyes=1), walk)[-1]
    paged = paged_for(PagedScene(scene), walk[0].camera, tmp_path, MOST, 3072)
    assert len(paged.scene) <= MOST - 3072 and len(paged) == len(scene) and len(paged.pages) > 3
    assert torch.equal(rows(paged.whole()), rows(scene))
    again = paged_for(paged, walk[-1].camera, tmp_path, MOST, 3072)
    assert torch.equal(rows(again.whole()), rows(scene))
    expected = rasterize(scene.gaussians, walk[-1].camera).rgb
    assert (rasterize(again.scene.gaussians, walk[-1].camera).rgb - expected).abs().max() < 1e-5
    assert paged_for(again, walk[-1].camera, tmp_path, MOST, 3072) is again, "nothing moves while nothing has to"


def test_forks_share_pages_and_never_rewrite_them(walk, tmp_path):
    memory = SplatMemory(eyes=1, fuse_config=FuseConfig(max_gaussians=MOST), evict_to=tmp_path)
    fork = walked(memory, walk)[-1]
    before = memory.recall(fork, walk[0].camera, None).renders[0]
    written = {path: path.read_bytes() for path in tmp_path.iterdir()}
    other = [replace(view, image=1 - view.image) for view in walk]
    walked(memory, [*other[::-1], *other], fork, first=14)
    after = memory.recall(fork, walk[0].camera, None).renders[0]
    assert torch.equal(before.rgb, after.rgb) and torch.equal(before.depth, after.depth)
    assert all(path.read_bytes() == content for path, content in written.items())
    assert len(list(tmp_path.iterdir())) > len(written), "the other branch wrote pages of its own"


def test_killed_halfway_no_broken_page_is_left(walk, tmp_path, monkeypatch):
    from pathlib import Path

    scene, write = walked(SplatMemory(eyes=1), walk)[-1], Path.write_bytes

    def killed(path, content):
        write(path, content[: len(content) // 2])
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_bytes", killed)
    with pytest.raises(KeyboardInterrupt):
        paged_for(PagedScene(scene), walk[0].camera, tmp_path, MOST, 0)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    paged = paged_for(PagedScene(scene), walk[0].camera, tmp_path, MOST, 0)
    assert torch.equal(rows(paged.whole()), rows(scene))


def test_pages_that_are_gone_or_damaged_are_named(walk, tmp_path):
    page = write_page(walked(SplatMemory(eyes=1), walk[:1])[-1], tmp_path)
    content = page.path.read_bytes()
    for damaged in (b"", content[: len(content) // 2], b"\xff" * 64):
        with atomic_write(page.path) as path:
            path.write_bytes(damaged)
        with pytest.raises(FormatError, match=r"safetensors: expected"):
            read_page(page)
    page.path.unlink()
    with pytest.raises(FileNotFoundError, match="keep their folder"):
        read_page(page)


def test_a_budget_below_what_one_camera_sees_is_kept(walk, tmp_path):
    memory = SplatMemory(eyes=1, fuse_config=FuseConfig(max_gaussians=1000), evict_to=tmp_path)
    states = walked(memory, walk[:3])
    assert all(len(state.scene) <= 1000 for state in states)
    assert len(memory.scene(states[-1])) > 0 and len(states[-1]) > 1000


def test_a_sequence_larger_than_the_budget(walk, tmp_path):
    config = SequenceConfig(depth="rgbd", fuse=FuseConfig(max_gaussians=MOST), evict_to=tmp_path)
    built = reconstruct_sequence(walk, config)
    free = reconstruct_sequence(walk, SequenceConfig(depth="rgbd"))
    whole = PagedScene(built.scene, built.pages).whole()
    assert len(built.scene) <= MOST < len(whole) and len(whole) == pytest.approx(len(free.scene), rel=0.01)
    for view in (walk[0], walk[6]):
        ours, theirs = (rasterize(scene.gaussians, view.camera).rgb for scene in (whole, free.scene))
        assert (ours - theirs).abs().mean() < 2e-3
    with pytest.raises(ValueError, match="expected refine or evict_to"):
        SequenceConfig(refine=RefineConfig(steps=5), evict_to=tmp_path)
