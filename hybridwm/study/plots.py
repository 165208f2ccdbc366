"""Curves and bars as inline SVG: no library, no script, sharp at any size, and readable in black and
white."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT = 560, 300
LEFT, RIGHT, TOP, BOTTOM = 46, 150, 14, 40

# name → (colour, dash): arms solid, guards dashed
STYLES: dict[str, tuple[str, str]] = {
    "grounded, stereo": ("#b8500f", ""),
    "grounded, true depth": ("#1f6f8b", ""),
    "video only": ("#4b4f58", ""),
    "no memory": ("#a4a7ae", ""),
    "frozen": ("#c9b458", "2 3"),
    "copy": ("#c9b458", "2 3"),
    "nearest past frame": ("#7d9b4e", "2 3"),
    "pure warp": ("#8a5a9e", "6 3"),
    "composite": ("#c46a7a", "6 3"),
}
PART_COLOURS = {"denoise": "#4b4f58", "render": "#b8500f", "depth": "#1f6f8b", "fuse": "#c9b458"}


def curves(
    series: Mapping[str, Sequence[float | None]],
    x_label: str,
    y_label: str,
    mark: int | None = None,
    ceiling: float = math.inf,
    floor: float | None = None,
    styles: Mapping[str, tuple[str, str]] = STYLES,
) -> str:
    """Lines over steps 1…T, named at their right ends and cut off at `ceiling`; `mark` is the turning point.

    The y axis begins at `floor` where one is given. styles: (colour, dash) by name.
    """
    series = {n: [v if v is None else min(v, ceiling) for v in line] for n, line in series.items()}
    values = [v for line in series.values() for v in line if v is not None]
    if not values:
        return "<p>Nothing was measured.</p>"
    steps = max(len(line) for line in series.values())
    low, high = _range(min(values), max(values))
    low = low if floor is None else floor
    inner_w, inner_h = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def x(step: float) -> float:
        return LEFT + inner_w * (step - 1) / max(1, steps - 1)

    def y(value: float) -> float:
        return TOP + inner_h * (1 - (value - low) / (high - low))

    parts = [_open(WIDTH, HEIGHT, f"{y_label} over {x_label}")]
    for tick in ticks(low, high):
        at = f'y1="{y(tick):.1f}" y2="{y(tick):.1f}"'
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" {at} class="grid"/>')
        parts.append(f'<text x="{LEFT - 7}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>')
    for step in _step_ticks(steps):
        parts.append(f'<text x="{x(step):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{step}</text>')
    if mark is not None and 1 <= mark <= steps:
        parts.append(
            f'<line x1="{x(mark):.1f}" x2="{x(mark):.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" class="mark"/>'
            f'<text x="{x(mark) + 4:.1f}" y="{TOP + 11}">turning point</text>'
        )
    ends = []
    for name, line in series.items():
        colour, dash = styles.get(name, ("#4b4f58", ""))
        for run in _runs(line):
            points = " ".join(f"{x(i + 1):.1f},{y(v):.1f}" for i, v in run)
            stroke = f'stroke="{colour}" stroke-width="{1.4 if dash else 2.4}" stroke-dasharray="{dash}"'
            parts.append(f'<polyline points="{points}" fill="none" {stroke}/>')
        last = [v for v in line if v is not None]
        if last:
            ends.append((y(last[-1]), name, colour))
    for height, name, colour in _spread(ends):
        parts.append(f'<text x="{WIDTH - RIGHT + 8}" y="{height + 4:.1f}" fill="{colour}">{escape(name)}</text>')
    middle = LEFT + inner_w / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 4}" text-anchor="middle">{escape(x_label)}</text>')
    parts.append(f'<text x="{LEFT - 38}" y="{TOP - 2}">{escape(y_label)}</text></svg>')
    return "".join(parts)


def stacked_bars(rows: Mapping[str, Mapping[str, float]], unit: str) -> str:
    """One horizontal bar for each name, split into parts, with the sum at its end."""
    rows = {name: parts for name, parts in rows.items() if parts}
    if not rows:
        return "<p>Nothing was measured.</p>"
    bar, gap, left, width = 20, 10, 160, 640
    longest = max(sum(parts.values()) for parts in rows.values()) or 1.0
    height = 34 + len(rows) * (bar + gap)
    out = [_open(width, height, f"{unit} by part")]
    at = float(left)
    for part, colour in PART_COLOURS.items():
        out.append(f'<rect x="{at}" y="4" width="11" height="11" fill="{colour}"/>')
        out.append(f'<text x="{at + 15}" y="14">{part}</text>')
        at += 84
    for i, (name, parts) in enumerate(rows.items()):
        y, x = 28 + i * (bar + gap), float(left)
        out.append(f'<text x="{left - 8}" y="{y + 14}" text-anchor="end">{escape(name)}</text>')
        for part, value in parts.items():
            w = (width - left - 90) * value / longest
            title = f"<title>{escape(part)}: {value:.1f} {escape(unit)}</title>"
            out.append(
                f'<rect x="{x:.1f}" y="{y}" width="{w:.2f}" height="{bar}" '
                f'fill="{PART_COLOURS.get(part, "#999")}">{title}</rect>'
            )
            x += w
        out.append(f'<text x="{x + 6:.1f}" y="{y + 14}">{sum(parts.values()):.0f} {escape(unit)}</text>')
    return "".join(out) + "</svg>"


def _open(width: int, height: int, title: str) -> str:
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">'


def _range(low: float, high: float) -> tuple[float, float]:
    margin = max(0.5, 0.06 * (high - low))
    return low - margin, high + margin


def ticks(low: float, high: float) -> list[float]:
    """Round numbers within the range, at most eight of them, however wide it is."""
    decade = 10.0 ** math.floor(math.log10(max(high - low, 7.0) / 7))
    step = next(s * decade for s in (1, 2, 5, 10, 20) if (high - low) / (s * decade) <= 7)
    first = math.ceil(low / step)
    return [float(step * k) for k in range(first, int(high // step) + 1)]


def _step_ticks(steps: int) -> list[int]:
    every = next(s for s in (1, 2, 4, 8, 16, 32, 64, 10_000) if steps / s <= 9)
    return [1, *range(every, steps + 1, every)] if every > 1 else list(range(1, steps + 1))


def _runs(line: Sequence[float | None]) -> list[list[tuple[int, float]]]:
    """The line in pieces, cut where nothing was measured."""
    runs: list[list[tuple[int, float]]] = [[]]
    for i, value in enumerate(line):
        if value is None:
            runs.append([])
        else:
            runs[-1].append((i, value))
    return [run for run in runs if run]


def _spread(ends: list[tuple[float, str, str]], apart: float = 14.0) -> list[tuple[float, str, str]]:
    """Labels moved apart, so that none covers another."""
    placed: list[tuple[float, str, str]] = []
    for height, name, colour in sorted(ends):
        placed.append((max(height, placed[-1][0] + apart) if placed else height, name, colour))
    over = placed[-1][0] - (HEIGHT - BOTTOM) if placed else 0
    return [(h - max(0, over), name, colour) for h, name, colour in placed]
