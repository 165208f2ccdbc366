"""A camera that stays where it is, whatever the action: a fixed camera that looks at a robot, or motion not known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from .vector import read_vector


@dataclass(frozen=True)
class StillBody:
    """Takes actions of any components, in the order of `names`."""

    names: tuple[str, ...]

    def read(self, action: Any) -> Float[Tensor, "a"]:
        """Finite numbers, one for each name. Raises ValueError."""
        return read_vector(action, self.names)

    def move(
        self, w2c: Float[Tensor, "*B 4 4"], action: Float[Tensor, "*A"], clearance: Float[Tensor, "*B"] | None = None
    ) -> Float[Tensor, "*B 4 4"]:
        """The same camera."""
        return w2c


@dataclass(frozen=True)
class UnknownBody(StillBody):
    """A body that nothing is known of: the world model tells the camera's motion from the frames that it imagines
    (recon.odometry), where the arm measures depth; elsewhere, and where that fails, the camera stays."""
