"""A stereo pair becomes a metric scene, which is seen from somewhere else and compared with the truth."""

import tempfile
from pathlib import Path

import gymnasium

import hybridwm  # noqa: F401  (registers the rooms)
import recon
import render
from render.images import write_png

out = Path(tempfile.mkdtemp(prefix="stereo-"))

env = gymnasium.make("hybridwm/Rooms-v0", size=96)
_, info = env.reset(seed=3)
view = info["view"]  # recon.View: both images, the camera, and the true depth, which stereo never looks at

depth, confidence = recon.depth_source("stereo")([view])
trusted = (confidence > 0.5) & (depth > 0)
error = ((depth - view.depth).abs() / view.depth)[trusted]
share = float(trusted.float().mean())
print(f"stereo measures {share:.0%} of the pixels, with a median error of {float(error.median()):.1%}")

scene = recon.reconstruct([view], depth="stereo")
recon.save_scene(scene, out / "scene", cameras=view.camera)
print(f"{len(scene)} Gaussians, all observed: {bool(scene.observed.all())}")

# 20 cm to the right: where alpha is low, the scene knows that it does not know.
moved = view.camera.moved_right(0.2)
picture = render.rasterize(recon.load_scene(out / "scene").gaussians, moved)
write_png(out / "moved.png", picture.rgb)
print(f"{float((picture.alpha > 0.5).float().mean()):.0%} of that view is known; look at", out)
