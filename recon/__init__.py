"""Images into poses, depth and one persistent scene of Gaussians. Measures; learns nothing."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .agreement import FuseConfig as FuseConfig
    from .alignment import align as align
    from .box import Box as Box
    from .calibration import Calibration as Calibration
    from .calibration import read_calibration as read_calibration
    from .cameras import Estimated as Estimated
    from .cameras import estimate_cameras as estimate_cameras
    from .depth_sources import depth_source as depth_source
    from .multiview_checks import multiview_status as multiview_status
    from .multiview_sequence import multiview_depths as multiview_depths
    from .odometry import track as track
    from .pipeline import reconstruct as reconstruct
    from .pipeline import reconstruct_pair as reconstruct_pair
    from .pipeline import reconstruct_raw_pair as reconstruct_raw_pair
    from .readers import read_captured as read_captured
    from .rectification import rectify as rectify
    from .refine import RefineConfig as RefineConfig
    from .refine import Refined as Refined
    from .scene import GaussianScene as GaussianScene
    from .scene import load_cameras as load_cameras
    from .scene import load_scene as load_scene
    from .scene import save_scene as save_scene
    from .surface import Mesh as Mesh
    from .surface import mesh_depth as mesh_depth
    from .surface import save_mesh as save_mesh
    from .surface import tsdf_mesh as tsdf_mesh
    from .view import DepthContext as DepthContext
    from .view import View as View
    from .view import resize_view as resize_view

# Where each public name lives; imported when first used, so that `import recon` does not wait for torch or
# OpenCV.
_HOMES = {
    "Box": "box",
    "Calibration": "calibration",
    "DepthContext": "view",
    "Estimated": "cameras",
    "FuseConfig": "agreement",
    "GaussianScene": "scene",
    "Mesh": "surface",
    "RefineConfig": "refine",
    "Refined": "refine",
    "View": "view",
    "align": "alignment",
    "depth_source": "depth_sources",
    "estimate_cameras": "cameras",
    "load_cameras": "scene",
    "load_scene": "scene",
    "read_calibration": "calibration",
    "read_captured": "readers",
    "mesh_depth": "surface",
    "multiview_depths": "multiview_sequence",
    "multiview_status": "multiview_checks",
    "reconstruct": "pipeline",
    "reconstruct_pair": "pipeline",
    "reconstruct_raw_pair": "pipeline",
    "rectify": "rectification",
    "resize_view": "view",
    "save_mesh": "surface",
    "save_scene": "scene",
    "track": "odometry",
    "tsdf_mesh": "surface",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'recon' has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
