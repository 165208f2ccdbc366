"""What `hybridwm bench render` prints when it is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

PHASES = ("render", "forward", "backward")
NONE = "–"


def show(console: Console, summary: Mapping[str, Any]) -> None:
    """Prints the table of times, then ratios to others, first calls and the fit, and what was left out."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in ("splats@pixels", "rasterizer"):
        table.add_column(title, no_wrap=True)
    for title in ("threads", "render", "forward", "backward", "MB", "× torch"):
        table.add_column(title, justify="right", no_wrap=True)
    size = None
    for cell in summary["cells"]:
        ms, megabytes = cell["milliseconds"], cell.get("megabytes", {})
        table.add_row(
            escape(cell["size"]) if cell["size"] != size else "",
            escape(cell["name"]),
            str(cell["threads"]),
            *(_number(ms[phase]) for phase in PHASES),
            _number(megabytes.get("step") or megabytes.get("render")),
            _times_faster(cell),
        )
        size = cell["size"]
    console.print(table)
    console.print(
        "Milliseconds, medians; render: without gradients, forward and backward: with those to splats and camera; "
        "MB: peak beyond the scene, gradients included; × torch: so many times faster than the torch backend.",
        style="dim",
        highlight=False,
    )
    ratios = _ratios(summary["cells"])
    if ratios:
        table = Table("splats@pixels", "time of", "over that of", box=None, header_style="bold", pad_edge=False)
        for title in PHASES:
            table.add_column(title, justify="right")
        for row in ratios:
            table.add_row(*map(escape, row))
        console.print()
        console.print(table)
    for line in _sentences(summary):
        console.print(line, highlight=False)
    for each in summary["left_out"]:
        line = f"left out: {each['contender']} at {each['size']}, {each['why']}"
        console.print(line, style="dim", highlight=False)


def _sentences(summary: Mapping[str, Any]) -> list[str]:
    lines = []
    if "first_call" in summary:
        cold, warm = (summary["first_call"][kind]["total"] for kind in ("cold", "warm"))
        lines.append(f"first call: {cold:.1f} s with nothing compiled, {warm:.2f} s from the cache")
    if "fit" in summary:
        fit = summary["fit"]
        lines.append(
            f"fit: held-out view {fit['start_held_out']:.1f} to {fit['end_held_out']:.1f} dB in {fit['steps']} steps, "
            f"{fit['seconds']:.1f} s"
        )
    return lines


def _times_faster(cell: Mapping[str, Any]) -> str:
    """Than torch, over forward and backward."""
    for key, over in cell["over"].items():
        if key.startswith("torch,") and over["forward"] and over["backward"]:
            own = cell["milliseconds"]
            theirs = sum(own[phase] / over[phase] for phase in ("forward", "backward"))
            return _number(theirs / (own["forward"] + own["backward"]))
    return NONE


def _ratios(cells: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Rows of the cpu backend's time over others' (torch apart) at each size, and of many threads over one."""
    rows = []
    for cell in cells:
        for key, over in cell["over"].items() if cell["name"] == "cpu" else ():
            name, _, threads = key.partition(", ")
            if name == "cpu":
                shown = threads == "1 thread"
            else:  # at as many threads, or in the one setting that the other has
                alone = sum(other.startswith(f"{name},") for other in cell["over"]) == 1
                shown = name != "torch" and (alone or cell["contender"] == f"cpu, {threads}")
            if shown:
                ratios = (NONE if over[phase] is None else f"{over[phase]:.2f}" for phase in PHASES)
                rows.append([cell["size"], cell["contender"], key, *ratios])
    return rows


def _number(value: float | None) -> str:
    if value is None:
        return NONE
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
