"""Surfaces: posed depth into a truncated signed distance field (Curless and Levoy 1996), and that into a mesh.

Open3D integrates (VoxelBlockGrid: only blocks near a surface are stored); trimesh writes the files.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from render.camera import Camera
from render.conventions import K_to_integer_centers
from render.files import atomic_write
from render.geometry import project

from .lift import MIN_CONFIDENCE, trusted_pixels
from .open3d_import import import_open3d
from .view import View

BLOCK = 8  # voxels along the edge of a block
VOXEL_BYTES = 20  # distance, weight, three colours, float32
MEDIANS_DEEP = 5.0  # median depths beyond which a mesh is not worth its memory
VOXELS_PER_DEPTH = 200  # by default a voxel is the median depth over this
SUFFIXES = (".glb", ".ply", ".obj", ".stl")


@dataclass(frozen=True)
class Mesh:
    """Triangles with colours at their vertices. vertices: world, metres. faces: rows of vertices, counter-clockwise
    as seen from the side that was in view. colours: 0..1.

    Raises ValueError when the counts differ or a face names a vertex that is not there.
    """

    vertices: Float[Tensor, "V 3"]
    faces: Int[Tensor, "F 3"]
    colours: Float[Tensor, "V 3"]

    def __post_init__(self) -> None:
        if self.colours.shape != self.vertices.shape:
            raise ValueError(
                f"Mesh.colours must be {list(self.vertices.shape)} like vertices; got {list(self.colours.shape)}."
            )
        if len(self.faces) and not 0 <= int(self.faces.min()) <= int(self.faces.max()) < len(self.vertices):
            raise ValueError(
                f"Mesh.faces must name vertices 0..{len(self.vertices) - 1}; got {int(self.faces.min())} to "
                f"{int(self.faces.max())}."
            )

    def areas(self) -> Float[Tensor, "F"]:
        """Of each face, square metres."""
        return self._crossed().norm(dim=1) / 2

    def normals(self) -> Float[Tensor, "F 3"]:
        """Unit normals of the faces; 0 for faces without area."""
        return torch.nn.functional.normalize(self._crossed(), dim=1)

    def _crossed(self) -> Float[Tensor, "F 3"]:
        a, b, c = self.vertices[self.faces].unbind(1)
        return torch.linalg.cross(b - a, c - a)


def tsdf_mesh(
    views: Sequence[View],
    *,
    voxel: float | None = None,
    truncation: float = 5.0,
    max_depth: float | None = None,
    min_weight: float = 1.0,
    min_confidence: float = MIN_CONFIDENCE,
    smallest: float = 400.0,
    max_bytes: int = 2_000_000_000,
) -> Mesh:
    """The surface that the views measured, with their colours.

    voxel: metres, by default the median depth / 200. truncation: of the distances, in voxels. max_depth: metres, by
    default five times the median depth; what is farther is left out. min_weight: measurements that a voxel needs.
    smallest: connected parts of less area than so many squared voxels are removed. max_bytes: of the field.

    Raises ValueError for no views, a view without depth or with one that is not finite, nothing measured, and a field
    that would not fit into max_bytes.
    """
    if not views:
        raise ValueError("tsdf_mesh needs at least one view with depth; got none.")
    depths = []
    for view in views:
        trusted = trusted_pixels(view, min_confidence)
        assert view.depth is not None
        depths.append((view.depth * trusted).cpu().to(torch.float32))
    measured = torch.cat([depth[depth > 0] for depth in depths])
    if max_depth is None:
        max_depth = MEDIANS_DEEP * float(measured.median()) if len(measured) else math.inf
    depths = [depth * (depth <= max_depth) for depth in depths]
    measured = measured[measured <= max_depth]
    if len(measured) == 0:
        raise ValueError(
            f"tsdf_mesh found no pixel with depth of 0 to {max_depth} m and confidence >= {min_confidence} in "
            f"{len(views)} views. Are the depths in metres?"
        )
    if voxel is None:
        voxel = float(measured.median()) / VOXELS_PER_DEPTH
    if not voxel > 0:
        raise ValueError(f"tsdf_mesh needs a voxel of more than 0 m; got {voxel}.")
    blocks = _blocks(views, depths, BLOCK * voxel, truncation * voxel)
    needed = blocks * BLOCK**3 * VOXEL_BYTES
    if needed > max_bytes:
        raise ValueError(
            f"tsdf_mesh would need about {needed / 1e9:.1f} GB for voxels of {voxel:.4f} m; the limit is "
            f"{max_bytes / 1e9:.1f} GB. Use larger voxels, a smaller max_depth, or raise max_bytes."
        )
    o3d = import_open3d()
    core, images = o3d.core, o3d.t.geometry.Image
    names, shapes = ("tsdf", "weight", "color"), ((1), (1), (3))
    field = o3d.t.geometry.VoxelBlockGrid(names, (core.float32,) * 3, shapes, voxel, BLOCK, max(1000, blocks))
    for view, depth in zip(views, depths, strict=True):
        if not bool((depth > 0).any()):
            continue
        K, w2c = _open3d_camera(view.camera)
        image = images(core.Tensor(depth.contiguous().numpy()))
        colour = images(core.Tensor(view.image.detach().cpu().to(torch.float32).contiguous().numpy()))
        near = field.compute_unique_block_coordinates(
            image, core.Tensor(K), core.Tensor(w2c), 1.0, max_depth, truncation
        )
        field.integrate(
            near, image, colour, core.Tensor(K), core.Tensor(K), core.Tensor(w2c), 1.0, max_depth, truncation
        )
    mesh = field.extract_triangle_mesh(weight_threshold=min_weight - 0.5)  # more than that
    legacy = mesh.to_legacy()
    legacy.remove_vertices_by_mask(_seen_through(legacy, views, depths, 2 * voxel).numpy())
    return _cleaned(legacy, smallest * voxel**2)


def mesh_depth(mesh: Mesh, camera: Camera) -> Float[Tensor, "H W"]:
    """The depth of the mesh from one camera, metres along its axis; 0 where no ray meets it."""
    scene = ray_scene(mesh)
    origin, directions = camera.rays()
    rays = torch.cat([origin.expand_as(directions), directions], dim=-1).cpu().to(torch.float32)
    o3d = import_open3d()
    # directions have unit z in the camera, so the ray parameter is the depth
    hit = torch.from_numpy(scene.cast_rays(o3d.core.Tensor(rays.contiguous().numpy()))["t_hit"].numpy())
    return torch.where(hit.isfinite(), hit, 0).to(camera.K)


def save_mesh(mesh: Mesh, path: str | os.PathLike[str]) -> None:
    """Writes .glb, .ply, .obj or .stl (without colours), in world axes and metres as they are.

    Raises ValueError for another suffix or an empty mesh.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"save_mesh writes {', '.join(SUFFIXES)}; got {path.name!r}.")
    if len(mesh.faces) == 0:
        raise ValueError(f"save_mesh needs a mesh with triangles; got none for {path.name!r}.")
    import trimesh

    colours = (mesh.colours.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
    alpha = np.full((len(colours), 1), 255, np.uint8)
    written = trimesh.Trimesh(
        mesh.vertices.cpu().numpy(), mesh.faces.cpu().numpy(),
        vertex_colors=np.concatenate([colours, alpha], axis=1), process=False,
    )  # fmt: skip
    with atomic_write(path) as temporary:
        written.export(str(temporary))


def ray_scene(mesh: Mesh):
    """The mesh as Open3D's RaycastingScene. Raises ValueError for an empty mesh."""
    if len(mesh.faces) == 0:
        raise ValueError("a mesh to cast rays at needs triangles; got none.")
    o3d = import_open3d()
    scene = o3d.t.geometry.RaycastingScene()
    vertices = mesh.vertices.cpu().to(torch.float32).contiguous().numpy()
    faces = mesh.faces.cpu().to(torch.int32).contiguous().numpy().astype(np.uint32)
    scene.add_triangles(o3d.core.Tensor(vertices), o3d.core.Tensor(faces))
    return scene


def _open3d_camera(camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """K and w2c in float64; Open3D's first pixel centre is at 0."""
    K, w2c = K_to_integer_centers(camera.K), camera.w2c
    return tuple(values.detach().cpu().numpy().astype(np.float64) for values in (K, w2c))  # type: ignore[return-value]


def _blocks(views: Sequence[View], depths: list[Tensor], block: float, truncation: float) -> int:
    """About how many blocks the surfaces touch: of every second measured point and its ray's truncated ends."""
    found = []
    for view, depth in zip(views, depths, strict=True):
        origin, rays = view.camera.to("cpu", torch.float32).rays()
        sparse = depth[::2, ::2]
        rays, sparse = rays[::2, ::2][sparse > 0], sparse[sparse > 0][:, None]
        for shift in (-truncation, 0, truncation):
            index = torch.floor((origin + (sparse + shift) * rays) / block).clamp(-(2**20), 2**20 - 1).long()
            # one number for each block: sorting rows of three takes 50 times as long
            x, y, z = (index + 2**20).unbind(1)
            found.append(((x << 42) | (y << 21) | z).unique())
    return len(torch.cat(found).unique())


def _seen_through(legacy, views: Sequence[View], depths: list[Tensor], margin: float) -> Bool[Tensor, "V"]:
    """The vertices that more views look through than see: fins that the field grows at the edges of things, where
    one view's surface ends in another's free space."""
    vertices = torch.from_numpy(np.asarray(legacy.vertices).astype(np.float32))
    votes = torch.zeros(len(vertices), dtype=torch.int32)
    for view, used in zip(views, depths, strict=True):
        assert view.depth is not None
        depth = view.depth.cpu().to(torch.float32)
        uv, z = project(vertices, view.camera.to("cpu", torch.float32))
        u, v = uv.floor().clamp(-1, 1e6).long().unbind(1)
        rows = ((z > 0) & (u >= 0) & (v >= 0) & (u < view.width) & (v < view.height)).nonzero().squeeze(1)
        there, measured, z = depth[v[rows], u[rows]], used[v[rows], u[rows]], z[rows]
        votes[rows] += (there > z + margin).int() - ((measured > 0) & ((measured - z).abs() <= margin)).int()
    return votes > 0


def _cleaned(legacy, smallest_area: float) -> Mesh:
    """The mesh without its small connected parts, degenerate faces and unused vertices."""
    legacy.remove_degenerate_triangles()
    label, _, area = (np.asarray(values) for values in legacy.cluster_connected_triangles())
    if len(label):
        legacy.remove_triangles_by_mask(area[label] < smallest_area)
        legacy.remove_unreferenced_vertices()
    vertices = torch.from_numpy(np.asarray(legacy.vertices).astype(np.float32))
    faces = torch.from_numpy(np.asarray(legacy.triangles).astype(np.int64))
    colours = torch.from_numpy(np.asarray(legacy.vertex_colors).astype(np.float32)).clamp(0, 1)
    return Mesh(vertices, faces, colours if len(colours) else torch.zeros_like(vertices))
