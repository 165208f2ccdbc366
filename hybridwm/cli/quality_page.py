"""The page that `hybridwm reconstruct` leaves for a sequence: how good the scene is, in numbers and pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from ..study.report_pictures import media

WORDS = {
    "psnr": ("PSNR at the views kept out", "dB"),
    "psnr_covered": ("… where the scene covers them", "dB"),
    "ssim": ("SSIM at the views kept out", ""),
    "nearest_psnr": ("guard: the nearest own view shown instead, PSNR", "dB"),
    "coverage": ("pixels covered", "%"),
    "depth_error": ("depth: median relative error", "%"),
    "depth_close": ("depth: within 5 %", "%"),
    "consistency": ("own views: measured depth that the scene repeats within 5 %", "%"),
}


def quality_page(summary: Mapping[str, Any], pictures: Sequence[tuple[Path, str]], film: Path | None) -> str:
    """The page, with everything in it. pictures: files of one kind each (PNG), with what they show."""
    css = (Path(__file__).parent.parent / "study" / "report.css").read_text(encoding="utf-8")
    parts = [f'<p class="answer">{_answer(summary)}</p>', *_warnings(summary)]
    if summary.get("quality"):
        rows = "".join(_row(name, value) for name, value in summary["quality"].items() if name in WORDS)
        count = summary["quality"]["views"]
        head = f'<tr><th>measure</th><th class="n">mean of {count} views</th></tr>'
        parts.append(f"<h2>Held against views kept out</h2><table>{head}{rows}</table>")
    if film is not None and film.is_file():
        parts.append(f"<h2>Walk</h2><figure>{media(film)}</figure>")
    for path, words in pictures:
        parts.append(f"<figure>{media(path)}<figcaption>{escape(words)}</figcaption></figure>")
    seconds = "".join(
        f'<tr><td>{escape(part)}</td><td class="n">{value:.1f} s</td></tr>'
        for part, value in summary["seconds"].items()
    )
    memory = f'<tr><td>memory, peak</td><td class="n">{summary["peak_gibibytes"]:.2f} GiB</td></tr>'
    parts.append(f"<h2>What it took</h2><table>{seconds}{memory}</table>")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>hybridwm reconstruct</title><style>{css} video, img {{ image-rendering: auto; }}</style></head>"
        f"<body><main><h1>hybridwm reconstruct</h1>{''.join(parts)}</main></body></html>\n"
    )


def _answer(summary: Mapping[str, Any]) -> str:
    source = {"truth": "the depth recorded with them"}.get(summary["depth"], summary["depth"])
    return (
        f"<b>{summary['gaussians']:,} Gaussians</b> from {summary['views']} views, by {escape(str(source))}, "
        f"cameras {escape(summary['cameras'])}."
    )


def _warnings(summary: Mapping[str, Any]) -> list[str]:
    return [f'<p class="warn">{escape(note)}</p>' for note in summary.get("notes", [])]


def _row(name: str, value: float) -> str:
    words, unit = WORDS[name]
    if value is None or math.isnan(value):
        return ""
    shown = f"{100 * value:.1f} %" if unit == "%" else f"{value:.2f} {unit}".rstrip()
    return f'<tr><td>{words}</td><td class="n">{shown}</td></tr>'
