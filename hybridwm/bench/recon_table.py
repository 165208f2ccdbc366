"""The table that `hybridwm bench recon` publishes: ours beside what others reach on the same data in the same run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Figures = Mapping[str, Mapping[str, float]]
"""area -> figure's name -> value"""

OURS, LEARNED, OTHER = "ours", "learned", "other"
COLUMNS = (OURS, LEARNED, OTHER)
NONE = "–"


@dataclass(frozen=True)
class Row:
    """One line: what is measured, where; the figure's name in each column; how it is shown; who the other is, and what
    ours was asked to reach. asked: (sign, bound), or (sign, factor, column) for a share of another column's."""

    area: str
    words: str
    names: Mapping[str, str]
    other: str = ""
    shown: str = "{:.2f}"
    asked: tuple[str, float] | tuple[str, float, str] | None = None
    scale: float = 1.0


def _pair(pair: str, words: str, key: str, asked: tuple[str, float] | tuple[str, float, str], shown="{:.2f} %") -> Row:
    names = {OURS: f"{pair}: ours: {key}", LEARNED: f"{pair}: learned: {key}", OTHER: f"{pair}: sgbm: {key}"}
    return Row("stereo", f"{words}, {pair}", names, "OpenCV SGBM", shown, asked)


def _surface(words: str, ours: str, theirs: str, other: str, **options) -> Row:
    names = {OURS: f"hololens000_a {ours}"} | ({OTHER: f"hololens000_a {theirs}"} if theirs else {})
    return Row("surfaces", words, names, other, **options)


