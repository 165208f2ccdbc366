"""The answer in words, with its size and its interval: what the report and the terminal say first."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .figures import Figure

SEEN = "seen before: grounded by stereo over video only"
NEVER = "never seen: grounded by stereo over video only"
FEW = 12  # scenes below which an interval is called too narrow


@dataclass(frozen=True)
class Headline:
    """verdict: a word or two. effect: the number. rest: the sentence around it. caution: what to keep in
    mind."""

    verdict: str
    effect: str
    rest: str
    caution: str


def headline(figures: Sequence[Figure]) -> Headline:
    """The answer to *does 3D grounding help?* from row 12, with row 9 beside it."""
    seen = find(figures, SEEN)
    if seen is None or math.isnan(seen.value):
        return Headline("Not measured.", "", "No out-and-back was finished.", "")
    effect = f"{signed(seen.value)} dB"
    interval = "" if math.isnan(seen.low) else f" (95 % interval {signed(seen.low)} to {signed(seen.high)})"
    rooms = f"{seen.n} held-out room{'' if seen.n == 1 else 's'}"
    if math.isnan(seen.low):
        verdict = "One room is no sample:"
    elif seen.low > 0:
        verdict = "Yes." if seen.holds else ("Yes, a little." if seen.value >= 0.5 else "Hardly.")
    else:
        verdict = "It made things worse." if seen.high < 0 else "Not shown."
    rest = (
        f"on pixels seen before, when stereo depth grounds the memory of the same weights{interval}; "
        f"{rooms}, out and back."
    )
    caution = ""
    if seen.n < FEW:
        caution = (
            f"n = {seen.n} is few: a bootstrap over so few rooms gives intervals that are too narrow, if any. "
            "Take this as a first look; --full measures 24 rooms and 128 stare tests."
        )
    return Headline(verdict, effect, rest, caution)


def flags(table: Sequence[Mapping[str, Any]]) -> str:
    """What to say of arms that move less or more than the truth: they are compared, not ranked."""
    moved = [f"{a['name']} {a['motion']:.2f}" for a in table if not a["guard"] and a["flagged"] and a["motion"]]
    if not moved:
        return ""
    return (
        f"Flagged: frame-to-frame change relative to the truth's is {', '.join(moved)}; below .9 a rollout is blurred "
        "or slow. PSNR forgives blur, so read the gain beside the videos and the stare test, which do not."
    )


def find(figures: Sequence[Figure], name: str) -> Figure | None:
    """The figure of that name."""
    return next((f for f in figures if f.name == name), None)


def signed(value: float, digits: int = 2) -> str:
    """With its sign, and a true minus; +0.00 for what rounds to 0 from below."""
    return f"{round(value, digits) + 0.0:+.{digits}f}".replace("-", "−")


def shown(figure: Figure) -> str:
    """The value as the table prints it."""
    if math.isnan(figure.value):
        return "–"
    return number(figure.value, figure.unit)


def bounds(figure: Figure) -> str:
    """The interval as the table prints it; empty where there is none."""
    if math.isnan(figure.low):
        return ""
    return f"{number(figure.low, figure.unit)} … {number(figure.high, figure.unit)}"


def number(value: float, unit: str) -> str:
    if unit == "dB":
        return signed(value)
    if unit == "share":
        return f"{value:.3f}".removeprefix("0")
    if abs(value) >= 1000:
        return f"{value:,.0f}".replace("-", "−")
    if value != 0 and abs(value) < 1e-2:
        return f"{value:.1e}".replace("-", "−")
    return (f"{value:.0f}" if unit == "frames" else f"{value:.3g}").replace("-", "−")
