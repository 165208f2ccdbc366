"""The study's page: one HTML file that opens offline. The first screen is the answer."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from .pages import Page
from .report_pictures import costs_section, curves_section, forest_section, quality_section, shares_section, watch
from .report_tables import (
    arms_section,
    checks_section,
    every_number,
    measures_section,
    tasks_section,
    trajectories_section,
)
from .sweep import beside, beside_section
from .tasks import EVERYWHERE, MEASURES
from .verdict import ABOVE, NEEDED, NOT_RANKED
from .words import best_guard, bounds, cautions, grounds, leading, size, source_name

QUESTION = "Does 3D grounding help a video world model to remember, and does it need depth for it?"
METHOD = """
<p>The same weights, beginnings, actions, cameras and noise in every arm. Scenes have seeds from {first_seed:,} on;
training uses seeds below 1,000,000. <em>Seen before</em>: the pixel's true 3D point was on a surface in an observed
view. A scene's value is the mean over its noise seeds, and scenes are what is resampled, so seeds are a random
factor.</p>
<p><strong>Intervals</strong> are symmetric studentised bootstraps of paired differences over scenes, 9,999 resamples;
test and interval are each other's mirror. On simulated studies with no difference they exclude 0 in 4 to 6.5 % at 16
and at 64 scenes (<code>python -m hybridwm.bench.study_intervals</code>).</p>
<p><strong>Corrected</strong> by Holm over all depth sources and trajectories of a measure; all trajectories together
are a family of their own. A corrected interval is at its comparison's Holm level, so it excludes 0 just where the
corrected p is below .05.</p>
<p><strong>Verdict</strong>: <em>needed</em>, if the corrected intervals are wholly above 0 against every memory without
depth and every placebo in the same memory: to beat all is to beat the best. <em>Helps</em>: above video only, but one
of the others was not shown to be beaten. <em>Hurts</em>: wholly below video only. Else <em>no effect seen</em>. The
share of the way to true depth has Fieller's interval, and is given only where true depth is above video only.</p>
<p><strong>Flags</strong>: optical flow below .9 or above 1.1 of the truth's, or more than half of the frames copied
from stored ones. What is flagged is <em>not ranked</em>; below .5, or copied, its numbers are given no word at all.</p>
"""


def render_study(summary: Mapping[str, Any], folder: Path) -> str:
    """The page for a study's summary; `folder` is the run's, with rollouts/*.mp4 and *.png."""
    page = Page(summary)
    here = Path(__file__).parent
    css = "".join(path.read_text(encoding="utf-8") for path in (here.parent / "report.css", here / "report.css"))
    sections = [
        _top(page),
        trajectories_section(page),
        forest_section(page),
        shares_section(page),
        quality_section(page),
        tasks_section(page),
        beside_section(beside(summary, summary)),
        watch(page, folder),
        curves_section(page),
        arms_section(page),
        checks_section(page),
        costs_section(page),
        _power(page),
        _method(page),
        measures_section(page),
        every_number(page),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>hybridwm: is depth needed?</title><style>{css}</style></head>"
        f"<body><main>{''.join(sections)}</main></body></html>\n"
    )


def _top(page: Page) -> str:
    summary, first = page.summary, leading(page.summary["verdicts"])
    said, _, rest = summary["answer"].partition(". ")
    parts = [f"<h1>{QUESTION}</h1>", f'<p class="answer">{escape(said.rstrip("."))}. <b>{escape(_upper(rest))}</b></p>']
    parts += [f'<p class="warn">{escape(caution)}</p>' for caution in cautions(summary)]
    rows = []
    for verdict in first:
        gain = verdict["gain"]
        big = size(gain, MEASURES[verdict["measure"]].unit) if gain else "–"
        interval = f'<div class="ci">{bounds(gain)}; n = {gain["n"]}</div>' if gain else ""
        rows.append(
            f"<tr><td><strong>{escape(source_name(verdict))}</strong></td><td>{page.word(verdict)}</td>"
            f'<td class="n"><span class="big">{page.link(gain, big)}</span>{interval}</td>'
            f'<td class="says">{escape(_upper(grounds(verdict)))}</td></tr>'
        )
    if rows:
        head = '<th>depth from</th><th>verdict</th><th class="n">over video only</th><th>what it rests on</th>'
        words = (
            "PSNR of what was seen before, mean over "
            f"{len(summary['trajectories']) - 1} trajectories; 95 % intervals, Holm-corrected."
        )
        parts.append(f'<table class="sources"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>')
        parts.append(f"<p class=note>{words} {_guard_line(page)}{_metric_line(page)}{page.command()}</p>")
    return "".join(parts)


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _guard_line(page: Page) -> str:
    """How much of the gain needs no generator at all."""
    guard = best_guard(page.summary)
    if guard is None:
        return ""
    told = f"{size(guard, 'dB')} ({bounds(guard)})"
    return f"With no generator at all, <em>{escape(guard['arm'])}</em> is at {page.link(guard, told)}. "


def _metric_line(page: Page) -> str:
    """Whether depth matters for tasks in metres and degrees, which it may where it does not for pictures."""
    metric = [
        v
        for v in page.summary["verdicts"]
        if v["trajectory"] == EVERYWHERE and MEASURES[v["measure"]].kind == "metric" and not v["swept"]
    ]
    if not metric:
        return ""
    told = []
    for word in (NEEDED, ABOVE):
        names = list(dict.fromkeys(source_name(v) for v in metric if v["word"] == word))
        if names:
            told.append(f"{word} on one of them or more: {', '.join(names)}")
    found = "; ".join(told) or "depth was not shown to be needed"
    return f'Tasks of metres, degrees and goals (<a href="#tasks">below</a>): {escape(found)}. '


def _power(page: Page) -> str:
    """How many scenes half a decibel takes, and how much of the variance is the noise seeds'."""
    rows = []
    for verdict in leading(page.summary["verdicts"]) + leading(page.summary["verdicts"], "psnr_all"):
        gain = verdict["gain"]
        if gain is None or gain["scenes_needed"] is None:
            continue
        seeds = "–" if gain["seed_share"] is None else f"{100 * gain['seed_share']:.0f} %"
        d_z = "–" if gain["d_z"] is None else f"{gain['d_z']:.2f}".replace("-", "−")
        seen = "–" if gain["smallest_seen"] is None else f"{gain['smallest_seen']:.2f} dB"
        cells = (page.link(gain, d_z), str(gain["n"]), str(gain["scenes_needed"]), seen, seeds)
        title = f"{source_name(verdict)}, {MEASURES[verdict['measure']].title}"
        rows.append(f"<tr><td>{escape(title)}</td>{''.join(f'<td class=n>{cell}</td>' for cell in cells)}</tr>")
    if not rows:
        return ""
    columns = ("d_z", "scenes here", "scenes for 0.5 dB", "seen by this many", "variance of seeds")
    head = "<th>over video only</th>" + "".join(f"<th class=n>{column}</th>" for column in columns)
    return (
        "<h2>How sure, and what it would take</h2><p><em>d_z</em>: mean over standard deviation of the paired "
        "differences. <em>Scenes for 0.5 dB</em>: for a paired two-sided test at .05 to see half a decibel with 80 % "
        "power, before Holm's correction; <em>seen by this many</em>: the smallest difference that these scenes see "
        "so. <em>Variance of seeds</em>: how much of a single rollout's difference is its noise seed's, the rest is "
        f"the scene's.</p><table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>{page.note()}"
    )


def _method(page: Page) -> str:
    summary = page.summary
    config, parts = summary["config"], []
    for name, sha256 in summary.get("weights_sha256", {}).items():
        parts.append(f"Weights <code>{escape(str(name))}</code>, SHA-256 {escape(sha256[:16])}….")
    if "seconds" in summary:
        spent, peak = summary["seconds"] / 60, summary["peak_megabytes"]
        parts.append(f"Measured in {spent:.1f} minutes (of the last run), in at most {peak:.0f} MB of memory.")
    packages = summary.get("versions", {}).get("packages", {})
    if packages:
        python = summary["versions"].get("python")
        parts.append(f"Python {escape(str(python))}, {escape(', '.join(f'{n} {v}' for n, v in packages.items()))}.")
    missing = f"Not measured: {escape(', '.join(summary['missing']))}. " if summary["missing"] else ""
    unranked = sum(v["word"] == NOT_RANKED for v in summary["verdicts"])
    return (
        f'<h2 id="how">How it was measured</h2>{METHOD.format(first_seed=config["first_seed"])}'
        f"<p>{missing}{escape(summary['left_out'])} {unranked} of {len(summary['verdicts'])} verdicts are flagged.</p>"
        f"<p>{' '.join(parts)}</p><p>Run it again: <code>{escape(summary['command'])}</code>. All figures are in "
        "<code>summary.json</code>, every frame's in <code>results.parquet</code>, times in "
        "<code>timings.parquet</code>.</p>"
    )
