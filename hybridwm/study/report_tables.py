"""The report's tables: the evidence with its targets and controls, and every arm beside the guards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from .figures import Figure, from_mapping
from .headline import bounds, shown

ROWS = {
    1: "Row 1 · action-driven rollout",
    2: "Row 2 · action timing",
    7: "Row 7 · cached steps",
    9: "Row 9 · recency bias: the stare test",
    12: "Row 12 · grounding helps, and is not copied blindly",
}
INTRODUCTION = """<h2>The evidence</h2>
<p>Each measure with its 95 % interval (bootstrap over rooms, arms paired; Wilson for shares of tests), its
target, and whether the target is met. A <em>control</em> is a case that has to fail: if it did not, the test
would prove nothing.</p>"""
ARMS_INTRODUCTION = """<h2>Arms and guards, out and back</h2>
<p>The same weights, noise, views and commanded cameras in every arm. Guards use no generator. <em>Motion</em>
and <em>sharpness</em> (gradient energy) are relative to the truth; ⚑ marks motion outside .9 … 1.1, which is
flagged and not ranked. <em>Drift</em>: FD_r of the last half over that of the first.</p>"""
ARM_COLUMNS = ("PSNR, dB", "seen before", "never seen", "SSIM", "motion", "sharpness", "drift", "ms/frame")


def evidence_table(summary: Mapping[str, Any], figures: Sequence[Figure], full: Mapping[str, Any] | None) -> str:
    """All figures by row; beside them those of the full run, where there is one."""
    whole = {} if full is None else {f["name"]: from_mapping(f) for f in full["figures"]}
    columns = ["this run", "n", *(["full run", "n"] if whole else []), "target"]
    head = "<th>measure</th>" + "".join(f"<th class=n>{c}</th>" for c in columns)
    head += "<th>holds</th><th class=n>p (Holm)</th>"
    rows, row = [], None
    for item in figures:
        if item.row != row:
            row = item.row
            title = escape(ROWS.get(row, f"Row {row}"))
            rows.append(f'<tr class="group"><td colspan="{len(columns) + 3}">{title}</td></tr>')
        rows.append(_evidence_row(item, whole.get(item.name), bool(whole)))
    commands = f"Every figure in the column <em>this run</em>: <code>{escape(summary['command'])}</code>"
    if full is not None:
        commands += f"; in the column <em>full run</em>: <code>{escape(full['command'])}</code>"
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    return f"{INTRODUCTION}{table}<p class=note>{commands}.</p>"


def arms_table(summary: Mapping[str, Any]) -> str:
    """Every arm and guard on the out-and-back."""
    head = "".join(f"<th class=n>{column}</th>" for column in ARM_COLUMNS)
    rows = []
    for arm in summary["arms"]:
        spent = 1000 * sum(arm["seconds"].values())
        values = (
            _number(arm["ssim"], 3),
            _number(arm["motion"]) + (" ⚑" if arm["flagged"] else ""),
            _number(arm["gradient"]),
            _number(arm["drift"]),
            f"{spent:.0f}" if spent else "–",
        )
        cells = "".join(_level(arm[mask]) for mask in ("all", "seen", "never"))
        cells += "".join(f"<td class=n>{value}</td>" for value in values)
        kind, label = ("guard", "guard: ") if arm["guard"] else ("arm", "")
        rows.append(f'<tr class="{kind}"><td>{label}{escape(arm["name"])}</td>{cells}</tr>')
    table = f"<table><thead><tr><th></th>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    return ARMS_INTRODUCTION + table


def _evidence_row(item: Figure, whole: Figure | None, beside: bool) -> str:
    cells = _value(item)
    if beside:
        cells += "<td class=n>–</td><td class=n>–</td>" if whole is None else _value(whole)
    p = ""
    if item.p is not None and item.unit == "dB":
        p = f"{item.p:.3f}" if item.p >= 0.001 else "&lt; .001"
    note = f'<div class="note">{escape(item.note)}</div>' if item.note else ""
    label = ("control: " if item.kind == "control" else "") + item.name
    return (
        f'<tr class="{item.kind}"><td>{escape(label)}{note}</td>{cells}<td class=n>{escape(item.target)}</td>'
        f"<td>{_holds(item, whole)}</td><td class=n>{p}</td></tr>"
    )


def _value(item: Figure) -> str:
    interval = f'<div class="ci">{escape(bounds(item))}</div>' if bounds(item) else ""
    unit = "" if item.unit == "share" else " " + escape(item.unit)
    return f"<td class=n>{escape(shown(item))}{unit}{interval}</td><td class=n>{item.n}</td>"


def _holds(item: Figure, whole: Figure | None) -> str:
    marks = []
    for judged, where in ((item, ""), (whole, "full: ")):
        if judged is not None and judged.holds is not None:
            word = "yes" if judged.holds else "no"
            marks.append(f'<span class="{word}">{where}{word}</span>')
    return "<br>".join(marks)


def _level(level: Mapping[str, float | None]) -> str:
    value, low, high = (level[key] for key in ("value", "low", "high"))
    ends = "" if low is None or high is None else f"{low:.1f} … {high:.1f}"
    return f'<td class=n>{_number(value)}<div class="ci">{ends}</div></td>'


def _number(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
