"""The eyes that walk through the rooms: how many, image size, field of view, baseline, height, body radius."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from render.camera import Camera


@dataclass(frozen=True)
class RoomsRig:
    """Parallel pinhole eyes. The left eye is the walker; the right one is `baseline` metres along its +x.

    At 64 pixels and 77 degrees the focal length is 40 px, so 0.30 m of baseline gives 5 px at 2.4 m.
    `radius` is wider than the baseline, so neither eye can enter a wall.
    """

    size: int = 64  # pixels, width
    fov_x: float = 77.0  # degrees
    baseline: float = 0.30  # metres
    eye_height: float = 1.20  # metres above the floor
    radius: float = 0.40  # metres, of the walker's disc
    height: int | None = None  # pixels; None: as high as wide
    eyes: int = 2  # 1: the left one alone

    def __post_init__(self) -> None:
        for name, side in (("size", self.size), ("height", self.rows)):
            if side < 8:
                raise ValueError(f"expected a rig {name} of at least 8 pixels; got {side}; choose a larger {name}")
        if self.eyes not in (1, 2):
            raise ValueError(f"eyes: expected 1 or 2; got {self.eyes!r}; 1 has no right image")
        if not 10.0 <= self.fov_x <= 150.0:
            raise ValueError(f"expected fov_x in 10…150 degrees; got {self.fov_x}; choose one within")
        if not 0.0 < self.baseline < self.radius:
            raise ValueError(
                f"expected 0 < baseline < radius, both in metres; got baseline {self.baseline}, radius "
                f"{self.radius}; else the right eye can enter a wall: lower the baseline or widen the radius"
            )

    @property
    def rows(self) -> int:
        """Height in pixels."""
        return self.size if self.height is None else self.height

    @property
    def focal(self) -> float:
        """Focal length in pixels."""
        return self.size / 2 / math.tan(math.radians(self.fov_x) / 2)

    def camera(self, w2c: Float[Tensor, "*B 4 4"]) -> Camera:
        """The left eye at `w2c`."""
        f, h = self.focal, self.rows
        K = torch.tensor([[f, 0, self.size / 2], [0, f, h / 2], [0, 0, 1]], dtype=w2c.dtype, device=w2c.device)
        return Camera(K.expand(*w2c.shape[:-2], 3, 3), w2c, self.size, h)

    def see(self, w2c: Float[Tensor, "*B 4 4"]) -> Camera:
        """The eyes that the rig has, as a camera batch [*B, V], left first."""
        return self.stereo(w2c) if self.eyes == 2 else self.camera(w2c[..., None, :, :])

    def stereo(self, w2c: Float[Tensor, "*B 4 4"]) -> Camera:
        """Both eyes as a camera batch [*B, 2], left first."""
        shift = torch.eye(4, dtype=w2c.dtype, device=w2c.device)
        shift[0, 3] = -self.baseline  # the world moves left when the eye moves right
        return self.camera(torch.stack([w2c, shift @ w2c], dim=-3))
