"""Make Gaussians by hand, render them, save them as a .ply, and film an orbit of them."""

import tempfile
from pathlib import Path

import torch

import render
from render.images import to_uint8, write_png
from render.trajectory import orbit
from render.video import write_mp4

out = Path(tempfile.mkdtemp(prefix="splats-"))

# A spiral of 300 flat discs, one metre across; scales and opacities are linear, quaternions wxyz.
t = torch.linspace(0, 1, 300)
means = torch.stack([0.5 * t * (25 * t).cos(), 0.5 * t * (25 * t).sin(), t - 0.5], dim=-1)
colours = torch.stack([t, 1 - t, 0.5 + 0.5 * (25 * t).sin()], dim=-1)
gaussians = render.Gaussians(
    means,
    quats=torch.tensor([1.0, 0.0, 0.0, 0.0]).expand(300, 4),
    scales=torch.tensor([0.03, 0.03, 0.01]).expand(300, 3),
    opacities=torch.full((300,), 0.9),
    sh=render.sh_from_rgb(colours),
)

cameras = orbit(torch.zeros(3), radius=2.0, count=24, width=320, height=240, fov_x_degrees=45.0)
image = render.rasterize(gaussians, cameras[0], backend="cpu", background=torch.ones(3))
write_png(out / "spiral.png", image.rgb)
covered, nearest = (image.alpha > 0.5).float().mean(), image.depth[image.depth > 0].min()
print(f"the spiral covers {float(covered):.1%} of the picture; its nearest point: {float(nearest):.2f} m")

render.save(gaussians, out / "spiral.ply")
again = render.rasterize(render.load(out / "spiral.ply"), cameras[0], backend="cpu", background=torch.ones(3))
difference = float((again.rgb - image.rgb).abs().max())
print(f"after a round trip through the file, colours differ by at most {difference:.1e}")

frames = render.rasterize(gaussians, cameras, background=torch.ones(24, 3)).rgb
write_mp4(out / "spiral.mp4", to_uint8(frames), fps=12)
print("look at", out)
