"""The same numbers for any number of threads, any order of the splats, any process."""

import os
import subprocess
import sys
import threading
from dataclasses import fields, replace

import pytest
import torch

from hybridwm.bench.scenes import room_camera, room_splats
from render import Camera, Gaussians
from render.rasterize_cpu import rasterize_cpu


def batched(camera):
    return Camera(camera.K[None], camera.w2c[None], camera.width, camera.height)


def gradients(gaussians, cameras, threads, features):
    values = {field.name: getattr(gaussians, field.name) for field in fields(Gaussians)}
    leaves = {name: value.clone().requires_grad_() for name, value in values.items() if value is not None}
    leaves["w2c"] = cameras.w2c.clone().requires_grad_()
    splats = Gaussians(**{name: leaf for name, leaf in leaves.items() if name != "w2c"})
    output = rasterize_cpu(splats, replace(cameras, w2c=leaves["w2c"]), threads=threads)
    loss = output.rgb.square().sum() + output.depth.sum() + output.alpha.square().sum()
    (loss + output.features.square().sum() if features else loss).backward()
    return output, {name: leaf.grad for name, leaf in leaves.items()}


@pytest.mark.parametrize("features", [0, 1, 11])
def test_any_number_of_threads_gives_the_same_bits(features):
    gaussians = room_splats(20_001, views=2)
    if features:
        numbers = torch.rand(len(gaussians), features, generator=torch.Generator().manual_seed(0))
        gaussians = replace(gaussians, features=numbers)
    cameras = batched(room_camera(200, 130))
    one, expected = gradients(gaussians, cameras, 1, features)
    for threads in (2, 3, 7):
        many, got = gradients(gaussians, cameras, threads, features)
        assert all(torch.equal(getattr(one, n), getattr(many, n)) for n in ("rgb", "alpha", "depth"))
        assert features == 0 or torch.equal(one.features, many.features)
        assert all(torch.equal(expected[name], got[name]) for name in expected), threads


def test_the_order_of_the_splats_does_not_matter():
    gaussians = room_splats(5_000)
    cameras = batched(room_camera(90, 70))
    # Depths that differ by more than their rounding; ties go by index, which an order changes.
    z, order = ((gaussians.means @ cameras.w2c[0, :3, :3].T + cameras.w2c[0, :3, 3])[:, 2]).sort()
    gaussians = gaussians[order[torch.cat([torch.ones(1, dtype=torch.bool), z.diff() > 2e-6])]]
    assert len(gaussians) > 3_000
    first = rasterize_cpu(gaussians, cameras)
    order = torch.randperm(len(gaussians), generator=torch.Generator().manual_seed(1))
    second = rasterize_cpu(gaussians[order], cameras)
    assert torch.equal(first.rgb, second.rgb) and torch.equal(first.depth, second.depth)


def test_renders_from_several_python_threads_do_not_mix():
    scenes = [room_splats(3_000 + 500 * i, seed=i) for i in range(4)]
    cameras = batched(room_camera(100, 60))
    alone = [rasterize_cpu(scene, cameras).rgb for scene in scenes]
    wrong = []

    def work(i):
        for _ in range(5):
            if not torch.equal(rasterize_cpu(scenes[i], cameras, threads=2).rgb, alone[i]):
                wrong.append(i)

    workers = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_renders_too():
    """As a data loader's worker does, after its parent has rendered with threads."""
    code = """
import os, sys, warnings
warnings.simplefilter("ignore")
import torch
from hybridwm.bench.scenes import room_camera, room_splats
from render import Camera
from render.rasterize_cpu import rasterize_cpu
camera = room_camera(100, 60)
cameras = Camera(camera.K[None], camera.w2c[None], 100, 60)
scene = room_splats(3000)
before = rasterize_cpu(scene, cameras, threads=2).rgb.sum().item()
child = os.fork()
if child == 0:
    torch.set_num_threads(1)  # as PyTorch's data loaders do: its own threads do not survive a fork
    os._exit(0 if rasterize_cpu(scene, cameras, threads=2).rgb.sum().item() == before else 3)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0


def test_threads_below_one_are_refused(random_gaussians, camera):
    with pytest.raises(ValueError, match="threads must be at least 1; got 0"):
        rasterize_cpu(random_gaussians(0, 8), batched(camera), threads=0)
