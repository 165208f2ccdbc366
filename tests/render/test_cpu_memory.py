"""What a render takes besides the scene, that it gives it back, and that it asks before it takes too much."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from hybridwm.bench.scenes import room_camera, room_splats
from render import Gaussians, rasterize

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def resident_megabytes(field="VmRSS"):
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    raise AssertionError(field)


PEAK = """
import json, sys
import torch
torch.set_num_threads(1)
from dataclasses import fields
from hybridwm.bench.scenes import room_camera, room_splats
from render import Gaussians, rasterize

def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) / 1024

def draw(splats, camera, backward):
    image = rasterize(splats, camera)
    if backward:
        (image.rgb.sum() + image.depth.sum()).backward()

backward = sys.argv[1] == "backward"
scene = room_splats(400_000, views=4)
leaves = {f.name: getattr(scene, f.name) for f in fields(Gaussians) if getattr(scene, f.name) is not None}
splats = Gaussians(**{name: value.requires_grad_(backward) for name, value in leaves.items()})
draw(splats[:100], room_camera(64, 64), backward)  # compiled kernels and thread pools
for value in leaves.values():
    value.grad = None
import ctypes, gc
gc.collect()
ctypes.CDLL(None).malloc_trim(0)  # what making the scene left behind would be used again, and not be counted
open("/proc/self/clear_refs", "w").write("5")  # the peak so far is forgotten
before = peak()
draw(splats, room_camera(512, 512), backward)
results = sum(value.grad.nbytes for value in leaves.values()) / 2**20 if backward else 0
print(json.dumps([before, peak(), results]))
"""


@linux
@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_400_000_splats_take_90_megabytes_beside_the_scene(direction, root):
    """The gradients themselves, as large as the scene, are the caller's."""
    run = subprocess.run(
        [sys.executable, "-c", PEAK, direction], cwd=root, capture_output=True, text=True, timeout=170
    )
    assert run.returncode == 0, run.stderr
    before, after, results = json.loads(run.stdout)
    print(f"{direction}: {after - before - results:.0f} MB, and {results:.0f} MB of gradients")
    assert after - before - results < 90


@linux
@pytest.mark.parametrize("backward", [False, True])
def test_2000_renders_leak_nothing(backward):
    scene, camera = room_splats(2_000), room_camera(40, 30)
    leaves = [scene.means, scene.quats, scene.scales, scene.opacities, scene.sh]
    splats = Gaussians(*(value.requires_grad_(backward) for value in leaves))

    def draw(times):
        for _ in range(times):
            image = rasterize(splats, camera)
            if backward:
                torch.autograd.grad(image.rgb.sum() + image.alpha.sum(), leaves)

    draw(200)
    before = resident_megabytes()
    draw(2000)
    assert resident_megabytes() - before < 2


def test_lists_that_do_not_fit_are_refused_with_the_numbers(monkeypatch):
    from render.cpu import budget

    scene, camera = room_splats(20_000), room_camera(256, 256)
    monkeypatch.setattr(budget, "ALWAYS", 0)
    monkeypatch.setattr(budget, "available_memory", lambda: 2**20)
    with pytest.raises(ValueError, match=r"\d+ Gaussians reach \d+ pairs .* 256 x 256 .* GiB are free.*smaller image"):
        rasterize(scene, camera)
    monkeypatch.setattr(budget, "available_memory", lambda: 2**34)
    assert rasterize(scene, camera).alpha.any()


def test_huge_splats_are_counted_before_memory_is_taken(monkeypatch):
    """A thousand splats as large as the world, on a large image: what lists would hold is said, not tried."""
    from render.cpu import budget

    n = 1000
    splats = Gaussians(
        torch.tensor([[0.0, 0.0, 5.0]]).repeat(n, 1),
        torch.tensor([[1.0, 0.0, 0.0, 0.0]]).repeat(n, 1),
        torch.full((n, 3), 1e4),
        torch.ones(n),
        torch.ones(n, 1, 3),
    )
    monkeypatch.setattr(budget, "available_memory", lambda: 2**28)
    camera = room_camera(4096, 4096)
    with pytest.raises(ValueError, match=f"{n * 64 * 256} pairs"):
        rasterize(splats, camera.__class__(camera.K, torch.eye(4), 4096, 4096))


@linux
def test_available_memory_is_a_sensible_number():
    from render.cpu.budget import available_memory

    assert 2**26 < available_memory() < 2**50
