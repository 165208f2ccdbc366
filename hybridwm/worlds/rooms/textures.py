"""Surface colour as a function of (u, v) in metres; what is finer than a pixel fades out."""

from __future__ import annotations

from functools import cache

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .materials import COLUMNS, FAR

TABLE = 128  # the noise repeats after 128 cells
INDEX = {name: k for k, name in enumerate(COLUMNS)}


@cache
def noise_table(device: torch.device) -> Float[Tensor, "N 4"]:
    """Hashed lattice values, 0…1, each row with its neighbours: (x, y), (x+1, y), (x, y+1), (x+1, y+1)."""
    n = torch.arange(TABLE * TABLE, dtype=torch.int64)
    h = (n * 0x9E3779B1 + 0x7F4A7C15) & 0xFFFFFFFF
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
        h = ((h ^ (h >> shift)) * factor) & 0xFFFFFFFF
    value = (h.double() / 2**32).float().reshape(TABLE, TABLE)  # [y, x]
    right, down = value.roll(-1, 1), value.roll(-1, 0)
    return torch.stack([value, right, down, right.roll(-1, 0)], -1).reshape(-1, 4).to(device)


def lattice(ix: Tensor, iy: Tensor) -> Tensor:
    """Row of the noise table for whole-number cell coordinates held as floats."""
    return (iy.int() & (TABLE - 1)) * TABLE + (ix.int() & (TABLE - 1))


def value_noise(x: Tensor, y: Tensor, seed_x: Tensor, seed_y: Tensor) -> Tensor:
    """Smooth noise in -1…1 with lattice spacing 1."""
    fx, fy = x.floor(), y.floor()
    corner = noise_table(x.device)[lattice(fx + seed_x, fy + seed_y)]
    fx, fy = x - fx, y - fy
    fx, fy = fx * fx * (3 - 2 * fx), fy * fy * (3 - 2 * fy)
    top = torch.lerp(corner[..., 0], corner[..., 1], fx)
    return torch.lerp(top, torch.lerp(corner[..., 2], corner[..., 3], fx), fy) * 2 - 1


def edge(x: Tensor, footprint: Tensor) -> Tensor:
    """A unit step at 0, averaged over a pixel `footprint` wide (same unit as x)."""
    return (x / footprint + 0.5).clamp(0, 1)


def line(distance: Tensor, width: Tensor, period: Tensor, footprint: Tensor) -> Tensor:
    """Share of a pixel under lines of `width`, one each `period`, the nearest `distance` away; all metres."""
    foot = torch.minimum(footprint, period)
    low, high = distance - foot / 2, distance + foot / 2
    half = width / 2
    return (torch.minimum(high, half) - torch.maximum(low, -half)).clamp(min=0) / foot


def cells(m, u: Tensor, v: Tensor, fu: Tensor, fv: Tensor, seed_x: Tensor, seed_y: Tensor) -> tuple[Tensor, Tensor]:
    """Box-filtered per-cell tone in -1…1 and the share of grout."""
    w, h = m("cell_w"), m("cell_h")
    y = v / h - torch.where(h < FAR, 0.5, 0.0)  # a cell of no visible edge is centred, others start at 0
    row = y.floor()
    y = y - row
    blend = edge(y - 0.5, fv / h)
    x = u / w - torch.where(w < FAR, 0.5, 0.0) + row * m("row_shift")
    tones, gaps = [], []
    for k in (0, 1):  # the two rows that a pixel can touch
        if k:
            x = x + m("row_shift")
        column = x.floor()
        fx = x - column
        pair = noise_table(u.device)[lattice(column + seed_x, row + (k + seed_y))]
        odd = ((column + row + k).int() & 1).to(u.dtype)
        left = torch.lerp(pair[..., 0], odd, m("parity"))
        right = torch.lerp(pair[..., 1], 1 - odd, m("parity"))
        tones.append(torch.lerp(left, right, edge(fx - 0.5, fu / w)))
        gaps.append((fx - 0.5) * w)
    tone = torch.lerp(tones[0], tones[1], blend) * 2 - 1
    gap = torch.where(y < 0.5, gaps[0], gaps[1])
    upright, lying = line(gap, m("grout"), w, fu), line((y - 0.5) * h, m("grout"), h, fv)
    fade = torch.exp(-0.25 * ((fu / w) ** 2 + (fv / h) ** 2))
    return tone * fade, upright + lying - upright * lying


def texture(
    table: Float[Tensor, "P K"],
    material: Int[Tensor, "*R"],
    u: Tensor,
    v: Tensor,
    fu: Tensor,
    fv: Tensor,
    side: Tensor,
) -> Float[Tensor, "3 *R"]:
    """Albedo 0…1 at surface coordinates u, v (metres) for pixels that cover fu × fv metres there.

    `table` holds one material per column (rows: materials.COLUMNS); `side` is a small whole number that gives
    the faces of one object different cells.
    """
    rows = table[:, material]

    def m(name: str) -> Tensor:
        return rows[INDEX[name]]

    seed_x, seed_y = m("seed_x") + 29 * side, m("seed_y") + 17 * side
    tone, grout = cells(m, u, v, fu, fv, seed_x, seed_y)

    grain = m("grain")
    x, y, fx, fy = u / grain * m("stretch"), v / grain, fu / grain * m("stretch"), fv / grain
    spread = fx * fx + fy * fy
    coarse = value_noise(x, y, seed_x + 50, seed_y) * torch.exp(-0.35 * spread)
    fine = value_noise(x * 2.13, y * 2.13, seed_x, seed_y + 50) * torch.exp(-1.6 * spread)
    finest = value_noise(x * 5.3, y * 5.3, seed_x + 50, seed_y + 50) * torch.exp(-9.8 * spread)

    mix = m("cell_mix") * tone + m("grain_mix") * (coarse + 0.5 * fine)
    low, high = (-mix).clamp(0, 1), mix.clamp(0, 1)
    light = 1 + m("grain_light") * (0.25 * coarse + 0.45 * fine + 0.3 * finest)

    pu, pv = m("period_u"), m("period_v")
    du, dv = (u - pu * (u / pu).round()).abs(), (v - pv * (v / pv).round()).abs()
    reach = torch.where(m("diamond") > 0.5, (du + dv) * 0.78, torch.sqrt(du * du + dv * dv + 1e-12))
    foot = torch.maximum(fu, fv)
    width = m("shape_width")
    thin = torch.minimum(torch.ones_like(foot), width / foot)  # a ring thinner than a pixel only tints it
    shape = edge(width - (reach - m("shape_radius")).abs(), foot) * (width > 0) * thin
    shape = shape * torch.exp(-0.5 * (foot / pu) ** 2)

    out = []
    for k in "rgb":
        colour = m(f"a_{k}") * low + m(f"b_{k}") * (1 - low - high) + m(f"c_{k}") * high
        colour = torch.lerp(colour, m(f"shape_{k}"), shape)
        out.append(torch.lerp(colour, m(f"grout_{k}"), grout) * light)
    return torch.stack(out).clamp(0, 1)
