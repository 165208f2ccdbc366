"""Materials: rows of numbers that `textures.py` turns into colour, and the styles they are drawn from."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np

# Columns of a material row. Colours are display rgb 0…1; lengths are metres on the surface.
COLUMNS = (
    *("a_r", "a_g", "a_b", "b_r", "b_g", "b_b", "c_r", "c_g", "c_b"),  # three tones that cells and noise mix
    *("grout_r", "grout_g", "grout_b", "shape_r", "shape_g", "shape_b"),
    *(
        "cell_w",
        "cell_h",
        "row_shift",
        "grout",
        "parity",
        "cell_mix",
    ),  # tiles, bricks, planks, checks, stripes
    *("grain", "stretch", "grain_light", "grain_mix"),  # octaves of value noise: size, anisotropy, amplitudes
    *("period_u", "period_v", "shape_radius", "shape_width", "diamond"),  # discs, rings, diamonds
    *("seed_x", "seed_y"),  # whole numbers: where in the noise table the material starts
)
FAR = 1000.0  # metres: a cell this large has no visible edge


def hsv(h: float, s: float, v: float) -> np.ndarray:
    return np.array(colorsys.hsv_to_rgb(h % 1.0, float(np.clip(s, 0, 1)), float(np.clip(v, 0, 1))))


def tones(rng: np.random.Generator, colour: np.ndarray, spread: float) -> tuple[np.ndarray, ...]:
    """Darker, middle and lighter neighbours of a colour, with a little change of hue."""
    h, s, v = colorsys.rgb_to_hsv(*colour)
    dh = rng.uniform(-0.04, 0.04)
    return (
        hsv(h + dh, s * 1.15, v * (1 - spread)),
        colour,
        hsv(h - dh, s * 0.75, min(1.0, v * (1 + 0.7 * spread))),
    )


def row(rng: np.random.Generator, a, b, c, **columns) -> np.ndarray:
    """A material row: plain plaster with grain unless `columns` says otherwise."""
    values = dict.fromkeys(COLUMNS, 0.0)
    for name, rgb in (("a", a), ("b", b), ("c", c)):
        values |= {f"{name}_{k}": float(x) for k, x in zip("rgb", rgb, strict=True)}
    values |= {"cell_w": FAR, "cell_h": FAR, "period_u": FAR, "period_v": FAR}
    values |= {"grain": 0.34, "stretch": 1.0, "grain_light": 0.55, "grain_mix": 0.5}
    for name in ("grout", "shape"):
        rgb = columns.pop(f"{name}_rgb", None)
        if rgb is not None:
            values |= {f"{name}_{k}": float(x) for k, x in zip("rgb", rgb, strict=True)}
    values |= {"seed_x": float(rng.integers(0, 4096)), "seed_y": float(rng.integers(0, 4096))}
    unknown = set(columns) - set(values)
    if unknown:
        raise ValueError(f"expected material columns {COLUMNS}; got {sorted(unknown)}; correct the name")
    values |= columns
    return np.array([values[name] for name in COLUMNS], dtype=np.float32)


def plaster(rng, colour):
    return row(rng, *tones(rng, colour, 0.3), grain=rng.uniform(0.28, 0.5), grain_mix=1.0, grain_light=0.4)


def bricks(rng, colour):
    w = rng.uniform(0.32, 0.5)
    return row(
        rng,
        *tones(rng, colour, 0.32),
        cell_w=w,
        cell_h=w * rng.uniform(0.4, 0.6),
        row_shift=0.5,
        cell_mix=0.9,
        grout=0.03,
        grout_rgb=colour * rng.choice([0.45, 1.3]),
        grain=0.2,
        grain_light=0.4,
        grain_mix=0.25,
    )


def tiles(rng, colour):
    w = rng.uniform(0.3, 0.5)
    return row(
        rng,
        *tones(rng, colour, 0.3),
        cell_w=w,
        cell_h=w,
        cell_mix=0.8,
        grout=0.025,
        grout_rgb=colour * rng.choice([0.5, 1.3]),
        grain=0.25,
        grain_light=0.4,
        grain_mix=0.3,
    )


def checks(rng, colour):
    w = rng.uniform(0.35, 0.6)
    return row(
        rng,
        *tones(rng, colour, 0.4),
        cell_w=w,
        cell_h=w,
        parity=1.0,
        cell_mix=0.8,
        grain=0.25,
        grain_light=0.4,
        grain_mix=0.3,
    )


def planks(rng, colour, upright=False):
    w, h = rng.uniform(0.9, 1.6), rng.uniform(0.16, 0.26)
    w, h = (h, FAR) if upright else (w, h)
    return row(
        rng,
        *tones(rng, colour, 0.32),
        cell_w=w,
        cell_h=h,
        row_shift=0.37,
        cell_mix=0.9,
        grout=0.014,
        grout_rgb=colour * 0.45,
        grain=0.24,
        stretch=1.6 if upright else 0.45,
        grain_light=0.5,
        grain_mix=0.35,
    )


def stripes(rng, colour):
    return row(
        rng,
        *tones(rng, colour, 0.35),
        cell_w=rng.uniform(0.18, 0.4),
        cell_h=FAR,
        parity=1.0,
        cell_mix=0.75,
        grain=0.25,
        grain_light=0.45,
        grain_mix=0.3,
    )


def dots(rng, colour, dot=None):
    p = rng.uniform(0.35, 0.55)
    dot = hsv(rng.uniform(), 0.5, 0.8) if dot is None else dot
    return row(
        rng,
        *tones(rng, colour, 0.25),
        period_u=p,
        period_v=p,
        shape_radius=rng.choice([0.0, 0.55]) * p / 2,
        shape_width=p * 0.14,
        diamond=float(rng.integers(2)),
        shape_rgb=dot,
        grain=0.3,
        grain_light=0.45,
        grain_mix=0.6,
    )


WALLS = (plaster, plaster, bricks, tiles, stripes, dots, lambda rng, c: planks(rng, c, upright=True))
FLOORS = (planks, planks, tiles, checks, plaster)
PIECES = (planks, plaster, tiles, checks, stripes, dots, bricks)


def poster(rng: np.random.Generator, colours: np.ndarray, width: float, height: float) -> np.ndarray:
    """A wall mark: three colours of the palette in one of four large patterns, centred on the mark."""
    a, b, c, d = colours[rng.permutation(len(colours))[:4]]
    low = dict(grain=0.2, grain_light=0.25, grain_mix=0.08)
    size = min(width, height)
    shape = dict(period_u=FAR, period_v=FAR, shape_rgb=d, diamond=float(rng.integers(2)))
    kind = rng.integers(4)
    if kind == 0:  # a flag of stripes, upright or lying
        n, upright = int(rng.choice([2, 4])), rng.integers(2)
        cells = dict(cell_w=width / n) if upright else dict(cell_h=height / n)
        return row(rng, a, b, c, **cells, cell_mix=1.0, **low)
    if kind == 1:  # a mosaic
        return row(
            rng,
            a,
            b,
            c,
            cell_w=width / int(rng.choice([2, 4])),
            cell_h=height / int(rng.choice([2, 4])),
            cell_mix=1.0,
            **low,
        )
    if kind == 2:  # one large disc or diamond, plain or ring
        ring = rng.integers(2)
        shape |= dict(shape_radius=0.32 * size * ring, shape_width=(0.09 if ring else 0.36) * size)
        return row(rng, a, a, b, **shape, **low)
    shape |= dict(shape_radius=0.0, shape_width=0.24 * size)  # checks under a disc
    return row(rng, a, b, c, cell_w=width / 2, cell_h=height / 2, parity=1.0, cell_mix=1.0, **shape, **low)


@dataclass(frozen=True)
class Style:
    """What `style_seed` decides: materials, palette and lights. Lights stand at shares of the room's size."""

    faces: np.ndarray  # [6, P] walls -x +x -y +y, floor, ceiling
    inner_wall: np.ndarray  # [P]
    frame: np.ndarray  # [P] door frames
    pieces: np.ndarray  # [8, P] furniture
    accents: np.ndarray  # [5, 3] colours of the marks
    lights: np.ndarray  # [L, 6] x y z in -1…1 of the half size and 0…1 of the height; rgb
    ambient: np.ndarray  # [3]


