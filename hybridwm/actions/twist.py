"""Bodies that are driven by velocities: a twist held for one period, in the body's own axes (x forward, y left, z up).

A constant twist moves along a screw, an arc in the plane: the exponential of se(3) (Lynch & Park 2017, section 3.3).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from .vector import read_vector

# OpenCV camera axes of a level camera in the middle of a body with ROS axes (REP 103)
LEVEL = ((0.0, -1.0, 0.0, 0.0), (0.0, 0.0, -1.0, 0.0), (1.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0))


def se3_exp(twist: Float[Tensor, "*B 6"]) -> Float[Tensor, "*B 4 4"]:
    """The rigid motion of a twist (v, ω) held for one unit of time: [R(ω), V(ω) v]."""
    v, w = twist[..., :3].double(), twist[..., 3:].double()
    zero = torch.zeros_like(w[..., 0])
    x, y, z = w.unbind(-1)
    W = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))
    angle = w.norm(dim=-1)[..., None, None]
    small = angle < 1e-4
    safe = torch.where(small, 1.0, angle)
    # series where the quotients lose their digits
    a = torch.where(small, 1 - angle**2 / 6, safe.sin() / safe)
    b = torch.where(small, 0.5 - angle**2 / 24, (1 - safe.cos()) / safe**2)
    c = torch.where(small, 1 / 6 - angle**2 / 120, (safe - safe.sin()) / safe**3)
    one = torch.eye(3, dtype=W.dtype, device=W.device)
    motion = torch.zeros(*twist.shape[:-1], 4, 4, dtype=W.dtype, device=W.device)
    motion[..., :3, :3] = one + a * W + b * (W @ W)
    motion[..., :3, 3] = ((one + b * W + c * (W @ W)) @ v[..., None])[..., 0]
    motion[..., 3, 3] = 1
    return motion.to(twist.dtype)


@dataclass(frozen=True)
class TwistBody:
    """Any rigid motion: (vx, vy, vz, wx, wy, wz), metres and radians a second.

    period: seconds that an action lasts. camera_from_body: where the camera sits on the body; by default level, in its
    middle, looking forward. radius: metres that are kept free ahead where the clearance is known.
    """

    period: float = 1.0
    camera_from_body: Float[Tensor, "4 4"] = field(default_factory=lambda: torch.tensor(LEVEL))
    radius: float = 0.4

    _names: ClassVar[tuple[str, ...]] = ("vx_m_s", "vy_m_s", "vz_m_s", "wx_rad_s", "wy_rad_s", "wz_rad_s")
    _fills: ClassVar[tuple[int, ...]] = (0, 1, 2, 3, 4, 5)
    _keys: ClassVar[dict[str, tuple[float, ...]]] = {}

    def __post_init__(self) -> None:
        if not 0 < self.period < float("inf"):
            raise ValueError(f"{type(self).__name__}.period: expected seconds above 0; got {self.period}.")

    @property
    def names(self) -> tuple[str, ...]:
        """Components of an action."""
        return self._names

    def read(self, action: Any) -> Float[Tensor, "a"]:
        """Numbers, or the name of a key: forward, back, left, right, stay, … Raises ValueError."""
        if isinstance(action, str):
            if action not in self._keys:
                known = ", ".join(self._keys) or "numbers alone"
                raise ValueError(f"action: expected one of {known}; got {action!r}.")
            return torch.tensor(self._keys[action])
        return read_vector(action, self.names)

    def move(
        self, w2c: Float[Tensor, "*B 4 4"], action: Float[Tensor, "*A"], clearance: Float[Tensor, "*B"] | None = None
    ) -> Float[Tensor, "*B 4 4"]:
        """The camera after an action [*B, a]. Forward motion stops `radius` short of what is ahead."""
        if action.shape != (*w2c.shape[:-2], len(self.names)):
            raise ValueError(
                f"action: expected {[*w2c.shape[:-2], len(self.names)]} ({', '.join(self.names)}); got "
                f"{list(action.shape)}."
            )
        twist = action.new_zeros(*action.shape[:-1], 6)
        twist[..., list(self._fills)] = action * self.period
        if clearance is not None:
            free = (clearance.to(twist) - self.radius).clamp(min=0)
            twist = torch.cat([torch.minimum(twist[..., :1], free[..., None]), twist[..., 1:]], -1)
        camera_from_body = self.camera_from_body.to(w2c)
        # new_from_old = camera_from_body · body_new_from_body_old · body_from_camera
        body_old_from_new = se3_exp(twist.to(w2c))
        return camera_from_body @ torch.linalg.inv(body_old_from_new) @ torch.linalg.inv(camera_from_body) @ w2c


@dataclass(frozen=True)
class PlanarBody(TwistBody):
    """A base that slides in the plane: (forward, left, turn to the left), metres and radians a second (SE(2))."""

    _names: ClassVar[tuple[str, ...]] = ("vx_m_s", "vy_m_s", "wz_rad_s")
    _fills: ClassVar[tuple[int, ...]] = (0, 1, 5)
    _keys: ClassVar[dict[str, tuple[float, ...]]] = {
        "forward": (0.5, 0.0, 0.0),
        "back": (-0.5, 0.0, 0.0),
        "left": (0.0, 0.0, 0.5),
        "right": (0.0, 0.0, -0.5),
        "strafe_left": (0.0, 0.5, 0.0),
        "strafe_right": (0.0, -0.5, 0.0),
        "stay": (0.0, 0.0, 0.0),
    }


@dataclass(frozen=True)
class DriveBody(TwistBody):
    """Differential drive: (forward, turn to the left), metres and radians a second."""

    _names: ClassVar[tuple[str, ...]] = ("v_m_s", "w_rad_s")
    _fills: ClassVar[tuple[int, ...]] = (0, 5)
    _keys: ClassVar[dict[str, tuple[float, ...]]] = {
        "forward": (0.5, 0.0),
        "back": (-0.5, 0.0),
        "left": (0.0, 0.5),
        "right": (0.0, -0.5),
        "stay": (0.0, 0.0),
    }

    @staticmethod
    def of_wheels(left: float, right: float, track: float) -> tuple[float, float]:
        """(v, w) of wheel speeds in metres a second and the metres between the wheels."""
        return (left + right) / 2, (right - left) / track
