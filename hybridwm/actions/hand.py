"""Bodies whose camera rides on a robot's hand: moved by the fingertips' path (Hand) or by its joints (JointBody)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from .mjcf import MjcfBody
from .vector import read_vector
from .walker import rotation


@dataclass(frozen=True)
class Hand:
    """A camera fixed to a hand. `tip` is the point between the fingers in the camera's own axes, metres; `up` is the
    world axis that yaw turns about."""

    tip: tuple[float, float, float]
    up: tuple[float, float, float] = (0.0, 0.0, 1.0)
    names: tuple[str, ...] = ("dx_m", "dy_m", "dz_m", "dyaw_rad", "grip")

    def read(self, action: Any) -> Float[Tensor, "a"]:
        """Finite numbers, one for each name. Raises ValueError."""
        return read_vector(action, self.names)

    def move(
        self, w2c: Float[Tensor, "*B 4 4"], action: Float[Tensor, "*A"], clearance: Float[Tensor, "*B"] | None = None
    ) -> Float[Tensor, "*B 4 4"]:
        """The camera after an action [*B, 4 or more]: x, y, z metres of the tip in the world's axes, then yaw about
        `up` through the tip, radians. What follows (a gripper) does not move it; nor does `clearance` stop a hand,
        which is there to touch. Raises ValueError for an action that is not finite or of another shape.
        """
        action = _checked(w2c, action, 4, "(x m, y m, z m, yaw rad)").to(w2c)
        turn = rotation(torch.tensor(self.up, dtype=w2c.dtype, device=w2c.device), action[..., 3])
        c2w = torch.linalg.inv(w2c)
        tip = (c2w[..., :3, :3] @ torch.tensor(self.tip, dtype=w2c.dtype, device=w2c.device)) + c2w[..., :3, 3]
        moved = torch.zeros_like(w2c)
        moved[..., :3, :3] = (turn @ c2w[..., :3, :3]).mT
        center = tip + action[..., :3] + (turn @ (c2w[..., :3, 3] - tip)[..., None])[..., 0]
        moved[..., :3, 3] = -(moved[..., :3, :3] @ center[..., None])[..., 0]
        moved[..., 3, 3] = 1
        return moved


class JointBody:
    """A camera moved by changes of joint angles. Where the joints are is found from the camera itself, by inverse
    kinematics that begins at `home`: of several postures with one camera, the one near `home` is meant. more: what an
    action has beside the joints."""

    def __init__(self, robot: MjcfBody, home: Float[Tensor, "J"], more: tuple[str, ...] = ("grip",)) -> None:
        robot.camera(home)  # refuses a wrong number
        self.robot, self.home = robot, home
        self.names = (*(f"d{name}_rad" for name in robot.joint_names), *more)

    def read(self, action: Any) -> Float[Tensor, "a"]:
        """Finite numbers, one for each name. Raises ValueError."""
        return read_vector(action, self.names)

    def move(
        self, w2c: Float[Tensor, "*B 4 4"], action: Float[Tensor, "*A"], clearance: Float[Tensor, "*B"] | None = None
    ) -> Float[Tensor, "*B 4 4"]:
        """The camera after an action [*B, J or more]: radians (metres) that each joint moves, stopped at its limits.
        What follows (a gripper) does not move it; `clearance` is not looked at.

        Raises ValueError for an action that is not finite or of another shape, and a camera that is out of reach.
        """
        names = self.robot.joint_names
        action = _checked(w2c, action, len(names), f"changes of {', '.join(names)}").to(w2c)
        low, high = self.robot.limits.to(w2c).unbind(-1)
        flat = zip(w2c.reshape(-1, 4, 4), action.reshape(-1, action.shape[-1]), strict=True)
        moved = [self._one(camera, change[: len(names)], low, high) for camera, change in flat]
        return torch.stack(moved).reshape(w2c.shape)

    def _one(self, w2c: Tensor, change: Tensor, low: Tensor, high: Tensor) -> Tensor:
        now = self.robot.joints(w2c, self.home.to(w2c))
        return self.robot.camera((now + change).clamp(low, high))


def _checked(w2c: Tensor, action: Tensor, width: int, words: str) -> Tensor:
    shape = [*w2c.shape[:-2], width]
    if action.shape[:-1] != w2c.shape[:-2] or action.shape[-1] < width or not bool(torch.isfinite(action).all()):
        raise ValueError(
            f"expected a finite action {shape} for cameras {list(w2c.shape)}; got {list(action.shape)}; give {words} "
            "for each camera"
        )
    return action
