"""The report: one HTML file with everything in it, that opens offline. The answer comes first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from .figures import Figure, from_mapping
from .headline import NEVER, bounds, find, flags, headline, shown
from .report_pictures import curves_section, more_rooms, scene_section, time_section, watch
from .report_tables import arms_table, evidence_table

CARDS = {
    "whole frame: grounded over the composite": "whole frame, over the render pasted onto the video",
    "grounded rollout, end to end": "one process, end to end",
}
METHOD = """
<p>Rooms have seeds from {first_seed:,} on; training uses seeds below 1,000,000. PSNR is over 8-bit
frames, with errors pooled before the logarithm. <em>Seen before</em>: the pixel's true 3D point
projects into one of the observed left views, onto a surface within 3 % or 5 cm. <em>Retrieval</em>:
the smallest mean absolute difference of images blurred by one pixel, among 16 true views from the
same camera in rooms that share materials, palette and lights and differ in layout. <em>Pure
warp</em> renders the observed scene with no generator and fills its holes with the nearest past
frame; the <em>composite</em> fills them with the video-only rollout. <em>Action following</em>:
P(error under wrong actions &gt; error under the true ones) + ½ P(tie), on pixels that truly change.
p-values: two-sided, from swapping the two arms within rooms, Holm-corrected over all comparisons in
dB; four rooms cannot give less than .125.</p>
<p>Not measured here: the inverse-dynamics probe of row 1, and the twin trained on shuffled
actions.</p>
"""


def render_report(summary: Mapping[str, Any], folder: Path, full: Mapping[str, Any] | None) -> str:
    """The page for a run's summary. `folder` holds its videos; `full` is the full run's summary."""
    figures = [from_mapping(f) for f in summary["figures"]]
    css = (Path(__file__).parent / "report.css").read_text(encoding="utf-8")
    sections = [
        _top(summary, figures, full),
        watch(folder),
        evidence_table(summary, figures, full),
        arms_table(summary),
        curves_section(summary),
        scene_section(folder, summary),
        time_section(summary),
        more_rooms(folder),
        _method(summary),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>hybridwm: does 3D grounding help?</title><style>{css}</style></head>"
        f"<body><main>{''.join(sections)}</main></body></html>\n"
    )


def _top(summary: Mapping[str, Any], figures: Sequence[Figure], full: Mapping[str, Any] | None) -> str:
    answer = headline(figures)
    parts = [
        "<h1>Does 3D grounding help a video world model to remember?</h1>",
        f'<p class="answer">{escape(answer.verdict)} <b>{escape(answer.effect)}</b> {escape(answer.rest)}</p>',
    ]
    for caution in (answer.caution, flags(summary["arms"])):
        if caution:
            parts.append(f'<p class="warn">{escape(caution)}</p>')
    if full is not None:
        whole = headline([from_mapping(f) for f in full["figures"]])
        parts.append(
            f"<p>The full run, n = {full['scenes']} rooms and {full['stares']} stare tests: "
            f"<strong>{escape(whole.verdict)} {escape(whole.effect)}</strong> {escape(whole.rest)}</p>"
        )
    judged = [f for f in figures if f.holds is not None]
    met = sum(bool(f.holds) for f in judged)
    parts.append(f'<div class="cards">{"".join(_cards(figures))}</div>')
    parts.append(
        f"<p>{met} of {len(judged)} targets and controls hold in this run; the table below has each of them, "
        "with those that do not.</p>"
    )
    return "".join(parts)


def _cards(figures: Sequence[Figure]) -> list[str]:
    cards = []
    stare, never = next((f for f in figures if f.row == 9), None), find(figures, NEVER)
    if stare is not None:
        controls = [f for f in figures if f.row == 9 and f.kind == "control"]
        others = "; ".join(f"{f.name.removeprefix('stare test, ')} {shown(f)}" for f in controls)
        words = "of stare tests: its own room is found again among 16, after a long look at the floor"
        cards.append((f"{100 * stare.value:.0f} %", words, others))
    if never is not None:
        cards.append((f"{shown(never)} dB", "on pixels never seen, grounded over video only", bounds(never)))
    for name, words in CARDS.items():
        item = find(figures, name)
        if item is not None:
            cards.append((f"{shown(item)} {item.unit}", words, bounds(item)))
    return [
        f'<div class="card"><div class="big">{escape(big)}</div><div class="what">{escape(what)}</div>'
        f'<div class="small">{escape(small)}</div></div>'
        for big, what, small in cards
    ]


def _method(summary: Mapping[str, Any]) -> str:
    config, versions = summary["config"], summary["versions"]
    listed = ", ".join(f"{name} {version}" for name, version in versions.get("packages", {}).items())
    return (
        "<h2>How it was measured</h2>"
        + METHOD.format(first_seed=config["first_seed"])
        + f"<p>Weights <code>{escape(str(config['weights']))}</code>, SHA-256 "
        f"{escape(summary['weights_sha256'][:16])}…. Measured in {summary['seconds'] / 60:.1f} minutes, in "
        f"at most {summary['peak_megabytes']:.0f} MB of memory. Python "
        f"{escape(str(versions.get('python')))}, {escape(listed)}.</p>"
        f"<p>Run it again: <code>{escape(summary['command'])}</code>. All figures are in "
        "<code>summary.json</code>, every room's measurements in <code>metrics.jsonl</code>.</p>"
    )
