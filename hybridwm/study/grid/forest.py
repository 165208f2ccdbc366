"""Differences with their intervals as inline SVG: one line for each, around 0; and the curve of depth quality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from ..plots import ticks

ROW, TOP, BOTTOM, LEFT, RIGHT, WIDTH = 21, 10, 40, 196, 118, 760
INK, SOFT = "#1d2329", "#8d939a"


@dataclass(frozen=True)
class Line:
    """One difference; without a value it is a heading. words: at the right end. hollow: a placebo or a control."""

    label: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    colour: str = INK
    words: str = ""
    hollow: bool = False


@dataclass(frozen=True)
class Point:
    """Depth of one quality: what it gains, and the interval."""

    label: str
    value: float
    low: float | None
    high: float | None


def forest(lines: Sequence[Line], axis: str, marks: Mapping[float, str] | None = None) -> str:
    """A dot and its interval for each line, along one axis. marks: dashed verticals with a name; 0 is always drawn."""
    ends = [v for line in lines for v in (line.value, line.low, line.high) if v is not None]
    if not ends:
        return "<p>Nothing was measured.</p>"
    ends += [0.0, *(marks or {})]
    low, high = min(ends), max(ends)
    margin = 0.04 * (high - low) or 0.5
    low, high = low - margin, high + margin
    height, inner = TOP + ROW * len(lines) + BOTTOM, WIDTH - LEFT - RIGHT

    def x(value: float) -> float:
        return LEFT + inner * (value - low) / (high - low)

    foot = height - BOTTOM + 4
    parts = [f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(axis)}">']
    for tick in ticks(low, high):
        parts.append(f'<line x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{TOP}" y2="{foot}" class="grid"/>')
        parts.append(f'<text x="{x(tick):.1f}" y="{foot + 15}" text-anchor="middle">{_signed(tick)}</text>')
    for at, name in {0.0: "", **(marks or {})}.items():
        style = f'stroke="{SOFT}" stroke-width="1.2"' if at == 0 else 'class="mark"'
        parts.append(f'<line x1="{x(at):.1f}" x2="{x(at):.1f}" y1="{TOP}" y2="{foot}" {style}/>')
        if name:
            parts.append(f'<text x="{x(at) + 4:.1f}" y="{TOP + 8}">{escape(name)}</text>')
    for i, line in enumerate(lines):
        parts.append(_line(line, TOP + ROW * i + ROW / 2, x))
    parts.append(f'<text x="{LEFT + inner / 2}" y="{height - 6}" text-anchor="middle">{escape(axis)}</text></svg>')
    return "".join(parts)


def sweep(groups: Mapping[str, Sequence[Point]], axis: str, floors: Mapping[str, float], height: int = 300) -> str:
    """Each group's points in order with their intervals, joined by a line; floors: horizontals with a name.

    groups: e.g. {"noise": [true depth, 1 %, 5 %, …], "scale": […]}; each starts anew on the x axis.
    """
    points = [point for group in groups.values() for point in group]
    if not points:
        return ""
    ends = [v for p in points for v in (p.value, p.low, p.high) if v is not None] + [0.0, *floors.values()]
    margin = 0.06 * (max(ends) - min(ends)) or 0.5
    low, high = min(ends) - margin, max(ends) + margin
    left, right, top, bottom = 46, 130, 18, 52
    places = len(points) + len(groups) - 1
    inner, tall = WIDTH - left - right, height - top - bottom

    def y(value: float) -> float:
        return top + tall * (1 - (value - low) / (high - low))

    parts = [f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(axis)}">']
    for tick in ticks(low, high):
        parts.append(f'<line x1="{left}" x2="{WIDTH - right}" y1="{y(tick):.1f}" y2="{y(tick):.1f}" class="grid"/>')
        parts.append(f'<text x="{left - 7}" y="{y(tick) + 4:.1f}" text-anchor="end">{_signed(tick)}</text>')
    taken: list[float] = []
    for name, value in sorted({"video only": 0.0, **floors}.items(), key=lambda item: -item[1]):
        at = max([y(value), *(place + 13 for place in taken[-1:])])
        taken.append(at)
        style = f'stroke="{SOFT}"' if value == 0 else 'class="mark"'
        parts.append(f'<line x1="{left}" x2="{WIDTH - right}" y1="{y(value):.1f}" y2="{y(value):.1f}" {style}/>')
        parts.append(f'<text x="{WIDTH - right + 6}" y="{at + 4:.1f}">{escape(name)}</text>')
    at = 0.0
    for name, group in groups.items():
        spots = [left + inner * (at + i + 0.5) / places for i in range(len(group))]
        line = " ".join(f"{x:.1f},{y(p.value):.1f}" for x, p in zip(spots, group, strict=True))
        parts.append(f'<polyline points="{line}" fill="none" stroke="#1f6f8b" stroke-width="1.6"/>')
        for x, point in zip(spots, group, strict=True):
            if point.low is not None and point.high is not None:
                ends_at = f'y1="{y(point.low):.1f}" y2="{y(point.high):.1f}"'
                parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" {ends_at} stroke="#1f6f8b" stroke-width="1.6"/>')
            parts.append(f'<circle cx="{x:.1f}" cy="{y(point.value):.1f}" r="4" fill="#1f6f8b"/>')
            parts.append(
                f'<text x="{x:.1f}" y="{height - bottom + 18}" text-anchor="middle">{escape(point.label)}</text>'
            )
        middle = sum(spots) / len(spots)
        parts.append(
            f'<text x="{middle:.1f}" y="{height - 12}" text-anchor="middle" fill="{INK}">{escape(name)}</text>'
        )
        at += len(group) + 1
    parts.append(f'<text x="{left - 38}" y="{top - 6}">{escape(axis)}</text></svg>')
    return "".join(parts)


def _line(line: Line, y: float, x) -> str:
    if line.value is None:
        return f'<text x="10" y="{y + 5}" fill="{INK}" font-weight="600">{escape(line.label)}</text>'
    fill = "#fff" if line.hollow else line.colour
    parts = [f'<text x="{LEFT - 10}" y="{y + 4}" text-anchor="end" fill="{INK}">{escape(line.label)}</text>']
    if line.low is not None and line.high is not None:
        ends = f'x1="{x(line.low):.1f}" x2="{x(line.high):.1f}" y1="{y}" y2="{y}"'
        parts.append(f'<line {ends} stroke="{line.colour}" stroke-width="2.2"/>')
    dot = f'cx="{x(line.value):.1f}" cy="{y}" r="4.2" fill="{fill}" stroke="{line.colour}" stroke-width="1.6"'
    parts.append(f"<circle {dot}/>")
    parts.append(f'<text x="{WIDTH - RIGHT + 10}" y="{y + 4}">{escape(line.words)}</text>')
    return "".join(parts)


def _signed(tick: float) -> str:
    return "0" if tick == 0 else f"{tick:+g}".replace("-", "−")
