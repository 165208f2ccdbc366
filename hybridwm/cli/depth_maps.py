"""Depth maps as files that other tools read: 16-bit PNG, 0 = none, and confidence beside them."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
from PIL import Image

from recon import View
from render.files import atomic_write
from render.images import write_png

from ..run_folder import RunFolder

LARGEST = 65_535  # of 16 bits
FINEST = 1e-3  # metres of one step, where 65 m are enough


def write_depth_maps(folder: RunFolder, views: Sequence[View], names: Sequence[str]) -> None:
    """depth/000000.png ..., confidence/000000.png ... (8 bits, 255 = 1), in the order of scene/cameras.json, and
    depth/depth.json with the metres of one step: .001, or more where something is farther than 65 m; and with the name
    of each view."""
    farthest = max((float(view.depth.max()) for view in views if view.depth is not None), default=0.0)
    step = max(FINEST, farthest / LARGEST)
    written = []
    for i, view in enumerate(views):
        if view.depth is None:
            continue
        written.append(f"{i:06d}.png")
        # rounding to 0 would turn a near depth into none
        steps = (view.depth / step).round().clamp(min=1) * (view.depth > 0)
        with atomic_write(folder.file(f"depth/{written[-1]}")) as temporary:
            Image.fromarray(steps.cpu().numpy().astype(np.uint16)).save(temporary, format="PNG")
        if view.confidence is not None:
            write_png(folder.file(f"confidence/{written[-1]}"), view.confidence)
    with atomic_write(folder.file("depth/depth.json")) as temporary:
        temporary.write_text(
            json.dumps({"metres_per_step": step, "none": 0, "files": written, "of": list(names)}, indent=1) + "\n"
        )