ROWS: tuple[Row, ...] = (
    *(
        _pair(pair, "bad-2, seen by both eyes", "bad2_visible", ("<=", bound))
        for pair, bound in (("tsukuba", 2.44), ("cones", 3.60), ("motorcycle_q", 4.34))
    ),
    *(
        _pair(pair, "bad-2, all pixels", "bad2_all", ("<=", bound))
        for pair, bound in (("tsukuba", 3.56), ("cones", 8.16), ("motorcycle_q", 7.92))
    ),
    _pair("kitti2015_000046", "D1", "D1", ("<=", 3.3)),
    Row(
        "stereo",
        "depth, median relative error, motorcycle_q",
        {OURS: "motorcycle_q: ours: depth_error", LEARNED: "motorcycle_q: learned: depth_error"},
        shown="{:.2f} %",
        asked=("<=", 1.0),
        scale=100,
    ),
    _pair("motorcycle_q", "time, 741 x 497", "ms", ("<=", 350), "{:.0f} ms"),
    *(
        Row(
            "stereo",
            f"bad-2 cut by dropping the least confident tenth, {pair}",
            {OURS: f"{pair}: ours: cut_visible", LEARNED: f"{pair}: learned: cut_visible"},
            shown="{:.0f} %",
            asked=(">=", 40),
            scale=100,
        )
        for pair in ("tsukuba", "cones", "motorcycle_q", "kitti2015_000046")
    ),
    *(
        Row(
            "stereo",
            f"off by more than a pixel, held-out rooms, {size}",
            {OURS: f"rooms: {size}: ours: bad1"}
            | {LEARNED: f"rooms: {size}: learned: bad1", OTHER: f"rooms: {size}: sgbm: bad1"},
            "OpenCV SGBM",
            "{:.2f} %",
        )
        for size in ("64x64", "320x240")
    ),
    Row(
        "cameras",
        "absolute trajectory error, tum_fr2_desk_10",
        {OURS: "tum_fr2_desk_10: incremental, ATE m", OTHER: "tum_fr2_desk_10: colmap, ATE m"},
        "COLMAP",
        "{:.1f} mm",
        ("<=", 6),
        1000,
    ),
    Row(
        "cameras",
        "cameras found of 10, tum_fr2_desk_10",
        {OURS: "tum_fr2_desk_10: incremental, registered", OTHER: "tum_fr2_desk_10: colmap, registered"},
        "COLMAP",
        "{:.0f}",
        (">=", 10),
    ),
    Row(
        "cameras",
        "seconds, tum_fr2_desk_10",
        {OURS: "tum_fr2_desk_10: incremental, seconds", OTHER: "tum_fr2_desk_10: colmap, seconds"},
        "COLMAP",
        "{:.1f} s",
    ),
    Row(
        "cameras",
        "absolute trajectory error in one eye, hololens000_a",
        {OURS: "hololens000_a: incremental, ATE m", OTHER: "hololens000_a: colmap, ATE m"},
        "COLMAP",
        "{:.0f} mm",
        None,
        1000,
    ),
    Row(
        "cameras",
        "said to be sure there (1) or not (0)",
        {OURS: "hololens000_a: incremental, sure", OTHER: "hololens000_a: colmap, sure"},
        "COLMAP, our verdict",
        "{:.0f}",
        ("<=", 0),
    ),
    *(
        Row(
            "cameras",
            f"two views, median {what}, {name}",
            {OURS: f"{name}: two views, {what}, median degrees"},
            shown="{:.2f}°",
            asked=("<=", 1.1 * reference),
        )
        for name, what, reference in (
            ("tum_fr2_desk_10", "rotation", 0.69),
            ("tum_fr2_desk_10", "direction", 3.9),
            ("hololens000_a", "rotation", 0.44),
            ("hololens000_a", "direction", 3.2),
        )
    ),
    Row(
        "multiview",
        "refined scene at views kept out, colours and cameras alone, hololens000_a",
        {OURS: "hololens000_a refined scene PSNR (>= 23)", OTHER: "hololens000_a nearest view PSNR"},
        "nearest view",
        shown="{:.1f} dB",
        asked=(">=", 23),
    ),
    Row(
        "multiview",
        "depth within 5 % of covered pixels, colours alone, hololens000_a",
        {OURS: "hololens000_a within_5"},
        shown="{:.2f}",
        asked=(">=", 0.8),
    ),
    _surface(
        "PSNR at views kept out, where the point warp shows anything, hololens000_a",
        "refined PSNR on the warp", "warp PSNR", "point warp", shown="{:.2f} dB", asked=(">=", 1.5, OTHER),
    ),
    _surface(
        "… of the mesh's colours", "refined PSNR on the warp", "Open3D PSNR on the warp", "Open3D", shown="{:.2f} dB",
    ),
    _surface("pixels covered", "refined coverage", "warp coverage", "point warp", shown="{:.3f}", asked=(">=", 0.95)),
    _surface(
        "depth within 5 %", "refined depth within 5 %", "Open3D depth within 5 %", "Open3D", shown="{:.4f}",
        asked=(">=", 0.99),
    ),
    _surface(
        "mesh, median depth error", "mesh median error mm", "Open3D depth median error mm", "Open3D",
        shown="{:.2f} mm", asked=("<=", 5),
    ),
    _surface("mesh, pixels covered", "mesh coverage", "Open3D depth coverage", "Open3D", shown="{:.3f}"),
    _surface(
        "24 views fused", "seconds to fuse all views", "Open3D seconds", "Open3D", shown="{:.1f} s", asked=("<=", 20)
    ),
    _surface("refined, 300 steps at 270 x 180", "seconds to refine", "", "", shown="{:.0f} s", asked=("<=", 240)),
    *(
        Row(
            "rooms",
            f"held-out rooms, {words}",
            {OURS: f"stereo {name}", LEARNED: f"learned_stereo {name}"},
            shown=shown,
            asked=asked,
            scale=scale,
        )
        for words, name, shown, asked, scale in (
            ("stereo: F-score at 5 cm over that of true depth, mean", "F-score ratio, mean", "{:.2f}", (">=", 0.9), 1),
            ("stereo: error of the metric scale, worst", "scale error, worst", "{:.1f} %", ("<=", 3), 100),
            (
                "stereo, refined: views kept out over the nearest view warped, mean",
                "refined dB over nearest-view warp, mean", "{:+.1f} dB", (">=", 4), 1,
            ),
        )
    ),
    Row(
        "rooms",
        "held-out rooms, multiview: F-score at 5 cm over that of true depth, mean",
        {OURS: "multiview F-score ratio, mean"},
        asked=(">=", 0.8),
    ),
    Row(
        "rooms",
        "held-out rooms, monocular: the same",
        {LEARNED: "monocular F-score ratio, mean"},
    ),
    Row(
        "fusion", "a moving ball's Gaussians that stay, worst room", {OURS: "moving ball left, worst"}, "", "{:.2f} %",
        ("<=", 2), 100,
    ),
    Row(
        "fusion", "a removed ball's Gaussians that are cleared, worst room", {OURS: "removed ball cleared, worst"}, "",
        "{:.0f} %", (">=", 95), 100,
    ),
    Row(
        "fusion", "Gaussians added by 1,000 steps over known ground, worst room",
        {OURS: "added on known ground, worst"}, "", "{:.1f} %", ("<=", 5), 100,
    ),
    Row(
        "fusion", "depth, gate, lift and fuse at 64 x 64, 50,000 Gaussians, one thread",
        {OURS: "milliseconds a step at 50k Gaussians: all (<= 15)"}, "", "{:.1f} ms", ("<=", 15),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Line:
    """A row filled in. met: whether ours is as asked; None where nothing was asked or measured."""

    area: str
    words: str
    cells: tuple[str, ...]
    other: str
    asked: str
    met: bool | None = field(default=None)


def lines(figures: Figures, rows: Sequence[Row] = ROWS) -> list[Line]:
    """The rows of which ours, classical or learned, was measured."""
    filled = []
    for row in rows:
        found = {column: _value(figures, row, column) for column in COLUMNS}
        ours = found[OURS]
        if ours is None and found[LEARNED] is None:
            continue
        cells = tuple(NONE if found[column] is None else row.shown.format(found[column]) for column in COLUMNS)
        asked, met = ("", None) if ours is None else _asked(row, ours, found)
        filled.append(Line(row.area, row.words, cells, row.other, asked, met))
    return filled


def markdown(filled: Sequence[Line]) -> str:
    """The table in Markdown."""
    head = "| measure | ours | ours, learned | another's | whose | asked |\n|---|---|---|---|---|---|\n"
    rows = (
        f"| {line.words} | {' | '.join(line.cells)} | {line.other if line.cells[2] != NONE else NONE} | "
        f"{line.asked}{': **not met**' if line.met is False else ''} |\n"
        for line in filled
    )
    return head + "".join(rows)


def _value(figures: Figures, row: Row, column: str) -> float | None:
    value = figures.get(row.area, {}).get(row.names.get(column, ""))
    return None if value is None or math.isnan(value) else value * row.scale


def _asked(row: Row, ours: float, found: Mapping[str, float | None]) -> tuple[str, bool | None]:
    """In words, and whether it is met."""
    if row.asked is None:
        return "", None
    sign, bound, *of = row.asked
    words = ("≥ " if sign == ">=" else "≤ ") + row.shown.format(bound)
    if of:
        other = found[of[0]]
        words = f"≥ {row.other} + {row.shown.format(bound)}"
        if other is None:
            return words, None
        bound += other
    return words, ours >= bound if sign == ">=" else ours <= bound
