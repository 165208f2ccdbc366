"""A room of surface splats to measure renderers on: what lifting depth images of a room gives, of any size.

Splats are as large as the pixels of the image that they are lifted from, so one view of N pixels gives N splats that
cover the room about once each, as the scenes of `recon` do; several views overlap.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.linalg import cross
from torch.nn.functional import normalize

from render import Camera, Gaussians, sh_from_rgb
from render.trajectory import look_at
from render.transforms import quats_from_matrix

FOV_X_DEGREES = 75.0
UP = (0.0, -1.0, 0.0)  # +y is down, as in the camera
ROOM = ((-2.5, -1.5, -2.0), (2.5, 1.2, 6.0))  # lowest and highest corner, metres
BALLS = ((0.8, 0.6, 3.2, 0.5), (-1.0, 0.7, 2.6, 0.4), (0.1, -0.2, 4.2, 0.6), (1.6, -0.5, 4.5, 0.45))  # x, y, z, radius
OPACITY = 0.9
SIZE = 0.7  # standard deviation over the pixel's width on the surface
THICKNESS = 0.05  # the same, across the surface
MIN_SLANT = 0.15  # cosine below which a splat on a grazed surface grows no longer
COLOUR_NOISE = 0.03


def room_splats(count: int, *, views: int = 1, seed: int = 0, shuffled: bool = False) -> Gaussians:
    """About `count` splats on the room's surfaces: the largest square image for each of `views` that stays within it.

    They come view by view in pixel order, which is also near in space; `shuffled` takes that away. The seed changes
    the colours' noise and the shuffle, nothing else. Raises ValueError for fewer than one splat a view.
    """
    if views < 1 or count < views:
        raise ValueError(f"room_splats needs at least one view and one splat a view; got {count} in {views} views.")
    generator = torch.Generator().manual_seed(seed)
    side = math.isqrt(count // views)
    splats = Gaussians.cat([_lift(_lifted_camera(i, views, side), generator) for i in range(views)])
    return splats[torch.randperm(len(splats), generator=generator)] if shuffled else splats


def room_camera(width: int, height: int, k: float = 0.0) -> Camera:
    """A camera that none of the splats were lifted from; `k` moves it sideways, about 0.1 metres for each 1."""
    return _camera((0.15 + 0.1 * k, 0.05, -0.35 + 0.05 * k), (0.1 - 0.2 * k, 0.1, 3.0), width, height).to(torch.float32)


def _lifted_camera(i: int, views: int, side: int) -> Camera:
    eye = (0.25 * math.sin(3 * i), 0.1 * i - 0.1, -0.5 + 0.2 * i)
    return _camera(eye, (3 * math.sin(0.35 * (i - (views - 1) / 2)), 0.1, 3.0), side, side)


def _camera(eye: tuple[float, float, float], target: tuple[float, float, float], width: int, height: int) -> Camera:
    eye_, target_, up = (torch.tensor(vector, dtype=torch.float64) for vector in (eye, target, UP))
    return Camera.from_fov(width, height, FOV_X_DEGREES, look_at(eye_, target_, up))


def _lift(camera: Camera, generator: torch.Generator) -> Gaussians:
    """One splat for each pixel, lying on the surface that the pixel sees."""
    eye, rays = camera.rays()
    rays = rays.reshape(-1, 3)
    depth, normals = _first_surface(eye, rays)
    points, directions = eye + depth[:, None] * rays, normalize(rays, dim=-1)

    pixel = depth / camera.K[0, 0]  # metres that a pixel is wide at this depth
    slant = (normals * directions).sum(-1).abs().clamp(MIN_SLANT, 1)  # seen aslant, it is longer on the surface
    across = cross(normals, directions)
    askew = cross(normals, normals.new_tensor([0.3, 0.5, 0.81]).expand_as(normals))  # where it is seen head on
    across = normalize(torch.where(across.norm(dim=-1, keepdim=True) > 1e-4, across, askew), dim=-1)
    axes = torch.stack([across, cross(normals, across), normals], dim=-1)
    scales = torch.stack([SIZE * pixel, SIZE * pixel / slant, THICKNESS * pixel], dim=-1)

    noise = COLOUR_NOISE * torch.randn(points.shape, generator=generator, dtype=points.dtype)
    splats = Gaussians(
        means=points,
        quats=quats_from_matrix(axes),
        scales=scales,
        opacities=torch.full_like(depth, OPACITY),
        sh=sh_from_rgb((_paint(points, normals) + noise).clamp(0.02, 0.98)),
    )
    return splats.to(torch.float32)


def _first_surface(
    eye: Float[Tensor, "3"], rays: Float[Tensor, "R 3"]
) -> tuple[Float[Tensor, " R"], Float[Tensor, "R 3"]]:
    """How many rays' lengths away the room's shell or a ball is, and the normal there, towards the eye."""
    low, high = (eye.new_tensor(corner) for corner in ROOM)
    walls = torch.maximum((low - eye) / rays, (high - eye) / rays)  # the eye is inside: a slab's far side
    length, axis = walls.nan_to_num(nan=math.inf).min(dim=-1)
    normals = torch.zeros_like(rays)
    normals.scatter_(1, axis[:, None], -rays.gather(1, axis[:, None]).sign())
    for x, y, z, radius in BALLS:
        from_ball = eye - eye.new_tensor([x, y, z])
        # |from_ball + t ray| = radius, the smaller root
        a, b = (rays * rays).sum(-1), rays @ from_ball
        root = b * b - a * (from_ball @ from_ball - radius**2)
        t = (-b - root.clamp_min(0).sqrt()) / a
        hit = (root > 0) & (t > 1e-3) & (t < length)
        length = torch.where(hit, t, length)
        normals = torch.where(hit[:, None], (from_ball + t[:, None] * rays) / radius, normals)
    return length, normals


def _paint(points: Float[Tensor, "R 3"], normals: Float[Tensor, "R 3"]) -> Float[Tensor, "R 3"]:
    """Waves of colour, fainter on surfaces that do not face along x."""
    x, y, z = points.unbind(-1)
    waves = torch.stack([(3 * x + 1).sin(), (4 * y + 2 + z).sin(), (5 * z).sin()], dim=-1)
    return 0.5 + 0.5 * waves * (0.6 + 0.4 * normals[:, :1].abs())
