"""What a dream is begun from: views that were really seen, from an environment or from wherever a function has them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from recon import View

from .actions.walker import ACTIONS
from .world_state import Oracle

GLANCE = ("left",) * 3 + ("right",) * 6 + ("left",) * 3
"""A look to both sides, back to where it began: so the dream's first observation is the simulator's."""
HOLD = 4
"""How often a world without those looks is held still, to begin with."""
LOOK_ROUND = ("left",) * 24
"""All around, and back to where it began: twice as long as a glance, and a scene without a blind side."""


@dataclass(frozen=True)
class Observed:
    """What was seen, in time order; actions[i] led from views[i] to views[i + 1] (None: read off the cameras).

    vectors[i] came with views[i], for weights that imagine any. oracle: true depth, for depth='truth'.
    """

    views: Sequence[View]
    actions: Float[Tensor, "T_1 a"] | None = None
    vectors: Sequence[dict[str, Tensor]] | None = None
    oracle: Oracle | None = None


Beginnings = Callable[[int], Observed | Sequence[View]]
"""seed -> what was seen; the same for the same seed."""


class ScriptedBeginning:
    """Beginnings in an environment: `reset(seed=seed)`, then a script: the walker's actions by name, or vectors of the
    action space. By default a walker glances, and what else there is holds still for HOLD steps.

    options go to gymnasium.make, together with `size` (pixels, as the weights imagine). The spaces are the
    environment's. A beginning is over where the environment's episode is. Raises ValueError for a script of other
    names, and where the environment does not tell what it saw (`info["view"]`).
    """

    def __init__(
        self,
        env_id: str,
        *,
        size: int,
        script: Sequence[str] | Sequence[Sequence[float]] | None = None,
        continuous: bool = False,
        **options: Any,
    ) -> None:
        unknown = sorted({name for name in script or () if isinstance(name, str)} - set(ACTIONS))
        if unknown:
            raise ValueError(f"script: expected actions among {', '.join(ACTIONS)}; got {', '.join(unknown)}.")
        self.env_id, self.script = env_id, None if script is None else tuple(script)
        self.continuous = continuous
        # a world without the choice is not asked for it
        self._options = {"size": size, **({"continuous": True} if continuous else {}), **options}

    @cached_property
    def env(self) -> Any:
        import gymnasium

        return gymnasium.make(self.env_id, disable_env_checker=True, **self._options).unwrapped

    @property
    def observation_space(self) -> Any:
        return self.env.observation_space

    @property
    def action_space(self) -> Any:
        return self.env.action_space

    @cached_property
    def action_names(self) -> tuple[str, ...]:
        """What `info["actions"]` names: the discrete actions, or the components of one."""
        return tuple(self.env.reset(seed=0)[1].get("actions", ()))

    def _acts(self, info: dict[str, Any]) -> list[Any]:
        """The script as actions of the space, for an episode that begins with this."""
        names: list[str] = list(info.get("actions", ()))
        if self.script is None and not set(GLANCE) <= set(names):
            return [info["action"]] * HOLD

        def act(told: Any) -> Any:
            if not isinstance(told, str):
                return np.asarray(told, np.float32)
            if self.continuous:
                return np.array(ACTIONS[told], np.float32)[: self.action_space.shape[0]]
            return names.index(told)

        return [act(told) for told in (GLANCE if self.script is None else self.script)]

    def __call__(self, seed: int) -> Observed:
        seen, info = self.env.reset(seed=seed)
        if not isinstance(info.get("view"), View):
            raise ValueError(
                f"{self.env_id}: expected info['view'], a recon.View, to begin a dream from; got "
                f"{sorted(info) or 'nothing'}. Give a function seed -> views instead."
            )
        views, observations, done = [info["view"]], [seen], []
        for act in self._acts(info):
            seen, _, *over, info = self.env.step(act)
            if any(over):
                break
            views.append(info["view"])
            observations.append(seen)
            done.append(torch.as_tensor(info["action"], dtype=torch.float32))
        names = [name for name in observations[0] if name not in ("rgb", "right", "depth", "camera")]
        vectors = [
            {name: torch.as_tensor(each[name], dtype=torch.float32).flatten() for name in names}
            for each in observations
        ]
        return Observed(views, torch.stack(done) if done else None, vectors)
