"""What a frame's patches, its flow time, its rays and its place in time look like as vectors."""

from __future__ import annotations

import math

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn


def patchify(frames: Float[Tensor, "*B C H W"], patch: int) -> Float[Tensor, "*B n p"]:
    """Cut frames into rows of flattened patches, row-major."""
    return rearrange(frames, "... c (h p) (w q) -> ... (h w) (c p q)", p=patch, q=patch)


def unpatchify(patches: Float[Tensor, "*B n p"], patch: int, height: int, width: int) -> Float[Tensor, "*B C H W"]:
    """Inverse of `patchify`."""
    return rearrange(
        patches,
        "... (h w) (c p q) -> ... c (h p) (w q)",
        h=height // patch,
        w=width // patch,
        p=patch,
        q=patch,
    )


class TimeEmbedding(nn.Module):
    """Flow time 0…1 as Fourier features and a small network (Peebles & Xie 2023)."""

    frequencies: Tensor

    def __init__(self, dim: int, features: int = 64) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.logspace(0, 3, features // 2) * math.pi, persistent=False)
        self.mlp = nn.Sequential(nn.Linear(features, dim), nn.SiLU(), nn.Linear(dim, dim))

    def forward(self, t: Float[Tensor, "*B"]) -> Float[Tensor, "*B d"]:
        angles = t[..., None] * self.frequencies
        return self.mlp(torch.cat([angles.cos(), angles.sin()], -1))


class RayEmbedding(nn.Module):
    """A token's viewing ray, seen from the camera of the frame before: where it would land there is where to look."""

    frequencies: Tensor

    def __init__(self, dim: int, octaves: int = 4) -> None:
        super().__init__()
        self.register_buffer("frequencies", math.pi * 2.0 ** torch.arange(octaves), persistent=False)
        self.linear = nn.Linear(3 + 2 * 3 * octaves + 6, dim)

    def forward(self, rays: Float[Tensor, "*B n 6"]) -> Float[Tensor, "*B n d"]:
        origin, direction = rays.split(3, -1)
        waves = (direction[..., None] * self.frequencies).flatten(-2)
        # Pluecker coordinates, so that a ray is the same whichever point on it is named
        moment = torch.linalg.cross(origin, direction)
        return self.linear(torch.cat([direction, waves.cos(), waves.sin(), 4 * origin, 4 * moment], -1))


def ray_map(
    K: Float[Tensor, "*B 3 3"],
    to: Float[Tensor, "*B 4 4"],
    *,
    patch: int,
    width: int,
    height: int,
) -> Float[Tensor, "*B n 6"]:
    """Origin (metres) and unit direction of each patch centre's ray, in the axes that `to` leads to."""
    v, u = torch.meshgrid(
        torch.arange(patch / 2, height, patch, dtype=K.dtype, device=K.device),
        torch.arange(patch / 2, width, patch, dtype=K.dtype, device=K.device),
        indexing="ij",
    )
    pixels = torch.stack([u, v, torch.ones_like(u)], -1).reshape(-1, 3)
    directions = pixels @ torch.linalg.inv(K).mT
    directions = torch.nn.functional.normalize(directions @ to[..., :3, :3].mT, dim=-1)
    origins = to[..., None, :3, 3].expand_as(directions)
    return torch.cat([origins, directions], -1)


def eye_motion(
    previous_w2c: Float[Tensor, "*B 4 4"], w2c: Float[Tensor, "*B 4 4"], eyes: int, baseline: float
) -> Float[Tensor, "*B E 4 4"]:
    """previous_from_current of each eye; the right eye is `baseline` metres along the left one's +x."""
    # previous_from_current = previous_from_world @ world_from_current
    left = previous_w2c @ torch.linalg.inv(w2c)
    if eyes == 1:
        return left[..., None, :, :]
    right = left.clone()
    # previous_right_from_right = right_from_left @ left_motion @ left_from_right
    right[..., :3, 3] += baseline * left[..., :3, 0]
    right[..., 0, 3] -= baseline
    return torch.stack([left, right], -3)


def rotary_angles(
    steps: Int[Tensor, "*B F"], rows: int, columns: int, head_dim: int, corner: int = 1
) -> tuple[Float[Tensor, "*B F n h"], Float[Tensor, "*B F n h"]]:
    """Cosine and sine of the rotary angles over (time, y, x); the first `corner` tokens (the action's, the
    vectors') sit at y = x = -1.

    Angles are taken in float64: at step 10,000 float32 would be off by 1e-3 rad.
    """
    device = steps.device
    pairs = head_dim // 2
    n_time = pairs // 4
    n_space = (pairs - n_time) // 2
    n_time = pairs - 2 * n_space
    time = 1.0 / 8.0 ** (torch.arange(n_time, dtype=torch.float64, device=device) / n_time)
    space = 1.0 / 16.0 ** (torch.arange(n_space, dtype=torch.float64, device=device) / n_space)
    y, x = torch.meshgrid(
        torch.arange(rows, dtype=torch.float64, device=device),
        torch.arange(columns, dtype=torch.float64, device=device),
        indexing="ij",
    )
    outside = torch.full((corner,), -1.0, dtype=torch.float64, device=device)
    y, x = torch.cat([outside, y.flatten()]), torch.cat([outside, x.flatten()])
    n = y.shape[0]
    t_angles = steps.double()[..., None, None] * time
    t_angles = t_angles.expand(*steps.shape, n, n_time)
    s_angles = torch.cat([y[:, None] * space, x[:, None] * space], -1).expand(*steps.shape, n, 2 * n_space)
    angles = torch.cat([t_angles, s_angles], -1)
    return angles.cos().float(), angles.sin().float()


def rotate(
    x: Float[Tensor, "*B n d"], cos: Float[Tensor, "*#B n h"], sin: Float[Tensor, "*#B n h"]
) -> Float[Tensor, "*B n d"]:
    """Rotary position embedding (Su et al. 2021), halves convention."""
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)
