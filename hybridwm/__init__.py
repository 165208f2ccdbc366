"""A video world model that remembers in 3D: see README.md for the five-line tour.

Everything is re-exported lazily, so that `import hybridwm` does not import torch.
"""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .gym_env import DreamEnv
    from .gym_vector import DreamVectorEnv
    from .state_file import load_state, save_state
    from .world_model import Frame, Rollout, WorldModel, WorldState, imagine, load

__version__ = "0.1.0"
__all__ = [
    "DreamEnv",
    "DreamVectorEnv",
    "Frame",
    "Rollout",
    "WorldModel",
    "WorldState",
    "__version__",
    "imagine",
    "load",
    "load_state",
    "save_state",
]

_EXPORTS = {name: "world_model" for name in __all__ if name != "__version__"}
_EXPORTS |= {"DreamEnv": "gym_env", "DreamVectorEnv": "gym_vector"}
_EXPORTS |= {"load_state": "state_file", "save_state": "state_file"}


def _refuse_foreign(package: str) -> None:
    """Raises ImportError unless `package` is the one that was installed beside this one."""
    expected = Path(__file__).resolve().parent.parent / package / "__init__.py"
    try:
        spec = find_spec(package)
    except ValueError:  # already imported from somewhere that left no spec
        spec = None
    found = spec.origin if spec is not None else None
    if found is not None and Path(found).resolve() == expected:
        return
    what = found or (list(spec.submodule_search_locations or []) if spec is not None else "nothing")
    raise ImportError(
        f"hybridwm brings its own package '{package}': expected {expected}, but Python found {what} first. "
        f"Rename or move that file, uninstall the distribution that owns it, or run from another folder."
    )


def _register_environments() -> None:
    """Makes gymnasium.make("hybridwm/Rooms-v0") work after `import hybridwm`."""
    if find_spec("gymnasium") is None:  # training on a cluster node needs torch and numpy only
        return
    import gymnasium

    for name, entry, vector_entry in (
        ("Rooms", "worlds.rooms.env:RoomsEnv", "worlds.rooms.vector:RoomsVectorEnv"),
        ("Doom", "worlds.doom.env:DoomEnv", None),
        ("Arm", "worlds.arm.env:ArmEnv", None),
        ("Dream", "gym_env:make_dream", "gym_vector:make_dreams"),
    ):
        if f"hybridwm/{name}-v0" not in gymnasium.registry:
            gymnasium.register(
                id=f"hybridwm/{name}-v0",
                entry_point=f"hybridwm.{entry}",
                vector_entry_point=vector_entry and f"hybridwm.{vector_entry}",
            )


for _package in ("recon", "render"):
    _refuse_foreign(_package)
_register_environments()


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'hybridwm' has no attribute '{name}'; it has {', '.join(__all__)}")
    return getattr(import_module(f".{_EXPORTS[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_EXPORTS])
