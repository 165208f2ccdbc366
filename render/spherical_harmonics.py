"""View-dependent colour: real spherical harmonics up to degree 3, in the basis of 3D Gaussian splatting."""

from __future__ import annotations

import functools

import torch
from jaxtyping import Float
from torch import Tensor

MAX_DEGREE = 3
DC = 0.28209479177387814  # the constant basis function, 1 / (2 sqrt(pi))


def degree_of(sh: Float[Tensor, "N K 3"]) -> int:
    """The degree of K = (degree + 1)^2 coefficients. Raises ValueError when K is not 1, 4, 9 or 16."""
    degrees = {(degree + 1) ** 2: degree for degree in range(MAX_DEGREE + 1)}
    if sh.shape[1] not in degrees:
        raise ValueError(f"sh must hold 1, 4, 9 or 16 coefficients [N, K, 3]; got {list(sh.shape)}.")
    return degrees[sh.shape[1]]


def sh_from_rgb(rgb: Float[Tensor, "N 3"]) -> Float[Tensor, "N 1 3"]:
    """Degree-0 coefficients of colours that look the same from everywhere."""
    return ((rgb - 0.5) / DC)[:, None, :]


def rgb_from_sh(sh: Float[Tensor, "N K 3"]) -> Float[Tensor, "N 3"]:
    """The view-independent part of the colour, clamped at 0 below."""
    return (0.5 + DC * sh[:, 0]).clamp(min=0)


def evaluate_sh(sh: Float[Tensor, "N K 3"], directions: Float[Tensor, "N 3"]) -> Float[Tensor, "N 3"]:
    """Colour 0.5 + sum(sh * basis), clamped at 0 below; directions run from the camera to the Gaussian."""
    if degree_of(sh) == 0:
        return rgb_from_sh(sh)
    values = basis(torch.nn.functional.normalize(directions, dim=-1), degree_of(sh))
    return (0.5 + (values[..., None] * sh).sum(dim=1)).clamp(min=0)


def basis(directions: Float[Tensor, "*S 3"], degree: int) -> Float[Tensor, "*S K"]:
    """Basis functions at unit directions. Source: 3DGS (Kerbl et al. 2023), signs included."""
    x, y, z = directions.unbind(-1)
    values = [torch.full_like(x, DC)]
    if degree >= 1:
        c1 = 0.4886025119029199
        values += [-c1 * y, c1 * z, -c1 * x]
    if degree >= 2:
        values += [
            1.0925484305920792 * x * y,
            -1.0925484305920792 * y * z,
            0.31539156525252005 * (2 * z * z - x * x - y * y),
            -1.0925484305920792 * x * z,
            0.5462742152960396 * (x * x - y * y),
        ]
    if degree >= 3:
        values += [
            -0.5900435899266435 * y * (3 * x * x - y * y),
            2.890611442640554 * x * y * z,
            -0.4570457994644658 * y * (4 * z * z - x * x - y * y),
            0.3731763325901154 * z * (2 * z * z - 3 * x * x - 3 * y * y),
            -0.4570457994644658 * x * (4 * z * z - x * x - y * y),
            1.445305721320277 * z * (x * x - y * y),
            -0.5900435899266435 * x * (x * x - 3 * y * y),
        ]
    return torch.stack(values, dim=-1)


def rotate_sh(sh: Float[Tensor, "N K 3"], b_from_a: Float[Tensor, "3 3"]) -> Float[Tensor, "N K 3"]:
    """Coefficients of the same colours after the Gaussians turned by this rotation."""
    degree = degree_of(sh)
    if degree == 0:
        return sh
    rotation = b_from_a.to(torch.float64)
    turned = [sh[:, :1]]
    for band in range(1, degree + 1):
        first, last = band**2, (band + 1) ** 2
        samples, inverse = _band_samples(band)
        samples, inverse = samples.to(rotation.device), inverse.to(rotation.device)
        # A rotation mixes one band's functions among themselves: basis(R d) = basis(d) @ mixing, orthogonal.
        mixing = inverse @ basis(samples @ rotation.T, band)[:, first:last]
        turned.append(torch.einsum("ji,njc->nic", mixing.to(sh.dtype), sh[:, first:last]))
    return torch.cat(turned, dim=1)


@functools.cache
def _band_samples(band: int) -> tuple[Tensor, Tensor]:
    """Directions that determine a band's functions, and the pseudo-inverse of the basis there (float64)."""
    i = torch.arange(32, dtype=torch.float64)
    z = 1 - (2 * i + 1) / 32
    turn = i * 2.399963229728653  # the golden angle spreads the points evenly over the sphere
    r = (1 - z * z).sqrt()
    samples = torch.stack([r * turn.cos(), r * turn.sin(), z], dim=-1)
    return samples, torch.linalg.pinv(basis(samples, band)[:, band**2 :])
