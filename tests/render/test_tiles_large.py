"""What large scenes cost in memory and time: streamed to disk, then rendered, each in a process of its own.

`pytest -m long tests/render/test_tiles_large.py -s` writes 1.4 GB and takes some two minutes.
"""

import json
import subprocess
import sys

import pytest

LARGE = """
import sys, time, torch
torch.set_num_threads(1)
from pathlib import Path
from render import Camera, Gaussians, rasterize, sh_from_rgb
from render.tiles import TiledScene, write_tiles
from render.trajectory import look_at

def hills(rows, columns, spacing, behind=0):
    "Discs on a landscape, a strip of rows at a time; more rows lie behind the camera."
    for first in range(-behind, rows, 64):
        i, j = torch.meshgrid(torch.arange(first, min(first + 64, rows)), torch.arange(columns), indexing="ij")
        x, y = (j.flatten() - columns / 2) * spacing, i.flatten() * spacing
        z = 0.7 * (x / 9).sin() + 0.5 * (y / 7).cos()
        n = len(x)
        colours = torch.stack([0.5 + 0.4 * x.sin(), 0.5 + 0.4 * (2 * y).cos(), 0.5 + 0.2 * z], dim=1)
        yield Gaussians(
            torch.stack([x, y, z], dim=1), torch.tensor([1.0, 0, 0, 0]).repeat(n, 1),
            torch.tensor([0.6, 0.6, 0.1]).repeat(n, 1) * spacing, torch.full((n,), 0.9), sh_from_rgb(colours))

def peak():
    "Most memory so far, MiB. Not ru_maxrss, which begins with that of the process that started this one."
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024

def camera(size):
    w2c = look_at(torch.tensor([0.0, -2.0, 2.5]), torch.tensor([0.0, 20.0, 0.0]))
    return Camera.from_fov(size, size, 60.0, w2c)
"""


def large(program, *arguments):
    """What the program prints: numbers by name."""
    command = [sys.executable, "-c", LARGE + program, *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=3000)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


WRITE = """
rows, columns, spacing, behind = int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5])
start = time.perf_counter()
write_tiles(hills(rows, columns, spacing, behind), sys.argv[1], tile_size=5.0)
seconds = time.perf_counter() - start
size = sum(file.stat().st_size for file in Path(sys.argv[1]).iterdir())
print('{"peak": %f, "seconds": %f, "bytes": %d}' % (peak(), seconds, size))
"""
READ = """
scene, view = TiledScene.open(sys.argv[1]), camera(int(sys.argv[2]))
shown = scene.visible(view, pixels=float(sys.argv[3]), max_gaussians=2_000_000)
image = rasterize(shown, view, backend="cpu")
print('{"peak": %f, "all": %d, "shown": %d, "alpha": %f}'
      % (peak(), len(scene), len(shown), float(image.alpha[-image.alpha.shape[0] // 4:].mean())))
"""
TIMES = """
view, times = camera(256), [[], []]
sky = Camera(view.K, look_at(torch.tensor([0.0, -2.0, 2.5]), torch.tensor([0.0, 0.0, 90.0])), 256, 256)
scenes = [TiledScene.open(folder) for folder in sys.argv[1:]]
counts = [len(scene.visible(view)) for scene in scenes]
for _ in range(41):
    for scene, taken in zip(scenes, times):
        assert len(scene.visible(sky)) == 0  # what was kept is forgotten
        start = time.perf_counter()
        rasterize(scene.visible(view), view, backend="cpu")
        taken.append(time.perf_counter() - start)
small, large = (sorted(taken)[len(taken) // 2] for taken in times)
print('{"ratio": %f, "ms": %f, "all": [%d, %d], "shown": [%d, %d]}'
      % (large / small, 1e3 * small, *map(len, scenes), *counts))
"""


def test_three_hundred_thousand_on_disk(tmp_path, capsys):
    written = large(WRITE, tmp_path / "hills", 600, 500, 0.1, 0)
    read = large(READ, tmp_path / "hills", 128, 1.0)
    with capsys.disabled():
        print(f"\n300,000 Gaussians written: {written}; rendered: {read}")
    assert read["all"] == 300_000 and read["shown"] < 150_000 and read["alpha"] > 0.95
    assert written["peak"] < 700 and read["peak"] < 600


def test_a_scene_four_times_as_large_out_of_view_costs_the_same(tmp_path, capsys):
    large(WRITE, tmp_path / "scene", 300, 250, 0.1, 0)
    large(WRITE, tmp_path / "larger", 300, 250, 0.1, 900)
    figures = large(TIMES, tmp_path / "scene", tmp_path / "larger")
    with capsys.disabled():
        print(f"\na larger scene: {figures}")
    assert figures["all"][1] == 4 * figures["all"][0]
    assert figures["shown"][1] < 1.05 * figures["shown"][0]  # a tile below the camera reaches behind it
    assert figures["ratio"] < 1.15


@pytest.mark.long
@pytest.mark.timeout(3000)
def test_ten_million_on_disk_render_within_a_gigabyte(tmp_path, capsys):
    written = large(WRITE, tmp_path / "hills", 4000, 2500, 0.04, 0)
    read = large(READ, tmp_path / "hills", 256, 4.0)
    finer = large(READ, tmp_path / "hills", 512, 1.0)
    with capsys.disabled():
        print(f"\n10,000,000 Gaussians written: {written}; rendered: {read}; finer: {finer}")
    assert read["all"] == 10_000_000 and 80_000 < read["shown"] < 160_000 and read["alpha"] > 0.95
    assert finer["shown"] > 1_000_000
    assert max(written["peak"], read["peak"], finer["peak"]) < 1024
