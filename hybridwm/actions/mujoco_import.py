"""The one import of MuJoCo (extra [arm]), told beforehand how to draw without a screen."""

from __future__ import annotations

import ctypes.util
import os
import sys
import warnings
from importlib import import_module
from typing import Any


def import_mujoco() -> Any:
    """MuJoCo. Off-screen drawing is by EGL, or by OSMesa where there is no EGL, unless MUJOCO_GL says otherwise.

    Raises ModuleNotFoundError, with what to install, where it is missing; ImportError where its drawing backend is.
    """
    if sys.platform == "linux" and not os.environ.get("MUJOCO_GL"):
        found = [name for name in ("EGL", "OSMesa") if ctypes.util.find_library(name)]
        if found:
            os.environ["MUJOCO_GL"] = found[0].lower()
    try:
        import mujoco
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"the arm world and its kinematics need mujoco ({error}). Run: pip install 'hybridwm[arm]'"
        ) from error
    except Exception as error:  # it takes up its drawing backend at once, and that raises whatever its loader does
        raise ImportError(
            f"mujoco: expected a drawing backend that loads; got {' '.join(str(error).split())[:160]} with MUJOCO_GL="
            f"{os.environ.get('MUJOCO_GL', '')}; install it (Debian: libegl1 libgl1-mesa-dri, or libosmesa6) or unset "
            "MUJOCO_GL"
        ) from error
    library: Any = mujoco  # its stubs leave these two out
    if library.get_mju_user_warning() is None:  # else it appends to MUJOCO_LOG.TXT in whatever folder this runs in
        library.set_mju_user_warning(_warn)
    return mujoco


def _warn(message: str | bytes) -> None:
    """What MuJoCo warns of, as Python does."""
    told = message.decode(errors="replace") if isinstance(message, bytes) else message
    warnings.warn(f"mujoco: {told}", RuntimeWarning, stacklevel=2)


def gl_context() -> Any:
    """The class of MuJoCo's OpenGL contexts, GLContext(width, height). Raises what its backend raises."""
    import_mujoco()
    backend = os.environ.get("MUJOCO_GL", "").lower()
    if backend in ("egl", "osmesa"):  # by name: whoever imported mujoco before us may have had no MUJOCO_GL yet
        return import_module(f"mujoco.{backend}").GLContext
    return import_module("mujoco.gl_context").GLContext
