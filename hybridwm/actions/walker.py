"""The walker: an upright body whose left eye is the camera. Kinematics only; walls come in as a clearance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

NAMES = ("forward_m", "right_m", "yaw_rad", "pitch_rad")
STEP = 0.25  # metres
TURN = math.radians(15.0)

# name → (forward m, right m, yaw rad with left positive, pitch rad with up positive); the order is the index
ACTIONS: dict[str, tuple[float, float, float, float]] = {
    "forward": (STEP, 0.0, 0.0, 0.0),
    "back": (-STEP, 0.0, 0.0, 0.0),
    "left": (0.0, 0.0, TURN, 0.0),
    "right": (0.0, 0.0, -TURN, 0.0),
    "strafe_left": (0.0, -STEP, 0.0, 0.0),
    "strafe_right": (0.0, STEP, 0.0, 0.0),
    "look_up": (0.0, 0.0, 0.0, TURN),
    "look_down": (0.0, 0.0, 0.0, -TURN),
    "stay": (0.0, 0.0, 0.0, 0.0),
}


def action_vectors(device: torch.device | str = "cpu") -> Float[Tensor, "A 4"]:
    """The discrete actions as rows, in the order of ACTIONS."""
    return torch.tensor(list(ACTIONS.values()), device=device)


def rotation(axis: Float[Tensor, "3"], angle: Float[Tensor, "*B"]) -> Float[Tensor, "*B 3 3"]:
    """Right-handed rotation about a unit axis (Rodrigues)."""
    x, y, z = axis.expand(*angle.shape, 3).unbind(-1)
    o = torch.zeros_like(angle)
    cross = torch.stack([o, -z, y, z, o, -x, -y, x, o], -1).reshape(*angle.shape, 3, 3)
    s, c = angle.sin()[..., None, None], angle.cos()[..., None, None]
    return torch.eye(3, dtype=angle.dtype, device=angle.device) + s * cross + (1 - c) * (cross @ cross)


@dataclass(frozen=True)
class Walker:
    """Body constants. `up` is the world axis that the walker stands along; rooms have +z up."""

    radius: float = 0.40  # metres kept from what is ahead
    pitch_limit: float = math.radians(60.0)
    up: tuple[float, float, float] = (0.0, 0.0, 1.0)

    @property
    def names(self) -> tuple[str, ...]:
        """Components of an action."""
        return NAMES

    def read(self, action: Any) -> Float[Tensor, "4"]:
        """An action by name, by index or as four numbers (actions.choice). Raises ValueError."""
        from .choice import action_vector  # it knows the walker's actions

        return action_vector(action)

    def pitch(self, w2c: Float[Tensor, "*B 4 4"]) -> Float[Tensor, "*B"]:
        """Angle of the gaze above the horizon, radians."""
        up = torch.tensor(self.up, dtype=w2c.dtype, device=w2c.device)
        return (w2c[..., 2, :3] @ up).clamp(-1, 1).asin()

    def heading(self, w2c: Float[Tensor, "*B 4 4"]) -> Float[Tensor, "*B 3"]:
        """Unit horizontal direction of `forward`, from the camera's x axis, so defined at any pitch."""
        up = torch.tensor(self.up, dtype=w2c.dtype, device=w2c.device)
        right = w2c[..., 0, :3]
        return torch.nn.functional.normalize(torch.linalg.cross(up.expand_as(right), right), dim=-1)

    def move(
        self,
        w2c: Float[Tensor, "*B 4 4"],
        action: Float[Tensor, "*A"],
        clearance: Float[Tensor, "*B"] | None = None,
    ) -> Float[Tensor, "*B 4 4"]:
        """The camera after an action [*B, 4]: forward m, right m, yaw rad (left +), pitch rad (up +).

        Yaw turns about `up` through the eye, then the body moves along its new horizontal heading, then
        the gaze pitches about the camera's x axis within ±pitch_limit. `clearance` is the free distance
        straight ahead in metres: forward motion stops `radius` short of it. Raises ValueError for an action
        that is not finite or not [*B, 4].
        """
        if action.shape != (*w2c.shape[:-2], 4):
            raise ValueError(
                f"expected an action {[*w2c.shape[:-2], 4]} for cameras {list(w2c.shape)}; got "
                f"{list(action.shape)}; give (forward m, right m, yaw rad, pitch rad) for each camera"
            )
        if not bool(torch.isfinite(action).all()):
            raise ValueError(
                f"expected finite action numbers; got {action.tolist()}; remove NaN and infinity"
            )
        action = action.to(w2c)
        forward, right, yaw, pitch = action.unbind(-1)
        if clearance is not None:
            forward = torch.minimum(forward, (clearance.to(w2c) - self.radius).clamp(min=0))
        up = torch.tensor(self.up, dtype=w2c.dtype, device=w2c.device)

        world_from_camera = w2c[..., :3, :3].mT
        center = -(world_from_camera @ w2c[..., :3, 3:])[..., 0]
        yawed = rotation(up, yaw)
        turned = yawed @ world_from_camera
        ahead = (yawed @ self.heading(w2c)[..., None])[..., 0]
        center = (
            center
            + forward[..., None] * ahead
            + right[..., None] * torch.linalg.cross(ahead, up.expand_as(ahead))
        )

        now = self.pitch(w2c)
        limit = torch.full_like(now, self.pitch_limit)
        limit = torch.maximum(limit, now.abs())  # a camera that starts beyond the limit is not snapped back
        pitch = (now + pitch).clamp(-limit, limit) - now
        x_axis = torch.tensor([1.0, 0.0, 0.0], dtype=w2c.dtype, device=w2c.device)
        turned = turned @ rotation(x_axis, pitch)

        moved = torch.zeros_like(w2c)
        moved[..., :3, :3] = turned.mT
        moved[..., :3, 3] = -(turned.mT @ center[..., None])[..., 0]
        moved[..., 3, 3] = 1
        return moved

    def carried(
        self, w2c: Float[Tensor, "*B 4 4"], action: Float[Tensor, "*B 4"], clearance: Float[Tensor, "*B"] | None = None
    ) -> Float[Tensor, "*B 4"]:
        """The action as `move` carries it out: forward as far as it is free, the gaze as far as the neck goes.

        What nothing stops is the action itself, bit for bit.
        """
        wished, now = action.to(w2c), self.pitch(w2c)
        forward, pitch = wished[..., 0], wished[..., 3]
        if clearance is not None:
            forward = torch.minimum(forward, (clearance.to(w2c) - self.radius).clamp(min=0))
        limit = now.abs().clamp(min=self.pitch_limit)
        held = (now + pitch).clamp(-limit, limit)
        pitch = torch.where(held == now + pitch, pitch, held - now)
        return torch.stack([forward, wished[..., 1], wished[..., 2], pitch], -1).to(action)

    def stand(
        self,
        position: Float[Tensor, "*B 3"],
        yaw: Float[Tensor, "*B"],
        pitch: Float[Tensor, "*B"] | None = None,
    ) -> Float[Tensor, "*B 4 4"]:
        """w2c of a walker with +z up: at yaw 0 it looks along +x, yaw grows to the left, pitch upwards."""
        pitch = torch.zeros_like(yaw) if pitch is None else pitch
        cy, sy, cp, sp = yaw.cos(), yaw.sin(), pitch.cos(), pitch.sin()
        right = torch.stack([sy, -cy, torch.zeros_like(yaw)], -1)
        ahead = torch.stack([cp * cy, cp * sy, sp], -1)
        down = torch.linalg.cross(ahead, right)
        w2c = torch.zeros(*yaw.shape, 4, 4, dtype=yaw.dtype, device=yaw.device)
        w2c[..., :3, :3] = torch.stack([right, down, ahead], -2)
        w2c[..., :3, 3] = -(w2c[..., :3, :3] @ position[..., None])[..., 0]
        w2c[..., 3, 3] = 1
        return w2c
