"""A box in the world, in any orientation: what an edit of a scene is told by."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True)
class Box:
    """center [3] and size [3] (whole edge lengths) in metres; rotation [3, 3]: world from box, none: along the axes.

    Raises ValueError for sizes that are not above 0, for what is not finite, and for a matrix that does not rotate.
    """

    center: Float[Tensor, "3"]
    size: Float[Tensor, "3"]
    rotation: Float[Tensor, "3 3"] | None = None

    def __post_init__(self) -> None:
        values = [self.center, self.size] + ([] if self.rotation is None else [self.rotation])
        if not all(bool(torch.isfinite(value).all()) for value in values):
            raise ValueError("Box: expected finite numbers; got NaN or infinity. Check what it was made from.")
        if not bool((self.size > 0).all()):
            raise ValueError(f"Box.size: expected edge lengths above 0 metres; got {self.size.tolist()}.")
        if self.rotation is not None:
            error = float((self.rotation @ self.rotation.T - torch.eye(3).to(self.rotation)).abs().max())
            if error > 1e-3:
                raise ValueError(
                    f"Box.rotation: expected a rotation, world from box; its rows are not orthonormal (error "
                    f"{error:.2g}). Put lengths into size."
                )

    @staticmethod
    def of(world_from_box: Float[Tensor, "4 4"]) -> Box:
        """The cube of edge 1 round the origin, taken into the world: a rotation of lengths along its three axes.

        Raises ValueError for shear or an axis of length 0.
        """
        size = world_from_box[:3, :3].norm(dim=0)
        return Box(world_from_box[:3, 3], size, world_from_box[:3, :3] / size.clamp(min=1e-12))

    def contains(self, points: Float[Tensor, "*S 3"]) -> Bool[Tensor, "*S"]:
        """Which points lie inside or on the surface."""
        offset = points - self.center.to(points)
        inside = offset if self.rotation is None else offset @ self.rotation.to(points)
        return (inside.abs() <= self.size.to(points) / 2).all(-1)
