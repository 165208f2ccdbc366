"""Images into poses, depth and one persistent scene of Gaussians. Measures; learns nothing."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .agreement import FuseConfig as FuseConfig
    from .calibration import Calibration as Calibration
    from .calibration import read_calibration as read_calibration
    from .depth_sources import depth_source as depth_source
    from .pipeline import reconstruct as reconstruct
    from .pipeline import reconstruct_pair as reconstruct_pair
    from .readers import read_captured as read_captured
    from .scene import GaussianScene as GaussianScene
    from .scene import load_cameras as load_cameras
    from .scene import load_scene as load_scene
    from .scene import save_scene as save_scene
    from .view import DepthContext as DepthContext
    from .view import View as View
    from .view import resize_view as resize_view

# Where each public name lives; imported when first used, so that `import recon` does not wait for torch or
# OpenCV.
_HOMES = {
    "Calibration": "calibration",
    "DepthContext": "view",
    "FuseConfig": "agreement",
    "GaussianScene": "scene",
    "View": "view",
    "depth_source": "depth_sources",
    "load_cameras": "scene",
    "load_scene": "scene",
    "read_calibration": "calibration",
    "read_captured": "readers",
    "reconstruct": "pipeline",
    "reconstruct_pair": "pipeline",
    "resize_view": "view",
    "save_scene": "scene",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'recon' has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
