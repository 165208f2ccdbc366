"""Trajectories brought onto each other by a returned similarity, and how far apart they then are.

Source: Umeyama, Least-Squares Estimation of Transformation Parameters Between Two Point Patterns (1991); Sturm et al.,
A Benchmark for the Evaluation of RGB-D SLAM Systems (2012).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from render.transforms import invert_rigid, transform_points


@dataclass(frozen=True)
class Alignment:
    """b_from_a: rigid or with a scale, as `scale`; errors: distances of the aligned a from b, in b's units; ate: their
    root mean square (the absolute trajectory error)."""

    b_from_a: Float[Tensor, "4 4"]
    scale: float
    errors: Float[Tensor, "N"]

    @property
    def ate(self) -> float:
        return float(self.errors.square().mean().sqrt())


def align(
    a: Float[Tensor, "N 3"], b: Float[Tensor, "N 3"], group: Literal["similarity", "rigid"] = "similarity"
) -> Alignment:
    """The transform of points a onto their partners b of the least squared distance: never a reflection.

    On a line the turn about it is free; the transform is still one of the best. Raises ValueError for fewer than two
    points (three for a turn that is told fully), for points that coincide, or numbers that are not finite.
    """
    if a.shape != b.shape or len(a) < 2:
        raise ValueError(
            f"align needs pairs of points, two at the least; got {list(a.shape)} and {list(b.shape)}. Select the "
            "cameras that both trajectories hold."
        )
    a, b = a.double(), b.double()
    if not (a.isfinite().all() and b.isfinite().all()):
        raise ValueError("align needs finite points; got NaN or Inf. Leave out the cameras that were not registered.")
    mean_a, mean_b = a.mean(0), b.mean(0)
    spread = (a - mean_a).square().sum(1).mean()
    if spread <= 1e-20 * (1 + mean_a.square().sum()) and group == "similarity":
        raise ValueError("align needs points that differ for a scale; got one place. Use group='rigid'.")
    left, stretch, right = torch.linalg.svd((b - mean_b).T @ (a - mean_a) / len(a))
    signs = torch.ones(3, dtype=torch.float64)
    signs[2] = torch.sign(torch.linalg.det(left) * torch.linalg.det(right))
    rotation = left @ torch.diag(signs) @ right
    scale = float((stretch * signs).sum() / spread) if group == "similarity" else 1.0
    if scale <= 0:
        raise ValueError(
            f"align found a scale of {scale:.3g}: the points b coincide, or have nothing in common with a."
        )
    b_from_a = torch.eye(4, dtype=torch.float64)
    b_from_a[:3, :3] = scale * rotation
    b_from_a[:3, 3] = mean_b - scale * rotation @ mean_a
    return Alignment(b_from_a, scale, (transform_points(b_from_a, a) - b).norm(dim=1))


def moved_cameras(w2c: Float[Tensor, "*V 4 4"], b_from_a: Float[Tensor, "4 4"]) -> Float[Tensor, "*V 4 4"]:
    """World-to-camera in the world b of cameras given in the world a. The cameras stay rigid: depths in them scale as
    b_from_a does."""
    scale = torch.linalg.det(b_from_a[:3, :3]) ** (1 / 3)
    c2w = b_from_a.to(w2c.dtype) @ invert_rigid(w2c)
    rotation = c2w[..., :3, :3] / scale.to(w2c.dtype)
    upper = torch.cat([rotation, c2w[..., :3, 3:]], dim=-1)
    return invert_rigid(torch.cat([upper, c2w[..., 3:, :]], dim=-2))


def relative_errors(
    a: Float[Tensor, "N 4 4"], b: Float[Tensor, "N 4 4"], gap: int = 1
) -> tuple[Float[Tensor, "M"], Float[Tensor, "M"]]:
    """Of each motion over `gap` cameras, how far that of trajectory a (w2c) is from that of b: degrees, and length in
    their units. Raises ValueError where there is no such pair."""
    if a.shape != b.shape or len(a) <= gap or gap < 1:
        raise ValueError(
            f"relative_errors needs more cameras than the gap; got {list(a.shape)}, {list(b.shape)}, gap={gap}."
        )
    motion_a, motion_b = (w[:-gap].double() @ invert_rigid(w[gap:].double()) for w in (a, b))
    error = invert_rigid(motion_b) @ motion_a
    return rotation_degrees(error[:, :3, :3]), error[:, :3, 3].norm(dim=1)


def rotation_degrees(rotation: Float[Tensor, "*S 3 3"]) -> Float[Tensor, "*S"]:
    """The angle of a rotation, exact for small ones too."""
    skew = rotation - rotation.transpose(-1, -2)
    sine = torch.stack([skew[..., 2, 1], skew[..., 0, 2], skew[..., 1, 0]], dim=-1).norm(dim=-1)
    cosine = rotation.diagonal(dim1=-2, dim2=-1).sum(-1) - 1
    return torch.rad2deg(torch.atan2(sine, cosine))
