"""The one import of Open3D, which on a bare machine does not find libusb by itself."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from types import ModuleType
from typing import Any


def import_open3d() -> Any:
    """Open3D, with libusb loaded before it. Raises ImportError, with what to install, where it is missing."""
    with suppress(ImportError, OSError):  # without it Open3D may still find the system's own
        import libusb_package

        path = libusb_package.get_library_path()
        if path is not None:
            ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
    try:
        import open3d
    except (ImportError, OSError) as error:
        raise ImportError(
            f"surfaces need Open3D, which cannot be imported here ({error}): pip install open3d-cpu libusb-package "
            "(open3d where there is no open3d-cpu)."
        ) from error
    module: ModuleType = open3d
    return module
