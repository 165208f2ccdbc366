"""What `hybridwm study` prints: each depth source with its verdict and size, then the answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .tasks import EVERYWHERE, MEASURES, PRIMARY
from .verdict import HELPS, HURTS, NEEDED, NOT_MEASURED
from .words import bounds, cautions, size, source_name

WIDE = 120  # columns that both measures need
STYLES = {NEEDED: "bold green", HELPS: "green", HURTS: "red"}


def show(console: Console, summary: Mapping[str, Any]) -> None:
    """Prints the table over all trajectories, the checks that failed, the answer and its cautions."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("depth from", no_wrap=True)
    shown = PRIMARY if console.width >= WIDE else PRIMARY[:1]
    for measure in shown:
        table.add_column(f"{MEASURES[measure].title}, over video only")
        table.add_column("verdict")
    found = {(v["arm"], v["measure"]): v for v in summary["verdicts"] if v["trajectory"] == EVERYWHERE}
    for arm in dict.fromkeys(arm for arm, _ in found):
        own = [found.get((arm, measure)) for measure in shown]
        first = next((v for v in own if v is not None), None)
        if first is not None:
            table.add_row(source_name(first), *(cell for verdict in own for cell in _cells(verdict)))
    console.print(table)
    for check in summary["planted"]:
        if check["holds"] is False:
            told = f"{check['arm']}: {check['what']}: expected {check['expected']}; found {check['found']}"
            console.print(f"[red]check failed[/] {escape(told)}", highlight=False)
    console.print(f"\n[bold]{escape(summary['answer'])}[/]", highlight=False)
    for caution in cautions(summary):
        console.print(escape(caution), style="dim", highlight=False)


def _cells(verdict: Mapping[str, Any] | None) -> tuple[str, str]:
    if verdict is None or verdict["word"] == NOT_MEASURED or verdict["gain"] is None:
        return "–", ""
    gain = verdict["gain"]
    word = verdict["word"] + (f" ⚑ ({verdict['numbers']})" if verdict["flags"] and verdict["numbers"] else "")
    style = STYLES.get(verdict["word"], "dim")
    return f"{size(gain, MEASURES[verdict['measure']].unit)} ({bounds(gain)})", f"[{style}]{escape(word)}[/]"
