"""The report's pictures: videos and images as part of the page, curves over steps, bars of time."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from .plots import curves, stacked_bars

CEILING = 40.0  # dB: home again, the frozen frame is exact, and would flatten every other curve


def watch(folder: Path) -> str:
    """The first out-and-back and the first stare test, as videos."""
    walk, look = media(folder / "rollouts" / "return-00.mp4"), media(folder / "rollouts" / "stare-00.mp4")
    parts = ["<h2>See it</h2>"] if walk or look else []
    if walk:
        words = (
            "Out and back. Grey bar: observed frames, equal in all panels; orange bar: imagined. The dream "
            "turns back over what it saw, goes past its edge, and returns."
        )
        parts.append(_figure(walk, words))
    if look:
        words = (
            "The stare test: look round, look at the floor for longer than the context, come up at another "
            "heading. Below it, 16 views of rooms of one style, among which the last frame is looked up; the "
            "right one is framed."
        )
        sheet = media(folder / "rollouts" / "stare-00-candidates.png", pixels=True)
        parts.append(_figure(look, words) + _figure(sheet))
    return "".join(parts)


def curves_section(summary: Mapping[str, Any]) -> str:
    """PSNR at each step."""
    drawn, turn = summary["curves"], summary["config"]["out_steps"]
    plots = [
        (
            curves(drawn["all"], "imagined step", "PSNR, dB", turn, CEILING),
            "Out and back, whole frame (cut off at 40 dB).",
        ),
        (curves(drawn["seen"], "imagined step", "PSNR, dB", turn, CEILING), "Out and back, only pixels seen before."),
        (curves(drawn["walk"], "imagined step", "PSNR, dB"), "Random walk, whole frame."),
    ]
    return '<h2>Over the steps</h2><div class="two">' + "".join(_figure(*plot) for plot in plots) + "</div>"


def scene_section(folder: Path, summary: Mapping[str, Any]) -> str:
    """The exported scene from outside."""
    picture = media(folder / "scene.png")
    if not picture:
        return ""
    orbit = media(folder / "rollouts" / "scene-orbit.mp4")
    return (
        "<h2>The scene that was remembered</h2><p>From above, its ceiling cut away: left what was observed, "
        f"right with what was imagined. {summary['gaussians']:,} Gaussians; "
        "<code>scene/scene.ply</code> opens in any splat viewer.</p>"
        f'<div class="two">{_figure(picture)}{_figure(orbit)}</div>'
    )


def time_section(summary: Mapping[str, Any]) -> str:
    """Seconds a frame by part, and over a long walk."""
    alone = {name: _milliseconds(parts) for name, parts in summary["seconds_alone"].items()}
    beside = {name: _milliseconds(parts) for name, parts in summary["seconds_per_frame"].items()}
    figures = _figure(stacked_bars(alone, "ms"), "The long walk, alone on the machine.")
    words = f"The rooms; processes of one thread, {summary['config']['workers']} at a time."
    figures += _figure(stacked_bars(beside, "ms"), words)
    if summary["endurance"]:
        label = f"blocks of {summary['block']} steps"
        words = "Time a frame over a long walk: it must stay level."
        figures += _figure(curves(summary["endurance"], label, "ms a frame", floor=0.0), words)
    return f'<h2>Where the time goes</h2><p>Milliseconds a frame, by part.</p><div class="two">{figures}</div>'


def more_rooms(folder: Path) -> str:
    """A contact sheet for each kept room. Their videos stay in the folder: they would make the page heavy."""
    parts = []
    for path in sorted((folder / "rollouts").glob("*-[0-9][0-9].png")):
        words = path.stem.replace("return", "out and back").replace("-", ", room ")
        parts.append(_figure(media(path), words))
    head = "<h2>Room by room</h2><p>As videos: <code>rollouts/</code>.</p>"
    return head + "".join(parts) if parts else ""


def media(path: Path, *, pixels: bool = False) -> str:
    """A picture or video as part of the page; empty where there is none. pixels: keep their edges sharp."""
    if not path.is_file():
        return ""
    content = base64.b64encode(path.read_bytes()).decode("ascii")
    if path.suffix == ".mp4":
        return f'<video controls autoplay muted loop playsinline src="data:video/mp4;base64,{content}"></video>'
    style = ' class="pixels"' if pixels else ""
    return f'<img{style} alt="{escape(path.stem)}" src="data:image/png;base64,{content}">'


def _figure(content: str, words: str = "") -> str:
    if not content:
        return ""
    caption = f"<figcaption>{escape(words)}</figcaption>" if words else ""
    return f"<figure>{content}{caption}</figure>"


def _milliseconds(parts: Mapping[str, float]) -> dict[str, float]:
    return {part: 1000 * spent for part, spent in parts.items()}
