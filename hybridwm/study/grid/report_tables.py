"""The tables of the study's page: sources by trajectory, tasks, arms with guards and flags, checks, every number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from .pages import Page
from .tasks import EVERYWHERE, MEASURES, PRIMARY
from .verdict import NOT_MEASURED
from .words import source_name

KINDS = {"picture": "Of pictures", "metric": "Of metres, degrees and goals"}
ARM_MEASURES = ("psnr_seen", "psnr_all", "psnr_never", "ssim")


def trajectories_section(page: Page) -> str:
    """Depth source by trajectory, on what was seen before and on the whole frame."""
    parts = ["<h2>By depth source and trajectory</h2>"]
    for measure in PRIMARY:
        found = [v for v in page.summary["verdicts"] if v["measure"] == measure]
        if found:
            parts.append(f"<p><strong>{escape(MEASURES[measure].title)}</strong>, difference to video only.</p>")
            columns = [EVERYWHERE, *(name for name in page.summary["trajectories"] if name != EVERYWHERE)]
            parts.append(_grid(page, found, "trajectory", columns, columns))
    return "".join(parts) + page.note() if len(parts) > 1 else ""


def tasks_section(page: Page) -> str:
    """Depth source by measure, over all trajectories: pictures first, then geometry."""
    parts = ['<h2 id="tasks">Other tasks</h2><p>Over all trajectories. Above 0 is better, also where less is.</p>']
    for kind, title in KINDS.items():
        found = [
            v
            for v in page.summary["verdicts"]
            if v["trajectory"] == EVERYWHERE and MEASURES[v["measure"]].kind == kind and v["measure"] not in PRIMARY
        ]
        columns = [name for name in MEASURES if any(v["measure"] == name for v in found)]
        for first in range(0, len(columns), 5):
            some = columns[first : first + 5]
            titles = [MEASURES[name].title for name in some]
            parts.append(f"<p><strong>{title}</strong></p>" if first == 0 else "")
            parts.append(_grid(page, found, "measure", some, titles))
    return "".join(parts) + page.note() if len(parts) > 1 else ""


def arms_section(page: Page) -> str:
    """Every arm and guard on each trajectory, with its own values and how it moves."""
    columns = [name for name in ARM_MEASURES if any(key[1] == name for key in page.levels)]
    titles = [MEASURES[name].title.replace("PSNR, ", "PSNR ") for name in columns] + [
        "motion",
        "change",
        "sharpness",
        "copied",
    ]
    head = "<th></th>" + "".join(f"<th class=n>{escape(title)}</th>" for title in titles)
    rows = []
    for trajectory in [EVERYWHERE, *(name for name in page.summary["trajectories"] if name != EVERYWHERE)]:
        rows.append(f'<tr class="group"><td colspan="{len(titles) + 1}">{escape(trajectory)}</td></tr>')
        for name, arm in page.arms.items():
            look = page.looks.get((trajectory, name))
            if look is None:
                continue
            cells = "".join(_level(page.levels.get((trajectory, measure, name))) for measure in columns)
            flag = " ⚑" if look["words"] else ""
            ratios = [_number(look[key]) for key in ("motion", "change", "gradient", "copied")]
            cells += f"<td class=n>{ratios[0]}{flag}</td>" + "".join(f"<td class=n>{r}</td>" for r in ratios[1:])
            part = {"guard": "guard: ", "placebo": "placebo: ", "planted": "planted: "}.get(arm["part"], "")
            kind = "guard" if part else "arm"
            rows.append(f'<tr class="{kind}"><td>{part}{escape(name)}</td>{cells}</tr>')
    basis = {look["basis"] for look in page.summary["looks"]}
    moved = "optical flow" if "flow" in basis else "change from frame to frame"
    return (
        "<h2>Arms, guards and flags</h2><p>Own values, with 95 % intervals over scenes. Guards use no generator, and "
        f"are never ranked. <em>Motion</em> ({moved}), <em>change</em> and <em>sharpness</em> are relative to the "
        "truth; ⚑ marks motion outside .9 … 1.1 or copied frames above .5.</p>"
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
        + page.note()
    )


def checks_section(page: Page) -> str:
    """What was planted, and whether the study found it."""
    if not page.summary["planted"]:
        return ""
    rows = []
    for check in page.summary["planted"]:
        holds = check["holds"]
        mark = "–" if holds is None else f'<span class="{"yes" if holds else "no"}">{"yes" if holds else "no"}</span>'
        cells = "".join(f"<td>{escape(check[key])}</td>" for key in ("arm", "what", "expected", "found"))
        rows.append(f"<tr>{cells}<td>{mark}</td></tr>")
    head = "".join(
        f"<th>{title}</th>" for title in ("arm", "what is wrong with it", "expected", "found", "as expected")
    )
    return (
        "<h2>The study checks itself</h2><p>Arms with a planted fault, and placebos: the study has to see what is "
        f"there, and nothing else.</p><table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
        + page.note()
    )


def measures_section(page: Page) -> str:
    """Each measure's formula and source."""
    rows = [
        f"<tr><td>{escape(m['title'])}</td><td>{escape(m['unit'])}</td><td>{escape(m['better'])}</td>"
        f"<td>{escape(m['formula'])}</td><td>{escape(m['source'])}</td></tr>"
        for m in page.summary["measures"]
    ]
    head = "".join(f"<th>{title}</th>" for title in ("measure", "unit", "better", "formula", "source"))
    return (
        "<details><summary>The measures and their formulas</summary>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></details>"
    )


