"""Collision proxies: convex parts that stand for a scanned surface in a simulator.

A scan is open: it has no inside. So parts are hulls of pieces of the surface, each given a thickness away from where
it was seen, and a piece is cut in two while its hull covers space that lies off the surface on the seen side. Cuts
follow the normals (a wall from a floor) or a plane across the piece, whichever leaves less.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from render.files import atomic_write
from render.geometry import project

from .open3d_import import import_open3d
from .surface import Mesh, ray_scene
from .view import View

SAMPLES = 400  # points in a hull, to see how much of it lies off the surface
MOST_TRIANGLES = 30_000  # of the simplified mesh that is cut
ACCEPTED = 0.05  # share of a hull's volume that may lie off the surface


@dataclass(frozen=True)
class ConvexPart:
    """A convex hull, closed: vertices in world metres, faces counter-clockwise from outside."""

    vertices: Float[Tensor, "V 3"]
    faces: Int[Tensor, "F 3"]


def convex_parts(
    mesh: Mesh, *, tolerance: float = 0.05, thickness: float = 0.02, max_parts: int = 1024, seed: int = 0
) -> list[ConvexPart]:
    """Convex parts of the surface. tolerance: metres by which a part may stand off the surface; thickness: metres
    that it reaches behind it. No more than max_parts, of which the last are then coarser.

    Raises ValueError for an empty mesh, and sizes that are not above 0.
    """
    if len(mesh.faces) == 0:
        raise ValueError("convex_parts needs a mesh with triangles; got none.")
    if not (tolerance > 0 and thickness > 0 and max_parts >= 1):
        raise ValueError(
            f"convex_parts needs tolerance and thickness above 0 m and max_parts of at least 1; got {tolerance}, "
            f"{thickness} and {max_parts}."
        )
    mesh = _simplified(mesh)
    cutter = _Cutter(mesh, tolerance, thickness, torch.Generator().manual_seed(seed))
    open_ = [piece for piece in cutter.connected() if piece is not None]
    open_ = sorted(open_, key=lambda piece: piece.volume)[-max_parts:]
    done: list[_Piece] = []
    while open_:
        open_.sort(key=lambda piece: piece.excess)  # cubic metres: the worst is cut first
        piece = open_.pop()
        cut = None
        if piece.excess > ACCEPTED * piece.volume and len(open_) + len(done) + 2 <= max_parts:
            cut = cutter.cut(piece)
        if cut is None:
            done.append(piece)
        else:
            open_.extend(cut)
    return [piece.part for piece in done]


@dataclass(frozen=True)
class _Piece:
    """Triangles, their hull, its volume and how much of that lies off the surface, cubic metres."""

    triangles: Int[Tensor, "T"]
    part: ConvexPart
    volume: float
    excess: float


class _Cutter:
    """Makes pieces of one mesh."""

    def __init__(self, mesh: Mesh, tolerance: float, thickness: float, generator: torch.Generator) -> None:
        self.mesh, self.tolerance, self.thickness, self.generator = mesh, tolerance, thickness, generator
        self.rays, self.o3d = ray_scene(mesh), import_open3d()
        self.centres = mesh.vertices[mesh.faces].mean(1)
        self.normals, self.areas = mesh.normals(), mesh.areas()

    def connected(self) -> list[_Piece | None]:
        label = torch.from_numpy(np.asarray(_legacy(self.mesh).cluster_connected_triangles()[0]).astype(np.int64))
        order = label.argsort(stable=True)
        return [self.piece(triangles) for triangles in order.split(label.bincount().tolist())]

    def piece(self, triangles: Int[Tensor, "T"]) -> _Piece | None:
        """The piece of these triangles; None where its hull has no volume."""
        part = self._hull(triangles)
        if part is None:
            return None
        points = _inside(part, SAMPLES, self.generator)
        distance = self.rays.compute_distance(self.o3d.core.Tensor(points.contiguous().numpy())).numpy()
        volume = _volume(part)
        return _Piece(triangles, part, volume, volume * float((distance > max(self.tolerance, self.thickness)).mean()))

    def cut(self, piece: _Piece) -> list[_Piece] | None:
        """Two pieces, parted in the way that leaves least off the surface; None when there is none."""
        best, least = None, float("inf")
        for side in self._sides(piece.triangles):
            if not 0 < int(side.sum()) < len(side):
                continue
            halves = [self.piece(piece.triangles[chosen]) for chosen in (side, ~side)]
            found = [half for half in halves if half is not None]
            excess = sum(half.excess for half in found)
            if found and excess < least:
                best, least = found, excess
        return best

    def _sides(self, piece: Int[Tensor, "T"]) -> list[Bool[Tensor, "T"]]:
        centres, normals, areas = self.centres[piece], self.normals[piece], self.areas[piece]
        sides = [self._by_normal(normals, areas)]
        offset = centres - centres.mean(0)
        axes = torch.linalg.eigh(offset.T @ offset)[1]
        for axis in (axes[:, 2], axes[:, 1]):
            along = offset @ axis
            sides += [along < along.quantile(q) for q in (0.33, 0.5, 0.67)] if len(along) < 16_000_000 else []
        return sides

    def _by_normal(self, normals: Float[Tensor, "T 3"], areas: Float[Tensor, "T"]) -> Bool[Tensor, "T"]:
        """The triangles that face more like one of two directions than like the other (2-means on the sphere)."""
        first = normals[areas.argmax()]
        second = normals[((normals @ first) - 2 * (areas == 0)).argmin()]
        side = torch.zeros(len(normals), dtype=torch.bool)
        for _ in range(8):
            side = normals @ first >= normals @ second
            first, second = (
                torch.nn.functional.normalize((normals * areas[:, None])[chosen].sum(0), dim=0)
                for chosen in (side, ~side)
            )
        return side

    def _hull(self, triangles: Int[Tensor, "T"]) -> ConvexPart | None:
        """The hull of the triangles and of a copy of them, moved behind; None where that has no volume."""
        used, faces = self.mesh.faces[triangles].unique(return_inverse=True)
        vertices = self.mesh.vertices[used]
        weighted = self.normals[triangles] * self.areas[triangles, None]
        total = torch.zeros_like(vertices).index_add_(0, faces.flatten(), weighted.repeat_interleave(3, dim=0))
        behind = vertices - self.thickness * torch.nn.functional.normalize(total, dim=1)
        points = torch.cat([vertices, behind]).double().numpy()
        o3d = self.o3d
        try:
            hull, _ = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(points)).compute_convex_hull()
        except RuntimeError:  # Qhull: all points in one plane
            return None
        hull.orient_triangles()
        vertices = torch.from_numpy(np.asarray(hull.vertices).astype(np.float32))
        part = ConvexPart(vertices, torch.from_numpy(np.asarray(hull.triangles).astype(np.int64)))
        volume = _volume(part)
        return ConvexPart(part.vertices, part.faces.flip(1)) if volume < 0 else part if volume > 0 else None


@torch.no_grad()
def free_share(parts: Sequence[ConvexPart], views: Sequence[View], margin: float, samples: int = 20_000) -> float:
    """The share of the parts' volume that some view looks through: it measured a surface more than `margin` metres
    behind it. 0 without parts. Views without depth say nothing."""
    if not parts:
        return 0.0
    generator = torch.Generator().manual_seed(0)
    points = torch.cat([_inside(part, max(8, samples // len(parts)), generator) for part in parts])
    volumes = torch.tensor([_volume(part) for part in parts], dtype=torch.float64)
    weight = volumes.repeat_interleave(len(points) // len(parts))
    free = torch.zeros(len(points), dtype=torch.bool)
    for view in views:
        if view.depth is None:
            continue
        uv, z = project(points, view.camera)
        u, v = uv[:, 0].floor().long(), uv[:, 1].floor().long()
        inside = (z > 0) & (u >= 0) & (v >= 0) & (u < view.width) & (v < view.height)
        free[inside] |= view.depth[v[inside], u[inside]] > z[inside] + margin
    return float((weight * free).sum() / weight.sum().clamp(min=1e-30))


def save_parts(parts: Sequence[ConvexPart], path: str | os.PathLike[str]) -> None:
    """Writes a .glb with one mesh for each part, named part_000, part_001, ...: world axes, metres.

    Raises ValueError for no parts or another suffix.
    """
    path = Path(path)
    if path.suffix.lower() != ".glb" or not parts:
        raise ValueError(f"save_parts writes at least one part into a .glb; got {len(parts)} for {path.name!r}.")
    import trimesh

    scene = trimesh.Scene()
    for i, part in enumerate(parts):
        hull = trimesh.Trimesh(part.vertices.numpy(), part.faces.numpy(), process=False)
        scene.add_geometry(hull, geom_name=f"part_{i:03d}", node_name=f"part_{i:03d}")
    with atomic_write(path) as temporary:
        scene.export(str(temporary))


def _volume(part: ConvexPart) -> float:
    """Cubic metres, by the divergence theorem."""
    corners = part.vertices[part.faces].double() - part.vertices.double().mean(0)
    return float(torch.linalg.det(corners).sum() / 6)


def _inside(part: ConvexPart, count: int, generator: torch.Generator) -> Float[Tensor, "P 3"]:
    """Points spread evenly in the part: tetrahedra from its middle to its faces, chosen by volume."""
    middle = part.vertices.mean(0)
    corners = part.vertices[part.faces] - middle
    total = torch.linalg.det(corners.double()).abs().cumsum(0)
    drawn = torch.rand(count, generator=generator, dtype=torch.float64) * total[-1]
    chosen = torch.searchsorted(total, drawn).clamp(max=len(corners) - 1)
    shares = -torch.rand(count, 4, generator=generator).clamp(min=1e-12).log()
    shares = shares / shares.sum(dim=1, keepdim=True)
    return middle + (shares[:, :3, None] * corners[chosen]).sum(1)


def _legacy(mesh: Mesh):
    o3d = import_open3d()
    vertices = o3d.utility.Vector3dVector(mesh.vertices.double().cpu().numpy())
    return o3d.geometry.TriangleMesh(vertices, o3d.utility.Vector3iVector(mesh.faces.int().cpu().numpy()))


def _simplified(mesh: Mesh) -> Mesh:
    """The mesh in float32 on the CPU, with no more triangles than are worth cutting."""
    legacy = _legacy(mesh)
    legacy.remove_duplicated_vertices()
    legacy.remove_degenerate_triangles()
    if len(legacy.triangles) > MOST_TRIANGLES:
        legacy = legacy.simplify_quadric_decimation(MOST_TRIANGLES)
        legacy.remove_degenerate_triangles()
    vertices = torch.from_numpy(np.asarray(legacy.vertices).astype(np.float32))
    faces = torch.from_numpy(np.asarray(legacy.triangles).astype(np.int64))
    return Mesh(vertices, faces, torch.zeros_like(vertices))
