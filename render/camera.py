"""Pinhole cameras: OpenCV axes (+x right, +y down, +z forward), first pixel centre at (0.5, 0.5)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from .transforms import invert_rigid


@dataclass(frozen=True)
class Camera:
    """One pinhole camera, or a batch of them, without lens distortion.

    K: intrinsics in pixels, zero skew. w2c: world to camera, `x_camera = w2c @ x_world`, in metres.
    All cameras of a batch share width and height (pixels).

    Raises ValueError when the shapes do not fit together or the image is empty.
    """

    K: Float[Tensor, "*B 3 3"]
    w2c: Float[Tensor, "*B 4 4"]
    width: int
    height: int

    def __post_init__(self) -> None:
        if self.K.shape[-2:] != (3, 3):
            raise ValueError(f"Camera.K must be [*B, 3, 3] in pixels; got {list(self.K.shape)}.")
        if self.w2c.shape[-2:] != (4, 4):
            raise ValueError(
                f"Camera.w2c must be [*B, 4, 4], world to camera; got {list(self.w2c.shape)}. "
                "A 3x4 matrix needs the row 0 0 0 1."
            )
        if self.K.shape[:-2] != self.w2c.shape[:-2]:
            raise ValueError(
                f"Camera.K and Camera.w2c must have equal batch axes; got {list(self.K.shape)} and "
                f"{list(self.w2c.shape)}. Expand one of them."
            )
        if self.K.dtype != self.w2c.dtype or self.K.device != self.w2c.device:
            raise ValueError(
                f"Camera.K and Camera.w2c must share dtype and device; got {self.K.dtype} on {self.K.device} "
                f"and {self.w2c.dtype} on {self.w2c.device}. Use .to()."
            )
        if not (isinstance(self.width, int) and isinstance(self.height, int)):
            raise TypeError(f"Camera.width and height must be int; got {self.width!r} and {self.height!r}.")
        if self.width < 1 or self.height < 1:
            raise ValueError(f"Camera.width and height must be at least 1; got {self.width} x {self.height}.")

    @staticmethod
    def from_fov(
        width: int, height: int, fov_x_degrees: float, w2c: Float[Tensor, "*B 4 4"] | None = None
    ) -> Camera:
        """A centred camera with square pixels; w2c is the identity by default."""
        if not 0 < fov_x_degrees < 180:
            raise ValueError(f"fov_x_degrees must lie between 0 and 180; got {fov_x_degrees}.")
        w2c = torch.eye(4) if w2c is None else w2c
        focal = 0.5 * width / math.tan(math.radians(fov_x_degrees) / 2)
        K = w2c.new_tensor([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
        return Camera(K.expand(*w2c.shape[:-2], 3, 3), w2c, width, height)

    @staticmethod
    def stack(cameras: Sequence[Camera]) -> Camera:
        """One batched camera from several of the same size; the new axis comes first."""
        if not cameras:
            raise ValueError("Camera.stack needs at least one camera; got none.")
        sizes = {(camera.width, camera.height) for camera in cameras}
        if len(sizes) > 1:
            raise ValueError(f"Camera.stack needs one image size; got {sorted(sizes)}. Use resized() first.")
        K = torch.stack([camera.K for camera in cameras])
        w2c = torch.stack([camera.w2c for camera in cameras])
        return Camera(K, w2c, cameras[0].width, cameras[0].height)

    @property
    def c2w(self) -> Float[Tensor, "*B 4 4"]:
        """Camera to world, the inverse of w2c."""
        return invert_rigid(self.w2c)

    @property
    def center(self) -> Float[Tensor, "*B 3"]:
        """The optical centre in the world, metres."""
        return self.c2w[..., :3, 3]

    @property
    def batch_shape(self) -> tuple[int, ...]:
        return tuple(self.w2c.shape[:-2])

    @property
    def device(self) -> torch.device:
        return self.w2c.device

    @property
    def dtype(self) -> torch.dtype:
        return self.w2c.dtype

    def to(self, *args: Any, **kwargs: Any) -> Camera:
        """Moved or converted; takes what `Tensor.to` takes."""
        return replace(self, K=self.K.to(*args, **kwargs), w2c=self.w2c.to(*args, **kwargs))

    def __getitem__(self, index: Any) -> Camera:
        """Cameras picked from the batch axes."""
        if not self.batch_shape:
            raise IndexError("This camera has no batch axis to index.")
        return replace(self, K=self.K[index], w2c=self.w2c[index])

    def __len__(self) -> int:
        if not self.batch_shape:
            raise TypeError("This camera has no batch axis, so no length.")
        return self.batch_shape[0]

    def moved_right(self, baseline: float | Tensor) -> Camera:
        """The camera moved by baseline metres along its own +x: the right eye of a rectified stereo pair."""
        shift = torch.zeros_like(self.w2c)
        shift[..., 0, 3] = baseline
        return replace(self, w2c=self.w2c - shift)

    def resized(self, width: int, height: int) -> Camera:
        """The same field of view on another pixel grid."""
        # Pixel centres lie at +0.5, so image coordinates scale without an offset.
        factors = self.K.new_tensor([[width / self.width], [height / self.height], [1.0]])
        return replace(self, K=self.K * factors, width=width, height=height)

    def rays(self) -> tuple[Float[Tensor, "*B 3"], Float[Tensor, "*B H W 3"]]:
        """Origins and directions in the world; `origin + depth * direction` is the point at that depth.

        Directions have unit z in the camera, not unit length.
        """
        grid = pixel_grid(self.width, self.height, device=self.device, dtype=self.dtype)
        focal = torch.stack([self.K[..., 0, 0], self.K[..., 1, 1]], dim=-1)[..., None, None, :]
        xy = (grid - self.K[..., None, None, :2, 2]) / focal
        directions = torch.cat([xy, torch.ones_like(xy[..., :1])], dim=-1)
        # w2c's rotation applied from the right to a row vector is c2w's rotation applied from the left.
        return self.center, directions @ self.w2c[..., None, :3, :3]


def pixel_grid(
    width: int, height: int, *, device: torch.device | str | None = None, dtype: torch.dtype = torch.float32
) -> Float[Tensor, "H W 2"]:
    """Pixel centres (u, v): the top-left one is (0.5, 0.5)."""
    u = torch.arange(width, device=device, dtype=dtype) + 0.5
    v = torch.arange(height, device=device, dtype=dtype) + 0.5
    return torch.stack(torch.meshgrid(u, v, indexing="xy"), dim=-1)
