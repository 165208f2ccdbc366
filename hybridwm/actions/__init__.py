"""What an action does to the camera that carries it out. Names come lazily, so that configurations need no torch."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .walker import ACTIONS, Walker, action_vectors

__all__ = ["ACTIONS", "Walker", "action_vectors"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'hybridwm.actions' has no attribute '{name}'; it has {', '.join(__all__)}")
    return getattr(import_module(".walker", __name__), name)