def every_number(page: Page) -> str:
    """All comparisons, each with the command that makes it again from the table."""
    rows = []
    for made in page.summary["comparisons"]:
        unit = MEASURES[made["measure"]].unit
        value = _number(made["value"], 3) + (f" {unit}" if unit and unit != "share" else "")
        p = "–" if made["p_holm"] is None else f"{made['p_holm']:.4f}"
        names = made["trajectory"], made["measure"], made["arm"], made["against"]
        ends = f"{_number(made['low'], 3)} … {_number(made['high'], 3)}"
        corrected = f"{_number(made['low_holm'], 3)} … {_number(made['high_holm'], 3)}" if made["corrected"] else "–"
        rows.append(
            f'<tr id="{page.places[made["name"]]}"><td class=n>{value}</td><td class=n>{ends}</td>'
            f"<td class=n>{corrected}</td><td class=n>{p}</td><td class=n>{made['n']}</td>"
            f"<td><code>{escape(page.recompute(*names))}</code></td></tr>"
        )
    head = "".join(
        f"<th class=n>{title}</th>" for title in ("difference", "95 %, alone", "95 %, Holm-corrected", "p, Holm", "n")
    )
    return (
        "<h2>Every comparison, and the command that makes it</h2><p>Above 0: the first arm is better. The command "
        "prints the mean, its interval alone, and each scene's difference; without its last word, the first arm's "
        f'own value.</p><div class="scroll"><table class="every"><thead><tr>{head}<th>command</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _grid(
    page: Page, found: Sequence[Mapping[str, Any]], key: str, columns: Sequence[str], titles: Sequence[str]
) -> str:
    """Sources down, trajectories or measures across."""
    found = [v for v in found if v[key] in columns and v["word"] != NOT_MEASURED]
    worse = {v["arm"] for v in found if v["swept"]}
    names = sorted(dict.fromkeys(v["arm"] for v in found), key=lambda name: name in worse)
    rows = [_source(page, [v for v in found if v["arm"] == name], key, columns) for name in names]
    if 0 < len(worse) < len(names):
        head = f'<tr class="group"><td colspan="{len(columns) + 1}">true depth, made worse</td></tr>'
        rows.insert(len(names) - len(worse), head)
    head = "<th>depth from</th>" + "".join(f"<th>{escape(title)}</th>" for title in titles)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def _source(page: Page, found: Sequence[Mapping[str, Any]], key: str, columns: Sequence[str]) -> str:
    own = {v[key]: v for v in found}
    cells = "".join(_cell(page, own.get(column)) for column in columns)
    return f"<tr><td><strong>{escape(source_name(found[0]))}</strong></td>{cells}</tr>"


def _cell(page: Page, verdict: Mapping[str, Any] | None) -> str:
    if verdict is None:
        return "<td>–</td>"
    return f"<td>{page.word(verdict)}<div>{page.gain(verdict)}</div></td>"


def _level(level: Mapping[str, Any] | None) -> str:
    if level is None:
        return "<td class=n>–</td>"
    digits = 2 if MEASURES[level["measure"]].unit == "dB" else 3
    low, high = level["low"], level["high"]
    ends = "" if low is None or high is None else f"{low:.{digits}f} … {high:.{digits}f}"
    return f'<td class=n>{_number(level["value"], digits)}<div class="ci">{ends}</div></td>'


def _number(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}f}".replace("-", "−")
