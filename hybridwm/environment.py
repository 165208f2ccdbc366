"""What this process runs on: versions, cores, devices. Written into every run folder and shown by `doctor`."""

import importlib.metadata
import os
import platform
import sys
from typing import Any

from . import __version__

PACKAGES = (
    "torch",
    "numpy",
    "numba",
    "opencv-python-headless",
    "av",
    "gymnasium",
    "safetensors",
    "pillow",
    "trimesh",
    "jaxtyping",
    "tyro",
    "pyyaml",
    "gsplat",
    "open3d-cpu",
    "open3d",
)


def installed_version(distribution: str) -> str | None:
    """The version of an installed distribution, or None. Imports nothing."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def describe() -> dict[str, Any]:
    """Versions of Python, of this package and of what it builds on, and the machine's kind; no names or paths."""
    versions = {name: installed_version(name) for name in PACKAGES}
    result: dict[str, Any] = {
        "hybridwm": __version__,
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "packages": {name: version for name, version in versions.items() if version is not None},
    }
    torch = sys.modules.get("torch")  # a command that never needed torch does not load it for this
    if torch is not None:
        result["threads"] = torch.get_num_threads()
        result["cuda"] = torch.version.cuda
        result["devices"] = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return result
