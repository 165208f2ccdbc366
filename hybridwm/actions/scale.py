"""Numbers of a recorded action on a common scale, so that pixels, radians and newtons train alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

SPREAD = 0.25
"""Standard deviation of a scaled number: that of a walker's, whose steps are quarters of a metre and of a radian."""
LEAST = 1e-6  # a spread below this is a number that never changes


@dataclass(frozen=True)
class ActionScale:
    """(action - mean) / scale, number by number."""

    mean: tuple[float, ...]
    scale: tuple[float, ...]

    @staticmethod
    def of(actions: Float[Tensor, "N a"]) -> ActionScale:
        """Such that the recorded actions have mean 0 and deviation SPREAD; what never changes becomes 0."""
        deviation, mean = torch.std_mean(actions.double(), 0, correction=0)
        scale = torch.where(deviation > LEAST, deviation / SPREAD, 1.0)
        return ActionScale(tuple(mean.tolist()), tuple(scale.tolist()))

    def __call__(self, actions: Float[Tensor, "*B a"]) -> Float[Tensor, "*B a"]:
        return (actions - actions.new_tensor(self.mean)) / actions.new_tensor(self.scale)

    @staticmethod
    def read(card: Mapping[str, Any]) -> ActionScale | None:
        """That of weights' card["actions"]; None where they were trained on actions as they are.

        Raises ValueError for what is not one.
        """
        told = card.get("actions")
        if told is None:
            return None
        mean, scale = (_numbers(told, name) for name in ("mean", "scale"))
        if len(mean) != len(scale) or not all(number > 0 for number in scale):
            raise ValueError(f"actions of the weights' card: expected as many scales above 0 as means; got {told}.")
        return ActionScale(mean, scale)

    def told(self, names: Sequence[str]) -> dict[str, list[Any]]:
        """As the card keeps it."""
        return {"names": list(names), "mean": list(self.mean), "scale": list(self.scale)}


def _numbers(told: Any, name: str) -> tuple[float, ...]:
    values = told.get(name) if isinstance(told, Mapping) else None
    if not isinstance(values, list) or not all(isinstance(value, int | float) and value == value for value in values):
        raise ValueError(f"actions of the weights' card: expected {name} as numbers; got {values!r}.")
    return tuple(map(float, values))
