"""Several studies beside each other: the gain against training compute, and shared weights beside own ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from .forest import Point, sweep
from .tasks import EVERYWHERE, MEASURES, PRIMARY
from .words import bounds, size, source_name

Summary = Mapping[str, Any]
KINDS = ("shared", "own")


def compute_curve(summaries: Mapping[float, Summary], measure: str = PRIMARY[0]) -> dict[str, list[dict[str, Any]]]:
    """{depth source: [{"budget", "value", "low", "high", "n", "word", "flagged"}]}, by rising budget of training.

    The value is the gain over video only of the same weights, over all trajectories, with its Holm-corrected interval;
    a source that a study lacks has no point there. Raises ValueError below two budgets.
    """
    if len(summaries) < 2:
        raise ValueError(f"compute_curve: expected studies of two training budgets or more; got {len(summaries)}.")
    curve: dict[str, list[dict[str, Any]]] = {}
    for budget in sorted(summaries):
        for verdict in _verdicts(summaries[budget], measure):
            gain = verdict["gain"]
            point = {"budget": budget, "value": gain["value"], "low": gain["low_holm"], "high": gain["high_holm"]}
            point |= {"n": gain["n"], "word": verdict["word"], "flagged": bool(verdict["flags"])}
            curve.setdefault(source_name(verdict), []).append(point)
    return curve


def compute_section(curve: Mapping[str, Sequence[Mapping[str, Any]]], unit: str = "steps") -> str:
    """The curve of each source as a figure, for a page."""
    groups = {
        name: [
            Point(
                f"{point['budget']:g}" + (" ⚑" if point["flagged"] else ""), point["value"], point["low"], point["high"]
            )
            for point in points
        ]
        for name, points in curve.items()
    }
    words = f"Each source by {unit} of training, with weights that differ in nothing else; ⚑ is flagged, not ranked."
    drawn = sweep(groups, "dB over video only of the same weights", {})
    return f"<h2>Against training compute</h2><figure>{drawn}<figcaption>{escape(words)}</figcaption></figure>"


def beside(shared: Summary, own: Summary, measure: str = PRIMARY[0]) -> list[dict[str, Any]]:
    """[{"source", "shared", "own", "agree"}]: the verdicts of each source under one set of weights for all arms, and
    under weights of each arm's own. The two summaries may be the same one, of a study that has arms of both kinds."""
    first = {(v["depth"], v["memory"]): v for v in _verdicts(shared, measure) if not v["own_weights"]}
    second = {(v["depth"], v["memory"]): v for v in _verdicts(own, measure) if v["own_weights"]}
    return [
        {"source": source_name(verdict), "shared": verdict, "own": second[key], "agree": _agree(verdict, second[key])}
        for key, verdict in first.items()
        if key in second
    ]


def beside_section(rows: Sequence[Mapping[str, Any]]) -> str:
    """Shared beside own weights as a table, for a page; empty where no source has both."""
    if not rows:
        return ""
    lines = []
    for row in rows:
        cells = "".join(f"<td class=n>{_told(row[kind])}</td><td>{escape(row[kind]['word'])}</td>" for kind in KINDS)
        same = "yes" if row["agree"] else "no"
        lines.append(f'<tr><td>{escape(row["source"])}</td>{cells}<td class="{same}">{same}</td></tr>')
    head = "<th>depth from</th>" + "".join(f"<th class=n>{kind} weights</th><th>verdict</th>" for kind in KINDS)
    return (
        "<h2>Shared or own weights</h2><p>One set of weights for all arms may favour one of them; weights of its own "
        "let each arm be as good as it can.</p>"
        f"<table><thead><tr>{head}<th>same verdict</th></tr></thead><tbody>{''.join(lines)}</tbody></table>"
    )


def _verdicts(summary: Summary, measure: str) -> list[Mapping[str, Any]]:
    found = [v for v in summary["verdicts"] if (v["measure"], v["trajectory"]) == (measure, EVERYWHERE)]
    return [v for v in found if v["gain"] is not None]


def _agree(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """By their numbers, for flags are of the weights."""
    return (first["numbers"] or first["word"]) == (second["numbers"] or second["word"])


def _told(verdict: Mapping[str, Any]) -> str:
    unit = MEASURES[verdict["measure"]].unit
    return f"{escape(size(verdict['gain'], unit))}<div class=ci>{escape(bounds(verdict['gain']))}</div>"
