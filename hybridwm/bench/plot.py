"""The times as a dot plot: one row for each rasterizer at each size, milliseconds on a logarithmic axis. Plain SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 820, 190, 130, 44, 46
ROW, HEADER, GAP = 19, 22, 9
COLOURS = {"cpu": "#b8500f", "torch": "#4b4f58", "gsplat": "#1f6f8b", "pytorch3d": "#7d9b4e"}
OTHER = "#8a5a9e"
INK, FAINT = "#22252b", "#d9dbe0"


def dot_plot(cells: Sequence[Mapping[str, Any]], title: str) -> str:
    """Forward as a filled dot, backward as a ring; where there is no backward pass, the render alone as a dot."""
    drawn = [cell for cell in cells if _milliseconds(cell)]
    if not drawn:
        raise ValueError("dot_plot: expected at least one measured cell; got none.")
    values = [value for cell in drawn for value in _milliseconds(cell)]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    high = max(high, low + 1)
    sizes = list(dict.fromkeys(cell["size"] for cell in drawn))
    height = TOP + BOTTOM + len(sizes) * (HEADER + GAP) + ROW * len(drawn)

    def x(milliseconds: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (math.log10(milliseconds) - low) / (high - low)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'role="img" aria-label="{escape(title)}" font-family="sans-serif" font-size="12" fill="{INK}">',
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="12" y="22" font-size="14" font-weight="bold">{escape(title)}</text>',
        *_key(WIDTH - RIGHT - 160, 18),
        *_axis(low, high, x, height),
    ]
    y = TOP
    for size in sizes:
        parts.append(f'<text x="12" y="{y + 15}" font-weight="bold">{escape(_spelled(size, drawn))}</text>')
        y += HEADER
        for cell in drawn:
            if cell["size"] == size:
                parts += _row(cell, x, y + ROW / 2)
                y += ROW
        y += GAP
    return "".join([*parts, "</svg>\n"])


def _row(cell: Mapping[str, Any], x: Any, y: float) -> list[str]:
    colour, values = COLOURS.get(cell["name"], OTHER), _milliseconds(cell)
    first, last = x(values[0]), x(values[-1])
    marks = [
        f'<text x="{LEFT - 12}" y="{y + 4:g}" text-anchor="end">{escape(cell["contender"])}</text>',
        f'<line x1="{first:.1f}" x2="{last:.1f}" y1="{y:g}" y2="{y:g}" stroke="{colour}" stroke-width="1.5"/>',
    ]
    if len(values) > 1:
        ring = f'fill="#fff" stroke="{colour}" stroke-width="2"'
        marks.append(f'<circle cx="{last:.1f}" cy="{y:g}" r="4.2" {ring}/>')
    marks.append(f'<circle cx="{first:.1f}" cy="{y:g}" r="4.4" fill="{colour}"/>')
    text = " / ".join(_three_digits(value) for value in values)
    marks.append(f'<text x="{WIDTH - RIGHT + 14}" y="{y + 4:g}" fill="{colour}">{text} ms</text>')
    return marks


def _axis(low: int, high: int, x: Any, height: int) -> list[str]:
    parts, bottom = [], height - BOTTOM
    for decade in range(low, high + 1):
        at = x(10.0**decade)
        parts.append(f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{bottom}" stroke="{FAINT}"/>')
        parts.append(f'<text x="{at:.1f}" y="{bottom + 16}" text-anchor="middle">{10.0**decade:g}</text>')
        for step in (2, 5) if decade < high else ():
            at = x(step * 10.0**decade)
            parts.append(
                f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{bottom}" stroke="{FAINT}" stroke-dasharray="1 4"/>'
            )
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle:g}" y="{bottom + 34}" text-anchor="middle">milliseconds</text>')
    return parts


def _key(x: float, y: float) -> list[str]:
    return [
        f'<circle cx="{x:g}" cy="{y:g}" r="4.4" fill="{INK}"/><text x="{x + 10:g}" y="{y + 4:g}">forward</text>',
        f'<circle cx="{x + 80:g}" cy="{y:g}" r="4.2" fill="#fff" stroke="{INK}" stroke-width="2"/>'
        f'<text x="{x + 90:g}" y="{y + 4:g}">backward</text>',
    ]


def _milliseconds(cell: Mapping[str, Any]) -> list[float]:
    """Forward and backward, or else the render alone, as far as they were measured."""
    taken = cell["milliseconds"]
    names = ("forward", "backward") if taken.get("forward") is not None else ("render",)
    return [taken[name] for name in names if taken.get(name)]


def _spelled(size: str, cells: Sequence[Mapping[str, Any]]) -> str:
    cell = next(cell for cell in cells if cell["size"] == size)
    return f"{cell['splats']:,} splats, {cell['width']} × {cell['height']}"


def _three_digits(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
