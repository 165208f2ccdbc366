"""Open3D's own RGB-D integration with its defaults, to hold ours against: VoxelBlockGrid at 2 cm, nothing cleaned."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from recon.open3d_import import import_open3d
from recon.surface import Mesh, ray_scene
from recon.view import View
from render.camera import Camera
from render.conventions import K_to_integer_centers

VOXEL = 0.02  # metres
FARTHEST = 10.0  # metres
TRUNCATION = 8.0  # voxels, Open3D's default
WEIGHT = 0.5  # more than that: one measurement is enough, as few views see the same place (the default is 3)
BLOCKS = 50_000  # room for so many before the grid has to grow


def integrated(views: Sequence[View]) -> Mesh:
    """The mesh of posed RGB-D views; all depth is taken at its word."""
    o3d = import_open3d()
    core = o3d.core
    grid = o3d.t.geometry.VoxelBlockGrid(
        ("tsdf", "weight", "color"), (core.float32,) * 3, ((1), (1), (3)), VOXEL, 16, BLOCKS
    )
    for view in views:
        assert view.depth is not None
        K, w2c = (
            core.Tensor(values.detach().double().cpu().contiguous().numpy())
            for values in (K_to_integer_centers(view.camera.K), view.camera.w2c)
        )
        depth, colour = (
            o3d.t.geometry.Image(core.Tensor(values.float().cpu().contiguous().numpy()))
            for values in (view.depth, view.image)
        )
        blocks = grid.compute_unique_block_coordinates(depth, K, w2c, 1.0, FARTHEST, TRUNCATION)
        grid.integrate(blocks, depth, colour, K, K, w2c, 1.0, FARTHEST, TRUNCATION)
    mesh = grid.extract_triangle_mesh(weight_threshold=WEIGHT)
    vertices, colours = (
        torch.from_numpy(values.numpy().copy()).float() for values in (mesh.vertex.positions, mesh.vertex.colors)
    )
    return Mesh(vertices, torch.from_numpy(mesh.triangle.indices.numpy().copy()).long(), colours.clamp(0, 1))


def mesh_colours(mesh: Mesh, camera: Camera) -> tuple[Float[Tensor, "H W 3"], Float[Tensor, "H W"]]:
    """What the camera sees of the mesh, its colours interpolated over each triangle, and the depth; 0 where nothing."""
    origin, directions = camera.rays()
    rays = torch.cat([origin.expand_as(directions), directions], dim=-1).float().contiguous()
    found = ray_scene(mesh).cast_rays(import_open3d().core.Tensor(rays.numpy()))
    depth, face, uv = (
        torch.from_numpy(found[name].numpy().copy()) for name in ("t_hit", "primitive_ids", "primitive_uvs")
    )
    hit = depth.isfinite()
    corners = mesh.colours[mesh.faces[torch.where(hit, face.long(), 0)]]
    weights = torch.cat([1 - uv.sum(-1, keepdim=True), uv], dim=-1)
    image = (corners * weights[..., None]).sum(-2)
    return torch.where(hit[..., None], image, 0), torch.where(hit, depth, 0)
