"""The one import of MuJoCo (extra [arm]), told beforehand how to draw without a screen."""

from __future__ import annotations

import ctypes.util
import os
import sys
from importlib import import_module
from typing import Any


def import_mujoco() -> Any:
    """MuJoCo. Off-screen drawing is by EGL, or by OSMesa where there is no EGL, unless MUJOCO_GL says otherwise.

    Raises ModuleNotFoundError, with what to install, where it is missing."""
    if sys.platform == "linux" and not os.environ.get("MUJOCO_GL"):
        found = [name for name in ("EGL", "OSMesa") if ctypes.util.find_library(name)]
        if found:
            os.environ["MUJOCO_GL"] = found[0].lower()
    try:
        import mujoco
    except ImportError as error:
        raise ModuleNotFoundError(
            f"the arm world and its kinematics need mujoco ({error}). Run: pip install 'hybridwm[arm]'"
        ) from error
    return mujoco


def gl_context() -> Any:
    """The class of MuJoCo's OpenGL contexts, GLContext(width, height). Raises what its backend raises."""
    import_mujoco()
    backend = os.environ.get("MUJOCO_GL", "").lower()
    if backend in ("egl", "osmesa"):  # by name: whoever imported mujoco before us may have had no MUJOCO_GL yet
        return import_module(f"mujoco.{backend}").GLContext
    return import_module("mujoco.gl_context").GLContext
