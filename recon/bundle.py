"""Bundle adjustment: the cameras and points of the least reprojection error, and how well the images determine them.

Levenberg-Marquardt on the Schur complement with a Huber loss, in double precision. Source: Triggs et al., Bundle
Adjustment: a Modern Synthesis (2000); the covariance up to a similarity as in its section 9.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

CHUNK = 512  # points whose coupling to all cameras is held at once
LEAST_DEPTH = 1e-9
MOST_DAMPING = 1e8


@dataclass(frozen=True)
class Structure:
    """Cameras of one K, points, and which camera saw which point at which pixel.

    w2c of a camera that is not registered is the identity and has no observation. Observations are sorted by point.
    """

    w2c: Float[Tensor, "V 4 4"]
    registered: Bool[Tensor, "V"]
    points: Float[Tensor, "N 3"]
    camera_index: Int[Tensor, "O"]
    point_index: Int[Tensor, "O"]
    pixels: Float[Tensor, "O 2"]

    def residuals(self, K: Float[Tensor, "3 3"]) -> tuple[Float[Tensor, "O 2"], Float[Tensor, "O"]]:
        """Seen pixels from projected ones, and the depth of each point in the camera that saw it."""
        in_camera = self._in_cameras()
        depth = in_camera[:, 2]
        projected = in_camera[:, :2] / depth.clamp(min=LEAST_DEPTH)[:, None] * K[[0, 1], [0, 1]] + K[:2, 2]
        return projected - self.pixels, depth

    def keep(self, observations: Bool[Tensor, "O"], least: int = 2) -> Structure:
        """Only these observations, and of the points those that `least` of them see."""
        seen = torch.bincount(self.point_index[observations], minlength=len(self.points))
        points = seen >= least
        observations = observations & points[self.point_index]
        renumbered = points.cumsum(0) - 1
        return replace(
            self,
            points=self.points[points],
            camera_index=self.camera_index[observations],
            point_index=renumbered[self.point_index[observations]],
            pixels=self.pixels[observations],
        )

    def _in_cameras(self) -> Tensor:
        w2c = self.w2c[self.camera_index]
        return (w2c[:, :3, :3] @ self.points[self.point_index][..., None]).squeeze(-1) + w2c[:, :3, 3]


@dataclass(frozen=True)
class Adjusted:
    """structure: adjusted; cost: the mean Huber loss in pixels²; steps: that were taken; converged: or out of steps."""

    structure: Structure
    cost: float
    steps: int
    converged: bool


def adjust(
    structure: Structure,
    K: Float[Tensor, "3 3"],
    *,
    fixed: Bool[Tensor, "V"] | None = None,
    huber: float = 1.0,
    most_steps: int = 50,
    tolerance: float = 1e-6,
) -> Adjusted:
    """Move cameras and points to the least reprojection error; cameras in `fixed` (commanded ones) stay as they are,
    bit for bit. huber in pixels; tolerance of the relative decrease.

    Without fixed cameras the result may have moved, turned and scaled as a whole; alignment.align() takes it back.
    Raises ValueError where there is nothing to adjust or a number is not finite.
    """
    _check(structure, K)
    free = structure.registered if fixed is None else structure.registered & ~fixed
    damping, steps = 1e-4, 0
    cost = _cost(structure, K, huber)
    converged = False
    while steps < most_steps and damping < MOST_DAMPING:
        system = _normal_equations(structure, K, free, huber)
        while damping < MOST_DAMPING:
            moved = _moved(structure, free, *system.solve(damping))
            new_cost = _cost(moved, K, huber)
            if new_cost < cost:
                break
            damping *= 10
        else:
            converged = True  # no step leads down: a minimum, as exactly as it can be told
            break
        converged = cost - new_cost <= tolerance * cost
        structure, cost, damping, steps = moved, new_cost, max(damping / 10, 1e-10), steps + 1
        if converged:
            break
    return Adjusted(structure, cost, steps, converged)


def center_deviations(structure: Structure, K: Float[Tensor, "3 3"], noise: float) -> Float[Tensor, "V"]:
    """Standard deviation of each registered camera's centre, in the structure's units, up to a similarity of them all;
    0 for the others. noise: of the pixels, in pixels.

    To first order, at a minimum; wrong matches that were kept are not in it.
    """
    _check(structure, K)
    free = structure.registered
    system = _normal_equations(structure, K, free, huber=torch.inf)
    reduced, _ = system.reduce(damping=1e-9)
    rotation = structure.w2c[free][:, :3, :3]
    count = len(rotation)
    # center = -R^T t, and a step (w, v) moves it by -R^T v: the turn is about the camera itself.
    to_centers = torch.zeros(count, 3, count, 6, dtype=torch.float64)
    each = torch.arange(count)
    to_centers[each, :, each, 3:] = -rotation.transpose(-1, -2)
    to_centers = to_centers.reshape(3 * count, 6 * count)
    centers = -(rotation.transpose(-1, -2) @ structure.w2c[free][:, :3, 3:]).squeeze(-1)
    offset = centers - centers.mean(0)
    shifts = torch.eye(3, dtype=torch.float64).repeat(count, 1)
    turns = torch.stack(
        [torch.linalg.cross(axis.expand_as(offset), offset).flatten() for axis in torch.eye(3).double()], 1
    )
    gauge = torch.cat([shifts, turns, offset.reshape(-1, 1)], dim=1)
    basis = torch.linalg.svd(gauge, full_matrices=False)
    basis = basis.U[:, (basis.S / basis.S[0]) > 1e-9]
    to_centers = to_centers - basis @ (basis.T @ to_centers)
    covariance = to_centers @ torch.linalg.pinv(reduced, rtol=1e-13, hermitian=True) @ to_centers.T
    deviations = torch.zeros(len(structure.w2c), dtype=torch.float64)
    deviations[free] = noise * covariance.diagonal().clamp(min=0).reshape(-1, 3).sum(1).sqrt()
    return deviations


@dataclass(frozen=True)
class _System:
    """Normal equations: cameras [F, 6, 6] and [F, 6], points [N, 3, 3] and [N, 3], and their coupling [O, 6, 3]."""

    cameras: Tensor
    points: Tensor
    coupling: Tensor
    camera_gradient: Tensor
    point_gradient: Tensor
    slots: Tensor
    point_index: Tensor

    def reduce(self, damping: float) -> tuple[Tensor, Tensor]:
        """The cameras' own system, the points eliminated: [6F, 6F] and [6F]."""
        matrix = torch.block_diag(*_damped(self.cameras, damping))
        inverse = torch.linalg.inv(_damped(self.points, damping))
        right = self.camera_gradient.flatten().clone()
        for start, stop, dense in self._dense():
            eliminated = dense @ inverse[start:stop]
            matrix -= torch.einsum("nak,nbk->ab", eliminated, dense)
            right -= torch.einsum("nak,nk->a", eliminated, self.point_gradient[start:stop])
        return matrix, right

    def solve(self, damping: float) -> tuple[Tensor, Tensor]:
        """Steps of the cameras [F, 6] and of the points [N, 3]."""
        inverse = torch.linalg.inv(_damped(self.points, damping))
        cameras = torch.zeros(0, dtype=torch.float64)
        rest = self.point_gradient.clone()
        if len(self.cameras):
            cameras = -torch.linalg.solve(*self.reduce(damping))
            for start, stop, dense in self._dense():
                rest[start:stop] += torch.einsum("nak,a->nk", dense, cameras)
        return cameras.reshape(-1, 6), -(inverse @ rest[..., None]).squeeze(-1)

    def _dense(self) -> Iterator[tuple[int, int, Tensor]]:
        """The coupling of some points to all free cameras, [n, 6F, 3]."""
        count = len(self.cameras)
        for start in range(0, len(self.points), CHUNK):
            stop = min(start + CHUNK, len(self.points))
            low, high = torch.searchsorted(self.point_index, torch.tensor([start, stop])).tolist()
            slots, index = self.slots[low:high], self.point_index[low:high] - start
            dense = torch.zeros(stop - start, count, 6, 3, dtype=torch.float64)
            mine = slots >= 0
            dense.index_put_((index[mine], slots[mine]), self.coupling[low:high][mine], accumulate=True)
            yield start, stop, dense.reshape(stop - start, 6 * count, 3)


