"""Surface colour as a function of (u, v) in metres; what is finer than a pixel fades out."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .materials import COLUMNS, FAR

Row = Callable[[str], Tensor]
"""A number of the material at each ray, by its name in materials.COLUMNS."""
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


def lattice(cells: Float[Tensor, "2 *R"]) -> Int[Tensor, "*R"]:
    """Row of the noise table for whole-number cell coordinates (x, y) held as floats."""
    x, y = (cells.int() & (TABLE - 1)).unbind(0)
    return y * TABLE + x


def value_noise(at: Float[Tensor, "2 *R"], seed: Float[Tensor, "2 *R"]) -> Float[Tensor, "*R"]:
    """Smooth noise in -1…1 with lattice spacing 1 at (x, y)."""
    whole = at.floor()
    corner = noise_table(at.device)[lattice(whole + seed)]
    part = at - whole
    x, y = (part * part * (3 - 2 * part)).unbind(0)
    low, high, low_down, high_down = corner.unbind(-1)
    return torch.lerp(torch.lerp(low, high, x), torch.lerp(low_down, high_down, x), y) * 2 - 1


def edge(x: Tensor, footprint: Tensor) -> Tensor:
    """A unit step at 0, averaged over a pixel `footprint` wide (same unit as x)."""
    return (x / footprint + 0.5).clamp(0, 1)


def line(distance: Tensor, width: Tensor, period: Tensor, footprint: Tensor) -> Tensor:
    """Share of a pixel under lines of `width`, one each `period`, the nearest `distance` away; all metres."""
    foot = torch.minimum(footprint, period)
    low, high = distance - foot / 2, distance + foot / 2
    half = width / 2
    return (torch.minimum(high, half) - torch.maximum(low, -half)).clamp(min=0) / foot


def cells(
    m: Row, u: Tensor, v: Tensor, fu: Tensor, fv: Tensor, seed_x: Tensor, seed_y: Tensor
) -> tuple[Tensor, Tensor]:
    """Box-filtered per-cell tone in -1…1 and the share of grout."""
    w, h, shift, parity = m("cell_w"), m("cell_h"), m("row_shift"), m("parity")
    y = v / h - torch.where(h < FAR, 0.5, 0.0)  # a cell of no visible edge is centred, others start at 0
    row = y.floor()
    y = y - row
    fv_h, fu_w = fv / h, fu / w
    x = u / w - torch.where(w < FAR, 0.5, 0.0) + row * shift
    both = torch.stack([x, x + shift])  # the two rows that a pixel can touch
    column = both.floor()
    fx = both - column - 0.5
    at = torch.stack([column + seed_x, torch.stack([row + seed_y, row + (1 + seed_y)])])
    near, far = noise_table(u.device)[lattice(at)][..., :2].unbind(-1)
    count = column + row
    count[1] += 1
    odd = (count.int() & 1).to(u.dtype)
    left, right = torch.lerp(near, odd, parity), torch.lerp(far, 1 - odd, parity)
    tones = torch.lerp(left, right, edge(fx, fu_w))
    tone = torch.lerp(tones[0], tones[1], edge(y - 0.5, fv_h)) * 2 - 1
    gaps = fx * w
    gap = torch.where(y < 0.5, gaps[0], gaps[1])
    upright, lying = line(gap, m("grout"), w, fu), line((y - 0.5) * h, m("grout"), h, fv)
    fade = torch.exp(-0.25 * (fu_w**2 + fv_h**2))
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
    single = rows.unbind(0)

    def m(name: str) -> Tensor:
        return single[INDEX[name]]

    def rgb(name: str) -> Tensor:
        return rows[INDEX[f"{name}_r"] : INDEX[f"{name}_r"] + 3]

    seed_x, seed_y = m("seed_x") + 29 * side, m("seed_y") + 17 * side
    tone, grout = cells(m, u, v, fu, fv, seed_x, seed_y)

    # three octaves of noise at once, each (x, y)
    grain, stretch = m("grain"), m("stretch")
    octave = torch.stack([u / grain * stretch, v / grain])
    fx, fy = fu / grain * stretch, fv / grain
    spread = fx * fx + fy * fy
    far_x, far_y = seed_x + 50, seed_y + 50
    seeds = torch.stack([torch.stack([far_x, seed_x, far_x]), torch.stack([seed_y, far_y, far_y])])
    fades = torch.stack([-0.35 * spread, -1.6 * spread, -9.8 * spread]).exp()
    noise = value_noise(torch.stack([octave, octave * 2.13, octave * 5.3], 1), seeds) * fades
    coarse, fine, finest = noise.unbind(0)

    mix = m("cell_mix") * tone + m("grain_mix") * (coarse + 0.5 * fine)
    low, high = (-mix).clamp(0, 1), mix.clamp(0, 1)
    light = 1 + m("grain_light") * (0.25 * coarse + 0.45 * fine + 0.3 * finest)

    pu, pv, width = m("period_u"), m("period_v"), m("shape_width")
    du, dv = (u - pu * (u / pu).round()).abs(), (v - pv * (v / pv).round()).abs()
    reach = torch.where(m("diamond") > 0.5, (du + dv) * 0.78, torch.sqrt(du * du + dv * dv + 1e-12))
    foot = torch.maximum(fu, fv)
    thin = (width / foot).clamp(max=1)  # a ring thinner than a pixel only tints it
    shape = edge(width - (reach - m("shape_radius")).abs(), foot) * (width > 0) * thin
    shape = shape * torch.exp(-0.5 * (foot / pu) ** 2)

    colour = rgb("a") * low + rgb("b") * (1 - low - high) + rgb("c") * high
    colour = torch.lerp(colour, rgb("shape"), shape)
    return (torch.lerp(colour, rgb("grout"), grout) * light).clamp(0, 1)
