"""Write a scene as tiles, a strip at a time as if it did not fit in memory, and render it from near and from far."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch

import render
from render.images import write_png
from render.tiles import TiledScene, write_tiles
from render.trajectory import look_at

out = Path(tempfile.mkdtemp(prefix="large-"))


def hills(size: int = 400, spacing: float = 0.1) -> Iterator[render.Gaussians]:
    """A landscape of flat discs, 40 metres wide; +z is up."""
    for row in range(0, size, 50):
        i, j = torch.meshgrid(torch.arange(row, row + 50), torch.arange(size), indexing="ij")
        x, y = (i.flatten() - size / 2) * spacing, (j.flatten() - size / 2) * spacing
        z = (0.4 * x).sin() + (0.5 * y).cos()
        fields = ((2 * x).sin() * (3 * y).cos() > 0).float()
        colours = torch.stack([0.3 + 0.3 * fields, 0.55 + 0.1 * z, 0.25 + 0 * z], dim=1)
        yield render.Gaussians(
            means=torch.stack([x, y, z], dim=1),
            quats=torch.tensor([1.0, 0.0, 0.0, 0.0]).expand(len(x), 4),
            scales=torch.tensor([0.1, 0.1, 0.03]).expand(len(x), 3),
            opacities=torch.full((len(x),), 0.9),
            sh=render.sh_from_rgb(colours),
        )


write_tiles(hills(), out / "hills", tile_size=5.0)
scene = TiledScene.open(out / "hills")
print(f"{len(scene)} Gaussians in {len(scene.index)} tiles, {len(scene.index.cells)} levels of detail each")

for name, eye in {"near": (0.0, -15.0, 5.0), "far": (0.0, -200.0, 100.0)}.items():
    w2c = look_at(torch.tensor(eye), torch.zeros(3))
    camera = render.Camera.from_fov(256, 192, 50.0, w2c)
    shown = scene.visible(camera)  # what this camera can see, merged where it is smaller than a pixel
    render.rasterize(shown, camera, backend="cpu")  # the first call loads the kernels
    start = time.perf_counter()
    image = render.rasterize(shown, camera, backend="cpu")
    milliseconds = 1000 * (time.perf_counter() - start)
    write_png(out / f"{name}.png", image.rgb)
    share = len(shown) / len(scene)
    print(f"from {name}: {len(shown)} Gaussians ({share:.0%}) drawn in {milliseconds:.0f} ms")
print("look at", out)