def _normal_equations(structure: Structure, K: Tensor, free: Tensor, huber: float) -> _System:
    in_camera = structure._in_cameras()
    depth = in_camera[:, 2].clamp(min=LEAST_DEPTH)
    residuals, _ = structure.residuals(K)
    weights = (huber / residuals.norm(dim=1).clamp(min=1e-12)).clamp(max=1.0)[:, None, None]
    zero = torch.zeros_like(depth)
    fx, fy = K[0, 0], K[1, 1]
    along_x = torch.stack([fx / depth, zero, -fx * in_camera[:, 0] / depth**2], dim=1)
    along_y = torch.stack([zero, fy / depth, -fy * in_camera[:, 1] / depth**2], dim=1)
    projection = torch.stack([along_x, along_y], dim=1)
    # x_c moves by w cross x_c + v.
    by_turn = torch.linalg.cross(in_camera[:, None, :].expand_as(projection), projection)
    by_camera = torch.cat([by_turn, projection], dim=2)
    by_point = projection @ structure.w2c[structure.camera_index][:, :3, :3]
    slots = torch.where(free, free.cumsum(0) - 1, -1)[structure.camera_index]
    mine = slots >= 0
    count, points = int(free.sum()), len(structure.points)

    def gathered(length: int, index: Tensor, values: Tensor) -> Tensor:
        return torch.zeros(length, *values.shape[1:], dtype=torch.float64).index_add_(0, index, values)

    weighted = weights * by_camera
    residuals = residuals[..., None]
    return _System(
        cameras=gathered(count, slots[mine], (weighted.mT @ by_camera)[mine]),
        points=gathered(points, structure.point_index, (weights * by_point).mT @ by_point),
        coupling=weighted.mT @ by_point,
        camera_gradient=gathered(count, slots[mine], (weighted.mT @ residuals).squeeze(-1)[mine]),
        point_gradient=gathered(points, structure.point_index, ((weights * by_point).mT @ residuals).squeeze(-1)),
        slots=slots,
        point_index=structure.point_index,
    )


