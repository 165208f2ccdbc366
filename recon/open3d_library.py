"""The way in to Open3D: imported at its first use, and also where there is no libusb, which it loads for cameras."""

from __future__ import annotations

import ctypes
import importlib.util
from typing import Any


def load_open3d() -> Any:
    """The module open3d. Raises ModuleNotFoundError with the command that installs it."""
    if importlib.util.find_spec("open3d") is None:
        raise ModuleNotFoundError("this needs Open3D; it is not installed. Run: pip install open3d-cpu libusb-package")
    if importlib.util.find_spec("libusb_package") is not None:
        import libusb_package

        library = libusb_package.get_library_path()
        if library is not None:
            ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
    import open3d

    return open3d
