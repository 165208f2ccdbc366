"""What the demo prints: the table by row, the answer, and where to look."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .figures import from_mapping
from .headline import bounds, flags, headline, shown
from .report_tables import ROWS

WIDE = 104  # columns that the table needs to show intervals and counts too


def show(console: Console, out: Path, summary: Mapping[str, Any], full: Mapping[str, Any] | None) -> None:
    """Prints the table, then the answer, then where to look."""
    wide = console.width >= WIDE
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("measure", ratio=1)
    table.add_column("value", justify="right", no_wrap=True)
    if wide:
        table.add_column("95 % interval", no_wrap=True)
        table.add_column("n", justify="right", no_wrap=True)
    table.add_column("target", no_wrap=True)
    table.add_column("holds", no_wrap=True)
    figures, row = [from_mapping(f) for f in summary["figures"]], None
    for item in figures:
        if item.row != row:
            row = item.row
            table.add_row(f"[bold]{ROWS.get(row, f'Row {row}')}[/]")
        holds = "" if item.holds is None else ("[green]yes[/]" if item.holds else "[red]no[/]")
        unit = "" if item.unit == "share" else f" {item.unit}"
        beside = (bounds(item), str(item.n)) if wide else ()
        label = ("  control: " if item.kind == "control" else "  ") + item.name
        table.add_row(escape(label), shown(item) + unit, *beside, item.target, holds)
    console.print(table)
    answer = headline(figures)
    console.print(f"\n[bold]{answer.verdict} {answer.effect}[/] {answer.rest}", highlight=False)
    for caution in (answer.caution, flags(summary["arms"])):
        if caution:
            console.print(caution, style="dim", highlight=False)
    if full is not None:
        console.print(f"Beside it in the report: the full run, n = {full['scenes']} rooms.", style="dim")
    places = {"report": "report.html", "videos": "rollouts", "scene": "scene/scene.ply", "figures": "summary.json"}
    for name, place in places.items():
        console.print(f"{name:<8} {out / place}", highlight=False, soft_wrap=True)
    peak = summary["peak_megabytes"]
    console.print(f"{summary['seconds']:.0f} s, at most {peak:.0f} MB of memory", style="dim")
