"""Other tools' conventions into ours and back: axes of cameras and scenes, pixel centres, quaternion order.
Nowhere else.

Ours: OpenCV camera axes, world to camera, first pixel centre at (0.5, 0.5), wxyz. A scene's world is that of its
splat PLY, whatever file it comes from: usually +x right, +y down, +z forward.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from .transforms import invert_rigid

# Half turns between the axes of splat files; all are right-handed. Source: the formats' own documentation.
PLY_FROM_GLTF = torch.diag(torch.tensor([-1.0, -1.0, 1.0, 1.0], dtype=torch.float64))  # +y up, fronts face +z
PLY_FROM_SPZ = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0], dtype=torch.float64))  # +y up, +z backward

# From a left-handed world with +y up (POV-Ray, Unity) into a right-handed one with +y down, and back.
MIRRORED_Y = torch.diag(torch.tensor([1.0, -1.0, 1.0, 1.0], dtype=torch.float64))


def w2c_from_left_handed(w2c: Float[Tensor, "*B 4 4"]) -> Float[Tensor, "*B 4 4"]:
    """From a left-handed camera with +y up in a left-handed world (ICL-NUIM shows that it is one by fy < 0): the y
    of both changes sign, fy turns positive, images stay as they are. No right-handed world has those coordinates,
    so points must go through MIRRORED_Y. Its own inverse."""
    mirror = MIRRORED_Y.to(w2c)
    return mirror @ w2c @ mirror


def w2c_from_opengl_c2w(c2w: Float[Tensor, "*B 4 4"]) -> Float[Tensor, "*B 4 4"]:
    """From OpenGL, Blender and NeRF: camera to world, +x right, +y up, the camera looks along -z."""
    return invert_rigid(c2w @ _flip_y_and_z(c2w))


def opengl_c2w_from_w2c(w2c: Float[Tensor, "*B 4 4"]) -> Float[Tensor, "*B 4 4"]:
    """To OpenGL, Blender and NeRF."""
    return invert_rigid(w2c) @ _flip_y_and_z(w2c)


def K_from_integer_centers(K: Float[Tensor, "*B 3 3"]) -> Float[Tensor, "*B 3 3"]:
    """From tools that put the first pixel's centre at (0, 0): OpenCV, Open3D, Middlebury's calib.txt."""
    return K + _half_pixel(K)


def K_to_integer_centers(K: Float[Tensor, "*B 3 3"]) -> Float[Tensor, "*B 3 3"]:
    """To tools that put the first pixel's centre at (0, 0)."""
    return K - _half_pixel(K)


def wxyz_from_xyzw(quats: Float[Tensor, "*S 4"]) -> Float[Tensor, "*S 4"]:
    """From SciPy, ROS, glTF and most engines."""
    return quats.roll(1, dims=-1)


def xyzw_from_wxyz(quats: Float[Tensor, "*S 4"]) -> Float[Tensor, "*S 4"]:
    """To SciPy, ROS, glTF and most engines."""
    return quats.roll(-1, dims=-1)


def w2c_from_pytorch3d(R: Float[Tensor, "*B 3 3"], T: Float[Tensor, "*B 3"]) -> Float[Tensor, "*B 4 4"]:
    """From PyTorch3D: +x left, +y up, +z forward, and row vectors, `x_camera = x_world @ R + T`."""
    signs = R.new_tensor([-1.0, -1.0, 1.0])
    upper = torch.cat([R.transpose(-1, -2), T[..., None]], dim=-1) * signs[:, None]
    last = R.new_tensor([[0.0, 0.0, 0.0, 1.0]]).expand(*R.shape[:-2], 1, 4)
    return torch.cat([upper, last], dim=-2)


def pytorch3d_from_w2c(w2c: Float[Tensor, "*B 4 4"]) -> tuple[Float[Tensor, "*B 3 3"], Float[Tensor, "*B 3"]]:
    """R and T, to PyTorch3D."""
    signs = w2c.new_tensor([-1.0, -1.0, 1.0])
    return w2c[..., :3, :3].transpose(-1, -2) * signs, w2c[..., :3, 3] * signs


def K_from_pytorch3d_ndc(
    focal: Float[Tensor, "*B 2"], principal: Float[Tensor, "*B 2"], width: int, height: int
) -> Float[Tensor, "*B 3 3"]:
    """From PyTorch3D's normalised units: half the shorter side is 1, the origin the image's centre, +x left, +y up."""
    unit = min(width, height) / 2
    K = torch.diag_embed(torch.cat([focal * unit, torch.ones_like(focal[..., :1])], dim=-1))
    center = focal.new_tensor([width / 2, height / 2]) - principal * unit
    return K + torch.nn.functional.pad(center[..., None], (2, 0, 0, 1))


def _flip_y_and_z(like: Tensor) -> Tensor:
    return torch.diag(like.new_tensor([1.0, -1.0, -1.0, 1.0]))


def _half_pixel(like: Tensor) -> Tensor:
    return like.new_tensor([[0.0, 0.0, 0.5], [0.0, 0.0, 0.5], [0.0, 0.0, 0.0]])
