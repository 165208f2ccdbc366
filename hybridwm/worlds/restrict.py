"""An environment with fewer observation keys: the simulator as seen by whoever knows only what weights predict."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any


def restrict(env: Any, keys: Collection[str]) -> Any:
    """The gymnasium.Env (or VectorEnv) with these observation keys alone, sorted, as Gymnasium sorts them.

    With `keys` of a DreamEnv, a policy cannot tell from spaces and observations which of the two it is in. `info` goes
    through as it is. Raises ValueError for keys that the environment does not have, or none; TypeError where
    observations have no keys.
    """
    from gymnasium import spaces
    from gymnasium.vector import VectorEnv
    from gymnasium.wrappers import FilterObservation
    from gymnasium.wrappers.vector import FilterObservation as FilterObservations

    many = isinstance(env, VectorEnv)
    space = env.single_observation_space if many else env.observation_space
    if not isinstance(space, spaces.Dict):
        raise TypeError(f"restrict: expected observations by key (spaces.Dict); got {type(space).__name__}.")
    kept = kept_keys(space, keys, "restrict")
    return FilterObservations(env, kept) if many else FilterObservation(env, kept)


def kept_keys(space: Any, keys: Collection[str], asker: str) -> list[str]:
    """`keys` of a Dict space, sorted. Raises ValueError, in the asker's name, for none and for unknown ones."""
    unknown = sorted(set(keys) - set(space))
    if unknown or not keys:
        raise ValueError(
            f"{asker}: expected keys among {', '.join(space)}; got {', '.join(unknown) or 'none'}. Leave out what is "
            "not there."
        )
    return sorted(set(keys))