def make_style(style_seed: int) -> Style:
    """Materials, palette and lights as a function of the seed alone."""
    rng = np.random.default_rng([style_seed, 0x57])
    hue = rng.uniform()
    walls = [
        hsv(hue + h + rng.normal(0, 0.03), rng.uniform(0.15, 0.48), rng.uniform(0.62, 0.9))
        for h in (0.0, rng.choice([0.08, 0.4, 0.5]), rng.choice([0.15, 0.6, -0.2]), rng.choice([-0.08, 0.3]))
    ]
    wood = hsv(rng.uniform(0.05, 0.11), rng.uniform(0.35, 0.65), rng.uniform(0.5, 0.8))
    floor = wood if rng.uniform() < 0.6 else hsv(hue + 0.5, rng.uniform(0.1, 0.45), rng.uniform(0.45, 0.75))
    ceiling = hsv(hue + rng.uniform(-0.1, 0.1), rng.uniform(0.04, 0.15), rng.uniform(0.82, 0.95))
    accents = np.stack(
        [
            hsv(hue + 0.15 + k / 5 + rng.normal(0, 0.02), rng.uniform(0.55, 0.88), v)
            for k, v in enumerate(rng.permutation([0.95, 0.85, 0.7, 0.45, 0.9]))
        ]
    )
    order = rng.permutation(4)
    faces = [WALLS[rng.integers(len(WALLS))](rng, walls[k]) for k in order]
    faces += [FLOORS[rng.integers(len(FLOORS))](rng, floor), (tiles, plaster)[rng.integers(2)](rng, ceiling)]
    inner = WALLS[rng.integers(len(WALLS))](rng, hsv(hue + rng.choice([0.25, 0.75]), rng.uniform(0.2, 0.5), 0.8))
    frame = row(rng, *tones(rng, hsv(hue + 0.5, rng.uniform(0.1, 0.7), rng.choice([0.3, 0.9])), 0.2))
    pieces = []
    for k in range(8):
        colour = wood * rng.uniform(0.7, 1.15) if k < 2 else accents[k % 5] * rng.uniform(0.7, 1.0)
        kind = planks if k < 2 else PIECES[rng.integers(len(PIECES))]
        pieces.append(dots(rng, colour, accents[(k + 2) % 5]) if kind is dots else kind(rng, colour))
    lights = []
    for _ in range(rng.integers(2, 4)):
        warm = hsv(rng.choice([0.1, 0.58]), rng.uniform(0.0, 0.22), 1.0) * rng.uniform(0.5, 0.8)
        lights.append([*rng.uniform(-0.7, 0.7, 2), rng.uniform(0.75, 0.95), *warm])
    ambient = hsv(rng.uniform(0.5, 0.7), rng.uniform(0, 0.12), rng.uniform(0.42, 0.55))
    return Style(np.stack(faces), inner, frame, np.stack(pieces), accents, np.array(lights), ambient)
