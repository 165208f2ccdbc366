"""The figures of the study's page: gains with intervals, shares of the gap, depth quality, curves, videos, costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from ..headline import signed
from ..plots import curves, stacked_bars
from ..report_pictures import CEILING, media
from .forest import Line, Point, forest, sweep
from .pages import Page
from .tasks import EVERYWHERE, MEASURES, PRIMARY
from .words import source_name

QUALITIES = {
    "noisy": "noise",
    "scaled": "scale",
    "holes": "holes",
    "late": "late",
    "delayed": "late",
    "latency": "late",
}
DRAWN = 9  # lines in one plot of curves


def forest_section(page: Page) -> str:
    """Every source, placebo and memory over video only, trajectory by trajectory."""
    figures = []
    for measure in PRIMARY:
        lines: list[Line] = []
        for trajectory in [EVERYWHERE, *(n for n in page.summary["trajectories"] if n != EVERYWHERE)]:
            own = _over_video(page, measure, trajectory)
            if own:
                lines += [Line(trajectory), *own]
        if lines:
            title = f"{MEASURES[measure].title}: dB over video only"
            figures.append(
                _figure(forest(lines, title), "Filled: depth sources; hollow: placebos and memories without depth.")
            )
    if not figures:
        return ""
    words = "<p>95 % intervals, Holm-corrected; ⚑ is flagged and not ranked.</p>"
    return f"<h2>How much</h2>{words}{''.join(figures)}{page.note()}"


def shares_section(page: Page) -> str:
    """How much of the way from video only to true depth each source goes."""
    lines: list[Line] = []
    for trajectory in [EVERYWHERE, *(n for n in page.summary["trajectories"] if n != EVERYWHERE)]:
        own = [
            Line(
                source_name(v),
                100 * v["share"]["value"],
                100 * v["share"]["low"],
                100 * v["share"]["high"],
                page.colour(v["arm"]),
                f"{100 * v['share']['value']:.0f} %".replace("-", "−") + (" ⚑" if v["flags"] else ""),
            )
            for v in page.summary["verdicts"]
            if (v["measure"], v["trajectory"]) == (PRIMARY[0], trajectory) and v["share"] and not v["swept"]
        ]
        lines += [Line(trajectory), *own] if own else []
    if not lines:
        return ""
    drawn = forest(lines, "% of the way from video only to true depth, seen before", {100.0: "true depth"})
    title = "<h2>How much of true depth's gain is measured depth's</h2>"
    return f"{title}{_figure(drawn, 'Fieller’s 95 % intervals.')}{page.note()}"


def quality_section(page: Page) -> str:
    """How good depth has to be: true depth made worse step by step, with the placebo beneath."""
    figures = []
    for measure in PRIMARY:
        made = {
            a["name"]: v
            for v in page.summary["verdicts"]
            for a in [page.arms[v["arm"]]]
            if (v["measure"], v["trajectory"]) == (measure, EVERYWHERE) and v["gain"] and not a["own_weights"]
        }
        truth = next((n for n in made if page.arms[n]["depth"] == "truth"), None)
        groups: dict[str, list[tuple[float, Point]]] = {}
        for name, verdict in made.items():
            kind, number = _quality(page.arms[name])
            if kind in QUALITIES:
                label = f"{100 * number:g} %" if kind in ("noisy", "holes") else f"{number:g}"
                groups.setdefault(QUALITIES[kind], []).append((number, _point(label, verdict)))
        if not groups:
            continue
        if truth is not None:
            for name, group in groups.items():
                group.append((1.0 if name == "scale" else 0.0, _point("true", made[truth])))
        ordered = {name: [p for _, p in sorted(group, key=lambda pair: pair[0])] for name, group in groups.items()}
        floors = {
            f"{c['arm']} (placebo)": c["value"]
            for c in page.summary["comparisons"]
            if (c["measure"], c["trajectory"]) == (measure, EVERYWHERE)
            and page.arms[c["arm"]]["part"] == "placebo"
            and page.arms[c["against"]]["part"] == "video"
        }
        drawn = sweep(ordered, "dB over video only", floors)
        figures.append(_figure(drawn, f"{MEASURES[measure].title}, over all trajectories."))
    if not figures:
        return ""
    return (
        "<h2>How good must depth be?</h2><p>True depth with noise (share of its value), a wrong scale, holes or delay, "
        "and what is left of the gain. Dashed: the placebos, depth that says nothing of the scene.</p>"
        f"{''.join(figures)}{page.note()}"
    )


def curves_section(page: Page) -> str:
    """PSNR at each step of each trajectory."""
    figures, turned = [], page.summary["config"]["trajectories"]
    for trajectory in page.summary["trajectories"]:
        for mask in ("seen", "all"):
            drawn = page.summary["curves"].get(mask, {}).get(trajectory)
            if not drawn:
                continue
            shown = _worth_drawing(page, drawn)
            styles = {name: (page.colour(name), _dash(page, name)) for name in shown}
            walk = turned.get(trajectory, {})
            turn = walk["steps"] // 2 if walk.get("route") == "out_and_back" else None
            svg = curves({n: drawn[n] for n in shown}, "imagined step", "PSNR, dB", turn, CEILING, styles=styles)
            figures.append(
                _figure(svg, f"{trajectory}, {'only what was seen before' if mask == 'seen' else 'whole frame'}.")
            )
    if not figures:
        return ""
    return f'<h2>Over the steps</h2><div class="two">{"".join(figures)}</div>{page.note()}'


def watch(page: Page, folder: Path) -> str:
    """The first scene of each trajectory as a video, the others as contact sheets."""
    parts = []
    for trajectory in page.summary["trajectories"]:
        video = media(folder / "rollouts" / f"{trajectory}-00.mp4")
        sheet = media(folder / "rollouts" / f"{trajectory}-00.png")
        if video:
            parts.append(
                _figure(video, f"{trajectory}: grey bar, observed, equal in all panels; orange bar, imagined.")
            )
        if sheet:
            parts.append(_figure(sheet, "" if video else trajectory))
    if not parts:
        return ""
    return f"<h2>See it</h2><p>All arms side by side; more in <code>rollouts/</code>.</p>{''.join(parts)}"


def costs_section(page: Page) -> str:
    """Milliseconds a frame by part, Gaussians and bytes."""
    found = [cost for cost in page.summary["costs"] if cost["milliseconds"]]
    if not found:
        return ""
    bars = stacked_bars({cost["arm"]: cost["milliseconds"] for cost in found}, "ms")
    rows = []
    for cost in found:
        total = sum(cost["milliseconds"].values())
        splats = "–" if cost["gaussians"] is None else f"{cost['gaussians']:,.0f}"
        size = "–" if cost["bytes"] is None else f"{cost['bytes'] / 1e6:.2f} MB"
        cells = (
            *(f"{cost['milliseconds'].get(p, 0):.1f}" for p in ("denoise", "render", "depth", "fuse")),
            f"{total:.1f}",
        )
        numbers = "".join(f"<td class=n>{cell}</td>" for cell in (*cells, splats, size))
        rows.append(f"<tr><td>{escape(cost['arm'])}</td>{numbers}</tr>")
    titles = ("denoise", "render", "depth", "fuse", "ms a frame", "Gaussians", "scene")
    head = "<th></th>" + "".join(f"<th class=n>{title}</th>" for title in titles)
    words = "Milliseconds a frame by part, processes of one thread, as many at a time as the study had workers."
    return (
        f"<h2>What it costs</h2><p>{words} Gaussians and bytes: of the scene at the end, mean over rollouts.</p>"
        f"{_figure(bars)}<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>{page.note()}"
    )


def _over_video(page: Page, measure: str, trajectory: str) -> list[Line]:
    """Sources by their gain, largest first; then the others."""
    lines = []
    for verdict in page.summary["verdicts"]:
        if (verdict["measure"], verdict["trajectory"]) == (measure, trajectory) and verdict["gain"]:
            if verdict["swept"]:
                continue  # depth quality has a figure of its own
            label = source_name(verdict)
            lines.append(_line(label, verdict["gain"], page.colour(verdict["arm"]), bool(verdict["flags"])))
    others = [
        _line(c["arm"], c, page.colour(c["arm"]), _is_flagged(page, c), hollow=True)
        for c in page.summary["comparisons"]
        if (c["measure"], c["trajectory"]) == (measure, trajectory)
        and page.arms[c["arm"]]["part"] in ("placebo", "memory")
        and page.arms[c["against"]]["part"] == "video"
    ]
    return sorted(lines, key=lambda line: -(line.value or 0)) + sorted(others, key=lambda line: -(line.value or 0))


def _line(label: str, made: Mapping[str, Any], colour: str, flagged: bool, *, hollow: bool = False) -> Line:
    words = signed(made["value"]) + (" ⚑" if flagged else "")
    return Line(label, made["value"], made["low_holm"], made["high_holm"], colour, words, hollow)


def _is_flagged(page: Page, made: Mapping[str, Any]) -> bool:
    look = page.looks.get((made["trajectory"], made["arm"]))
    return bool(look and look["words"])


def _quality(arm: Mapping[str, Any]) -> tuple[str, float]:
    kind, _, number = str(arm["depth"]).partition("(")
    try:
        return kind, float(number.rstrip(")"))
    except ValueError:
        return kind, 0.0


def _point(label: str, verdict: Mapping[str, Any]) -> Point:
    gain = verdict["gain"]
    return Point(label + (" ⚑" if verdict["flags"] else ""), gain["value"], gain["low_holm"], gain["high_holm"])


def _worth_drawing(page: Page, drawn: Mapping[str, Sequence[float | None]]) -> list[str]:
    """Video only, sources, placebos, memories, guards, in that order, no sweep and no plants."""
    parts = ("video", "depth", "placebo", "memory", "guard")
    kept = [n for n in drawn if page.arms[n]["part"] in parts and _quality(page.arms[n])[0] not in QUALITIES]
    return sorted(kept, key=lambda name: parts.index(page.arms[name]["part"]))[:DRAWN]


def _dash(page: Page, name: str) -> str:
    return {"placebo": "6 3", "guard": "2 3", "memory": "7 2"}.get(page.arms[name]["part"], "")


def _figure(content: str, words: str = "") -> str:
    if not content:
        return ""
    return f"<figure>{content}{f'<figcaption>{escape(words)}</figcaption>' if words else ''}</figure>"
