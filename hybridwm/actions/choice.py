"""One action as a vector, whichever way it was given."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from .walker import ACTIONS

LARGEST = (1.0, 1.0, 1.6, 1.6)
"""Bounds of one step: metres forward and right, radians of yaw and pitch."""


def action_vector(action: Any) -> Float[Tensor, "4"]:
    """(forward m, right m, yaw rad, pitch rad) from a name, an index of the discrete actions, or four numbers.

    Raises ValueError for an unknown name, a wrong length, or a number out of bounds.
    """
    if isinstance(action, str):
        if action not in ACTIONS:
            raise ValueError(f"action: expected one of {', '.join(ACTIONS)}; got {action!r}.")
        return torch.tensor(ACTIONS[action])
    vector = torch.as_tensor(action)
    if vector.ndim == 0 and not vector.is_floating_point():
        index, names = int(vector), list(ACTIONS)
        if not 0 <= index < len(names):
            raise ValueError(f"action: expected an index 0…{len(names) - 1}; got {index}.")
        return torch.tensor(ACTIONS[names[index]])
    vector = vector.float()
    if vector.shape != (4,):
        raise ValueError(
            f"action: expected a name, an index or (forward m, right m, yaw rad, pitch rad); got shape "
            f"{list(vector.shape)}."
        )
    largest = torch.tensor(LARGEST)
    if not bool((vector.abs() <= largest).all()):  # also refuses NaN
        raise ValueError(f"action: expected numbers within ±{list(LARGEST)}; got {vector.tolist()}.")
    return vector
