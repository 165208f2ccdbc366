"""The actions of a dream: the space of the world that is imagined, and what each of its actions is for the body."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from jaxtyping import Float
from torch import Tensor

from .actions.body import Body
from .actions.walker import ACTIONS, Walker
from .worlds.rooms.env import action_space

SLACK = 1e-6  # rounding beyond a bound


@dataclass(frozen=True)
class DreamActions:
    """`space` as the world has it; `names` of its discrete actions, or of an action's components; `width` of the
    body's own actions, of which a space of fewer numbers has the first ones; `told`: what `info` calls actions, as the
    world does."""

    space: spaces.Space
    names: tuple[str, ...]
    width: int
    told: tuple[str, ...]

    def read(self, actions: Any, count: int) -> Float[Tensor, "count a"]:
        """`count` actions of the space, as the body's. Raises ValueError for what lies outside the space."""
        try:
            values = np.asarray(actions)
            numeric = np.issubdtype(values.dtype, np.number)
        except ValueError:
            values, numeric = np.empty(0), False
        shown = actions if count > 1 or values.shape[:1] != (1,) else actions[0]
        if isinstance(self.space, spaces.Discrete):
            n = int(self.space.n)
            whole = numeric and np.issubdtype(values.dtype, np.integer) and values.shape == (count,)
            if not whole or not np.all((values >= 0) & (values < n)):
                raise ValueError(
                    f"action: expected a whole number 0…{n - 1} ({', '.join(self.names)}); got {shown!r}; "
                    "use env.action_space.sample() or continuous=True"
                )
            table = torch.tensor([ACTIONS[name] for name in self.names])
            return table[torch.as_tensor(values, dtype=torch.long)]
        assert isinstance(self.space, spaces.Box)
        low, high = self.space.low, self.space.high
        inside = numeric and values.shape == (count, *low.shape)
        if not inside or not np.all((values >= low - SLACK) & (values <= high + SLACK)):
            most = ", ".join(f"{x:.3g}" for x in high)
            raise ValueError(
                f"action: expected {len(low)} numbers ({', '.join(self.names)}) within the bounds of env.action_space, "
                f"at most {most}; got {shown!r}; clip it to them"
            )
        told = torch.as_tensor(np.clip(values, low, high), dtype=torch.float32)
        return torch.nn.functional.pad(told, (0, self.width - len(low)))


def dream_actions(body: Body, space: Any, names: Sequence[str] | None, continuous: bool) -> DreamActions:
    """The actions of weights that `body` drives, in a world of this action space (None: where it has none, the rooms'
    for a walker). names: of the world's discrete actions. continuous: whether a walker's are to be twists.

    Raises ValueError where the body does not have the world's actions.
    """
    if isinstance(body, Walker):
        expected = action_space(continuous)
        space = expected if space is None else space
        discrete = isinstance(space, spaces.Discrete)
        known = tuple(names or ACTIONS)[: int(space.n)] if discrete else body.names
        if discrete != isinstance(expected, spaces.Discrete) or not _walks(space, known):
            raise ValueError(
                f"DreamEnv: expected a world of the walker's actions, {expected}, as these weights imagine; got "
                f"{space}. Give continuous={not continuous} if its actions are twists, or another world."
            )
        shown = known if discrete else known[: space.shape[0]]
        return DreamActions(space, shown, len(body.names), tuple(names or ACTIONS))
    if not isinstance(space, spaces.Box) or space.shape != (len(body.names),):
        raise ValueError(
            f"DreamEnv: expected a world of {len(body.names)} numbers as actions ({', '.join(body.names)}), as these "
            f"weights imagine; got {space}. Give the id of their world, or a beginning with its action_space."
        )
    return DreamActions(space, body.names, len(body.names), tuple(names or body.names))


def _walks(space: spaces.Space, names: tuple[str, ...]) -> bool:
    """Whether it is some of the walker's named actions, or its twist, with or without pitch."""
    if isinstance(space, spaces.Discrete):
        return bool(len(names) == space.n and set(names) <= set(ACTIONS) and space.start == 0)
    return isinstance(space, spaces.Box) and space.shape in ((4,), (3,))
