"""The eyes that walks were seen with, of a simulator or of a recording."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from render import Camera


@runtime_checkable
class Rig(Protocol):
    """One lens for all walks; the right eye is `baseline` metres along the left one's +x. focal: pixels."""

    @property
    def baseline(self) -> float: ...

    @property
    def focal(self) -> float: ...

    def camera(self, w2c: Float[Tensor, "*B 4 4"]) -> Camera:
        """The left eye."""
        ...

    def stereo(self, w2c: Float[Tensor, "*B 4 4"]) -> Camera:
        """Both eyes as a camera batch [*B, 2], left first."""
        ...


@dataclass(frozen=True)
class RecordedRig:
    """The eyes of recorded episodes, at the size that they are trained at."""

    K: Float[Tensor, "3 3"]
    width: int
    height: int
    baseline: float

    @property
    def focal(self) -> float:
        return float(self.K[0, 0])

    def camera(self, w2c: Float[Tensor, "*B 4 4"]) -> Camera:
        K = self.K.to(w2c).expand(*w2c.shape[:-2], 3, 3)
        return Camera(K, w2c, self.width, self.height)

    def stereo(self, w2c: Float[Tensor, "*B 4 4"]) -> Camera:
        shift = torch.eye(4, dtype=w2c.dtype, device=w2c.device)
        shift[0, 3] = -self.baseline  # the world moves left when the eye moves right
        return self.camera(torch.stack([w2c, shift @ w2c], dim=-3))
