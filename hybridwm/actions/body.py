"""Bodies: what an action does to the camera that a body carries, for every kind of body that weights are trained on."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from recon.of_your_own import import_named

from .still import StillBody, UnknownBody
from .twist import DriveBody, PlanarBody, TwistBody
from .walker import Walker


@runtime_checkable
class Body(Protocol):
    """Kinematics of one embodiment. `names`: the components of its action vector, in order, with their units."""

    @property
    def names(self) -> tuple[str, ...]: ...

    def read(self, action: Any) -> Float[Tensor, "a"]:
        """An action as a vector, from whatever a user may give (a name, an index, numbers). Raises ValueError."""
        ...

    def move(
        self, w2c: Float[Tensor, "*B 4 4"], action: Float[Tensor, "*A"], clearance: Float[Tensor, "*B"] | None = None
    ) -> Float[Tensor, "*B 4 4"]:
        """The camera after an action [*B, a]; clearance: free metres straight ahead, where they are known."""
        ...


def _arm(name: str) -> Body:
    """The world `arm`'s (extra [arm])."""
    return getattr(importlib.import_module("hybridwm.worlds.arm.bodies"), name)()


BODIES: dict[str, Callable[[float, tuple[str, ...]], Body]] = {
    "walker": lambda period, names: Walker(),
    "drive": lambda period, names: DriveBody(period),
    "planar": lambda period, names: PlanarBody(period),
    "twist": lambda period, names: TwistBody(period),
    "still": lambda period, names: StillBody(names),
    "hand": lambda period, names: _arm("hand_body"),
    "joints": lambda period, names: _arm("joint_body"),
    "unknown": lambda period, names: UnknownBody(names),
}
"""Name → body, from the seconds between two frames and the names of the recorded action's components."""


def make_body(name: str, *, period: float = 1.0, names: tuple[str, ...] = ()) -> Body:
    """A body by name: walker | drive | planar | twist | still | unknown | hand | joints (the arm's, by its
    fingertips or joints), or "module:Class" of your own, called as those of BODIES.

    period: seconds between frames, for velocities. names: of an action's components, for bodies that take any.
    Raises ValueError for unknown names, and for actions that are not of this body.
    """
    make = BODIES.get(name)
    if make is None and ":" in name:
        make = import_named(name, "body")
    if make is None:
        raise ValueError(f"body: expected one of {', '.join(BODIES)}, or module:Class; got {name!r}.")
    body = make(period, names)
    if names and len(body.names) != len(names):
        raise ValueError(
            f"body: expected actions of {len(body.names)} numbers for {name!r} ({', '.join(body.names)}); got "
            f"{len(names)} ({', '.join(names)}). Choose another body: 'still' takes any action and moves no camera."
        )
    return body