def _moved(structure: Structure, free: Tensor, cameras: Tensor, points: Tensor) -> Structure:
    w2c = structure.w2c.clone()
    if len(cameras):
        x, y, z = cameras[:, :3].unbind(-1)
        zero = torch.zeros_like(x)
        cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=1).reshape(-1, 3, 3)
        moved = torch.matrix_exp(cross) @ w2c[free][:, :3]
        moved[:, :, 3] += cameras[:, 3:]
        w2c[free] = torch.cat([moved, w2c[free][:, 3:]], dim=1)
    return replace(structure, w2c=w2c, points=structure.points + points)


def _cost(structure: Structure, K: Tensor, huber: float) -> float:
    residuals, depth = structure.residuals(K)
    length = residuals.norm(dim=1)
    loss = torch.where(length <= huber, length**2, 2 * huber * length - huber**2)
    # A step that puts a point behind its camera is never one down.
    return float("inf") if bool((depth <= LEAST_DEPTH).any()) else float(loss.mean())


def _damped(blocks: Tensor, damping: float) -> Tensor:
    diagonal = blocks.diagonal(dim1=-2, dim2=-1)
    return blocks + torch.diag_embed(damping * diagonal + 1e-12 * diagonal.amax(-1, keepdim=True).clamp(min=1e-12))


def _check(structure: Structure, K: Tensor) -> None:
    if not len(structure.pixels):
        raise ValueError("bundle adjustment needs observations; got none. Triangulate points first.")
    for name, value in (("w2c", structure.w2c), ("points", structure.points), ("pixels", structure.pixels), ("K", K)):
        if value.dtype != torch.float64 or not bool(value.isfinite().all()):
            raise ValueError(f"bundle adjustment needs {name} finite and in float64; got {value.dtype}. Use .double().")
    if bool((structure.point_index.diff() < 0).any()):
        raise ValueError("Structure's observations must be sorted by point. Sort them by point_index.")
    if not bool(structure.registered[structure.camera_index].all()):
        raise ValueError("Structure has observations of cameras that are not registered. Drop them with keep().")
