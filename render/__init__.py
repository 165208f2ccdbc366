"""Cameras, Gaussians, and images of them. Knows nothing of where Gaussians come from."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .camera import Camera as Camera
    from .formats import FormatError as FormatError
    from .formats import load as load
    from .formats import save as save
    from .gaussians import Gaussians as Gaussians
    from .rasterize import RenderOutput as RenderOutput
    from .rasterize import rasterize as rasterize
    from .spherical_harmonics import evaluate_sh as evaluate_sh
    from .spherical_harmonics import rgb_from_sh as rgb_from_sh
    from .spherical_harmonics import sh_from_rgb as sh_from_rgb

# Where each public name lives; imported when first used, so that `import render` does not wait for torch.
_HOMES = {
    "Camera": "camera",
    "Gaussians": "gaussians",
    "RenderOutput": "rasterize",
    "rasterize": "rasterize",
    "save": "formats",
    "load": "formats",
    "FormatError": "formats",
    "evaluate_sh": "spherical_harmonics",
    "rgb_from_sh": "spherical_harmonics",
    "sh_from_rgb": "spherical_harmonics",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'render' has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))


class _Package(ModuleType):
    """Importing the module render.rasterize would hide the function; here the function always wins."""

    @property
    def rasterize(self) -> Any:
        return __getattr__("rasterize")

    @rasterize.setter
    def rasterize(self, module: ModuleType) -> None:
        pass


sys.modules[__name__].__class__ = _Package
