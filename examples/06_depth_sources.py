"""One walk through a room, measured by every depth source: how far off, how much of the image, and what scene."""

import tempfile
from dataclasses import replace
from pathlib import Path

import torch

import recon
from hybridwm.worlds.collection import walk_rooms
from hybridwm.worlds.rooms import RoomsRig
from recon.sequences import SequenceConfig, reconstruct_sequence
from render.images import colour_depth, write_png

out = Path(tempfile.mkdtemp(prefix="depth-"))
views = walk_rooms(seeds=[10_000_007], frames=12, rig=RoomsRig(size=64))[0].views()
truth = views[-1].depth
assert truth is not None  # the simulator's

pictures = [colour_depth(truth, 0.5, 6.0)]
for name in ("truth", "noisy(0.05)", "stereo", "learned_stereo", "multiview", "monocular", "constant(2)"):
    source = recon.depth_source(name)
    # only what says that it reads the truth may look at it
    given = views if name in ("truth", "noisy(0.05)") else [replace(view, depth=None) for view in views]
    depth, confidence = source(given[-1:], recon.DepthContext(tuple(given[:-1])))
    known = depth > 0
    error = (depth[known] / truth[known] - 1).abs().median()
    scene = reconstruct_sequence(given, SequenceConfig(depth=name)).scene
    print(
        f"{name:<15} {100 * float(known.float().mean()):3.0f} % measured, median error {100 * float(error):5.1f} %, "
        f"confidence {float(confidence[known].mean()):.2f}, {len(scene)} Gaussians"
    )
    pictures.append(colour_depth(depth, 0.5, 6.0))

write_png(out / "depths.png", torch.cat(pictures, dim=1))
print("truth first, then each source, red near and blue far; look at", out)
