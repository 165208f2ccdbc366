"""What the sections of the study's page share: links from numbers to where they are made, words, colours."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from html import escape
from typing import Any

from .tasks import MEASURES
from .verdict import ABOVE, HELPS, HURTS, NEEDED, NOT_RANKED
from .words import size

COLOURS = {
    "truth": "#1f6f8b",
    "stereo": "#b8500f",
    "multiview": "#8a5a9e",
    "monocular": "#5e7d2f",
    "rgbd": "#c46a7a",
    "learned_stereo": "#d08a2e",
}
SPARE = ("#2c6e49", "#7a4e2d", "#3f5aa6", "#a3232b")
PLAIN = {"video": "#1d2329", "memory": "#8d939a", "placebo": "#b7a34c", "guard": "#c7c3b6", "planted": "#b9b4a6"}
CLASSES = {NEEDED: "needed", HELPS: "helps", ABOVE: "helps", HURTS: "hurts", NOT_RANKED: "flagged"}


class Page:
    """A summary with what its sections look up again and again."""

    def __init__(self, summary: Mapping[str, Any]):
        self.summary = summary
        self.arms = {arm["name"]: arm for arm in summary["arms"]}
        self.places = {c["name"]: f"c{i}" for i, c in enumerate(summary["comparisons"])}
        self.levels = {(v["trajectory"], v["measure"], v["arm"]): v for v in summary["levels"]}
        self.looks = {(v["trajectory"], v["arm"]): v for v in summary["looks"]}

    def link(self, comparison: Mapping[str, Any] | None, text: str) -> str:
        """The text, linked to the row that says how it is made."""
        place = None if comparison is None else self.places.get(comparison["name"])
        return escape(text) if place is None else f'<a href="#{place}">{escape(text)}</a>'

    def word(self, verdict: Mapping[str, Any]) -> str:
        """The verdict as a chip; what is not ranked says beside it what its numbers alone would."""
        word = verdict["word"]
        chip = f'<span class="word {CLASSES.get(word, "")}">{escape(word)}{" ⚑" if verdict["flags"] else ""}</span>'
        if word == NOT_RANKED and verdict["numbers"]:
            chip += f'<div class="ci">numbers alone: {escape(verdict["numbers"])}</div>'
        return chip

    def gain(self, verdict: Mapping[str, Any]) -> str:
        """The difference to video only with its corrected interval, linked; to the best placebo where there is none."""
        made = verdict["gain"] or verdict["best_rival"]
        if made is None:
            return ""
        unit = MEASURES[verdict["measure"]].unit
        low, high = made["low_holm"], made["high_holm"]
        digits = 2 if unit in ("dB", "°") else 3
        ends = "" if low is None or high is None else f"{low:+.{digits}f} … {high:+.{digits}f}".replace("-", "−")
        over = "" if verdict["gain"] else f"<div class=ci>over {escape(made['against'])}</div>"
        return f"{self.link(made, size(made, unit))}<div class=ci>{ends}</div>{over}"

    def colour(self, name: str) -> str:
        """Of an arm, the same in every figure."""
        arm = self.arms[name]
        if arm["part"] != "depth":
            return PLAIN[arm["part"]]
        kind = str(arm["depth"]).split("(")[0]
        others = sorted({str(a["depth"]).split("(")[0] for a in self.arms.values() if a["depth"]} - set(COLOURS))
        return COLOURS.get(kind) or SPARE[others.index(kind) % len(SPARE)]

    def command(self) -> str:
        """How the numbers of a section are made."""
        return f"All of it: <code>{escape(self.summary['command'])}</code>; one number: follow its link."

    def note(self) -> str:
        """The same as a paragraph."""
        return f"<p class=note>{self.command()}</p>"

    def recompute(self, *names: str) -> str:
        """The command that makes one number again from results.parquet."""
        words = " ".join(shlex.quote(name) for name in (self.summary["run"], *names))
        return f"python -m hybridwm.study.grid.recompute {words}"
