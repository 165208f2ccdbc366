"""The table of `hybridwm bench core`: each figure beside what was asked of it and the control that must fail."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Figures = Mapping[str, Mapping[str, float]]
"""area -> figure's name -> value; an interval is three of them: name: value, name: low, name: high"""

NONE = "–"


@dataclass(frozen=True)
class Asked:
    """A bound: low <= figure <= high. of: which end of an interval is held against it."""

    low: float = -math.inf
    high: float = math.inf
    of: str = "value"

    def holds(self, value: float) -> bool:
        return self.low <= value <= self.high  # false for nan

    def words(self, shown: str) -> str:
        """The bound as the table writes it."""
        low, high = shown.format(self.low), shown.format(self.high)
        if math.isinf(self.high):
            return f"≥ {low}"
        return f"≤ {high}" if math.isinf(self.low) else f"{low} to {high}"


@dataclass(frozen=True)
class Control:
    """What has to break the row's bound, for the bound to say anything."""

    words: str
    name: str


@dataclass(frozen=True)
class Row:
    """One line: what is measured, the figure's name, what was asked (None: shown only), and its control."""

    area: str
    words: str
    name: str
    shown: str = "{:.2f}"
    asked: Asked | None = None
    control: Control | None = None


@dataclass(frozen=True)
class Line:
    """A row filled in. met, control_fails: None where nothing was asked or measured."""

    area: str
    words: str
    figure: str
    interval: str
    asked: str
    met: bool | None
    control: str
    control_fails: bool | None

    @property
    def verdict(self) -> str:
        return NONE if self.met is None else "met" if self.met else "not met"


def _speed() -> list[Row]:
    rows = [
        Row("speed", f"{arm}, frames/s, {steps} solver step{'s' if steps > 1 else ''}",
            f"cpu: {arm}: {steps}: frames/s", "{:.1f}", Asked(low=least) if steps == 2 else None)
        for arm, least in (("video only", 20.0), ("grounded", 13.0))
        for steps in (1, 2, 4)
    ]  # fmt: skip
    rows += [
        Row("speed", f"grounded, 2 solver steps: {part}, ms", f"cpu: grounded: 2: ms: {part}", "{:.1f}")
        for part in ("render", "denoise", "depth", "fuse")
    ]
    for arm, least in (("video only", None), ("grounded", 60.0)):
        rows.append(Row("speed", f"{arm}, frames/s on CUDA, 2 solver steps", f"cuda: {arm}: 2: frames/s", "{:.0f}",
                        None if least is None else Asked(low=least)))  # fmt: skip
    rows += [
        Row("speed", f"frames/s summed over {n} rollouts, {device}", f"{device}: batch: frames/s", "{:.0f}", asked)
        for device, n, asked in (("cpu", 8, None), ("cuda", 64, Asked(low=2000.0)))
    ]
    rows += [
        Row("speed", "cached step against a full forward pass, largest difference", "cache: difference", "{:.1e}",
            Asked(high=1e-4), Control("stale newest frame", "cache: difference with a stale newest frame")),
        Row("speed", "cached over uncached, 16 frames of context, 2 solver steps", "cache: over uncached, 2 steps",
            "{:.1f} x", Asked(low=2.0)),
        Row("speed", "cached, 2 solver steps, over uncached, 10", "cache: over uncached, 10 steps", "{:.1f} x"),
        Row("speed", "steps of the long walk", "endurance: steps", "{:.0f}"),
    ]  # fmt: skip
    for arm in ("video only", "grounded"):
        rows += [
            Row("speed", f"{arm}, growth of the time per frame over the long walk", f"endurance: {arm}: slope",
                "{:+.3f}", Asked(high=0.05), Control("uncached, past growing", "endurance: uncached: slope")),
            Row("speed", f"{arm}, what a state holds at the end over what it holds half-way",
                f"endurance: {arm}: held, end over half-way", asked=Asked(high=1.1),
                control=Control("nothing ever dropped", "endurance: nothing dropped: held, end over half-way")),
            Row("speed", f"{arm}, MB that a state holds at the end", f"endurance: {arm}: held MB", "{:.1f}"),
            Row("speed", f"{arm}, growth of the process over the second half, MB", f"memory: {arm}: growth MB",
                "{:+.1f}", Asked(high=4.0)),
            Row("speed", f"{arm}, peak memory beyond weights and state, MB", f"memory: {arm}: peak MB", "{:.1f}"),
            Row("speed", f"{arm}, MB of tensors that a step makes", f"memory: {arm}: temporary MB", "{:.1f}"),
        ]  # fmt: skip
    return rows


def _actions() -> list[Row]:
    """The control of action following is the twin where there is one, trained on shuffled actions."""
    rows = []
    for ahead, words in (("1", "one step"), ("4", "four steps")):
        name = f"following, {ahead} ahead"
        rows += [
            Row("actions", f"action following, {words} ahead, render dropped", f"ours: {name}", asked=Asked(low=0.85),
                control=Control("frozen frame", f"frozen frame: {name}")),
            Row("actions", f"… of the twin, trained on shuffled actions, {words} ahead", f"twin: {name}",
                asked=Asked(high=0.55), control=Control("ours", f"ours: {name}")),
        ]  # fmt: skip
    for span in ("steps 1 to 16", "steps 48 to 64"):
        rows += [
            Row("actions", f"inverse-dynamics probe, {span}: right on real pairs", f"real: {span}: right"),
            Row("actions", f"inverse-dynamics probe, {span}: right on imagined pairs", f"ours: {span}: right"),
            Row("actions", f"inverse-dynamics probe, {span}: imagined over real", f"ours: {span}: over real pairs",
                asked=Asked(low=0.8), control=Control("frozen frame", f"frozen frame: {span}: over real pairs")),
            Row("actions", f"inverse-dynamics probe, {span}: the twin over real", f"twin: {span}: over real pairs"),
        ]  # fmt: skip
    return rows


def _drift() -> list[Row]:
    likeness = "likeness to the beginning above the truth's"
    kinds = {
        "FD_r ratio": ("FD_r, last 16 over first 16", Asked(high=2.0)),
        "gradient energy ratio": ("gradient energy over the truth's", Asked(0.6, 1.6)),
        "motion ratio": ("motion over the truth's", Asked(0.5, 2.0)),
        likeness: (likeness, Asked(high=0.0, of="low")),
    }
    guards = {"gradient energy ratio": "noise", "motion ratio": "frozen frame", likeness: "looping"}
    rows = []
    for steps in (64, 128):
        for arm in ("video only", "grounded"):
            for name, (words, asked) in kinds.items():
                guard = guards.get(name)
                control = Control(guard, f"{steps} steps: {guard}: {name}") if guard else None
                figure = f"{steps} steps: {arm}: {name}"
                rows.append(Row("drift", f"{arm}, {steps} steps: {words}", figure, asked=asked, control=control))
            rows.append(
                Row("drift", f"{arm}, {steps} steps: the twin's FD_r ratio over ours",
                    f"{steps} steps: {arm}: FD_r ratio of the twin over ours", asked=Asked(low=2.0))
            )  # fmt: skip
    return rows


def _noise() -> list[Row]:
    rows = [
        Row("noise", "change by an edit to the future", "edit to the future: change before", "{:.1e}", Asked(high=1e-5),
            Control("edit to the past", "edit to the future: change after an edit to the past")),
        Row("noise", "rank correlation of the history's noise and the error", "history: Spearman of noise and error",
            asked=Asked(low=0.9), control=Control("no history", "no history: Spearman of noise and error")),
        Row("noise", "… of the twin", "twin's history: Spearman of noise and error"),
        Row("noise", "autoregressive schedule against the step loop", "autoregressive against the loop", "{:.1e}",
            Asked(high=1.01 / 255), Control("full sequence", "full_sequence against the loop")),
    ]  # fmt: skip
    rows += [Row("noise", f"PSNR after history at noise {level}, dB", f"history: PSNR at {level}", "{:.2f}")
             for level in ("0", "0.02", "0.2", "1")]  # fmt: skip
    for name in ("autoregressive", "pyramid", "full_sequence"):
        words = name.replace("_", " ")
        rows += [
            Row("noise", f"{words}, 8 frames: PSNR, dB", f"{name}: PSNR"),
            Row("noise", f"{words}, 8 frames: FD_r", f"{name}: FD_r", "{:.3f}"),
        ]
        if name != "autoregressive":
            rows.append(Row("noise", f"{words}: FD_r over that of autoregressive",
                            f"{name}: FD_r over that of autoregressive", asked=Asked(1 / 1.5, 1.5)))  # fmt: skip
    return rows


def _steps() -> list[Row]:
    rows = []
    for arm in ("video only", "grounded"):
        rows += [Row("steps", f"{arm}, one frame ahead, {n} solver steps: PSNR, dB", f"{arm}: {n} steps: PSNR")
                 for n in (1, 2, 4, 32)]  # fmt: skip
        rows += [
            Row("steps", f"{arm}, 4 solver steps against 32, dB", f"{arm}: 4 steps: dB over 32 steps", "{:+.2f}",
                Asked(-0.5, 0.5), Control("copy", f"{arm}: copy: dB over 32 steps")),
            Row("steps", f"{arm}, FD_r of 2 solver steps over that of 32",
                f"{arm}: 2 steps: FD_r over that of 32 steps", asked=Asked(high=1.1),
                control=Control("32, blurred", f"{arm}: 32 steps, blurred: FD_r over that of 32 steps")),
        ]  # fmt: skip
    rows.append(Row("steps", "frames into which nothing new enters", "familiar: frames", "{:.0f}"))
    rows += [Row("steps", f"… {arm}, one solver step: PSNR, dB", f"familiar: {arm}: PSNR")
             for arm in ("video only", "grounded")]  # fmt: skip
    rows.append(Row("steps", "… video only over grounded, dB", "familiar: dB of video only over grounded", "{:+.2f}",
                    Asked(low=-0.5)))  # fmt: skip
    return rows


def _fork() -> list[Row]:
    average, regressor = (f"control, {name}" for name in ("the flow in one step", "regressor"))
    return [
        Row("fork", "forked rooms, 4 solver steps: samples within half the way of one of the two", "4 steps: pure",
            asked=Asked(low=1.0), control=Control("regressor", f"{regressor}: pure")),
        Row("fork", "forked rooms, 4 solver steps: share of the first of the two", "4 steps: first",
            asked=Asked(0.3, 0.7)),
        Row("fork", "forked rooms, 1 solver step: within half the way of one", "1 steps: pure", asked=Asked(low=0.9),
            control=Control("the flow in one step", f"{average}: pure")),
        Row("fork", "forked rooms, 4 solver steps: nearer to the average than to either", "4 steps: average",
            asked=Asked(high=0.0), control=Control("the flow in one step", f"{average}: average")),
    ]  # fmt: skip


def _guidance() -> list[Row]:
    plain = "vanilla, weight 1"
    rows = [
        Row("guidance", f"weight {weight} against the {which} prediction, largest difference",
            f"ends: weight {weight} against {which}", "{:.1e}", Asked(high=0.0),
            Control(f"weight {1 - weight}", f"ends: weight {1 - weight} against {which}"))
        for weight, which in ((1, "conditional"), (0, "unconditional"))
    ]  # fmt: skip
    for weight in ("1.5", "3"):
        fractional, vanilla = (f"{kind}, weight {weight}" for kind in ("fractional", "vanilla"))
        rows += [
            Row("guidance", f"{vanilla}: motion over that of weight 1, which it is said to lose",
                f"{vanilla}: over {plain}: motion", asked=Asked(high=1.0, of="high")),
            Row("guidance", f"{fractional}, noise .5: motion over that of vanilla, which it is said to keep",
                f"{fractional}: over {vanilla}: motion", asked=Asked(low=1.0, of="low"),
                control=Control("binary-dropout twin", f"twin: {fractional}: over {vanilla}: motion")),
            Row("guidance", f"{fractional}, noise .5: FD_r over that of vanilla", f"{fractional}: over {vanilla}: FD_r",
                asked=Asked(high=1.0),
                control=Control("binary-dropout twin", f"twin: {fractional}: over {vanilla}: FD_r")),
        ]  # fmt: skip
    for kind in ("vanilla", "fractional", "temporal"):
        for weight in ("1", "1.5", "3") if kind != "fractional" else ("1.5", "3"):
            name = f"{kind}, weight {weight}"
            rows += [
                Row("guidance", f"{name}: motion over the truth's", f"{name}: motion ratio"),
                Row("guidance", f"{name}: gradient energy over the truth's", f"{name}: gradient ratio"),
                Row("guidance", f"{name}: FD_r", f"{name}: FD_r", "{:.3f}"),
                Row("guidance", f"{name}: FD_r over that of weight 1", f"{name}: over {plain}: FD_r"),
                Row("guidance", f"{name}: network calls a frame", f"{name}: calls a frame", "{:.0f}"),
                Row("guidance", f"{name}: calls beyond those told", f"{name}: calls beyond those told", "{:.0f}",
                    Asked(high=0.0)),
            ]  # fmt: skip
    return rows


def _recall() -> list[Row]:
    last, at_least = "recent, last 20", Asked(low=0.6)
    rows = [
        Row("recall", f"Loopy's slots, delay {delay}, right one of 16", f"hits: loopy: delay {delay}", asked=at_least,
            control=Control("last 20 frames", f"hits: {last}: delay {delay}"))
        for delay in (21, 101)
    ]  # fmt: skip
    rows.append(
        Row("recall", "splat scene, delay 125, right one of 16", "hits: splat: delay 125", asked=at_least,
            control=Control("Loopy's slots", "hits: loopy: delay 125"))
    )  # fmt: skip
    others = ("none", "recent", "retrieved", "routed", "splat", "palette")
    return rows + [Row("recall", f"{name}, delay 21, right one of 16", f"hits: {name}: delay 21") for name in others]


def _scaling() -> list[Row]:
    shuffled = "frame-shuffled targets"
    rows = [
        Row("scaling", "seeds of three on which three sizes are ordered by validation loss", "true: seeds ordered",
            "{:.0f}", Asked(low=3.0), Control(shuffled, "shuffled: seeds ordered")),
        Row("scaling", "R² of loss over parameters, in logarithms", "true: R²"),
        Row("scaling", "exponent of loss over parameters", "true: exponent", "{:+.3f}"),
    ]  # fmt: skip
    for words in ("output", "change by a block"):
        rows.append(Row("scaling", f"{words} before training, largest", f"{words} at first", "{:.1e}", Asked(high=0.0),
                        Control("after training", f"{words} after training")))  # fmt: skip
    for targets, width in ((targets, width) for targets in ("true", "shuffled") for width in (32, 64, 128)):
        rows.append(Row("scaling", f"{targets} targets, width {width}: validation loss",
                        f"{targets}: loss at width {width}", "{:.4f}"))  # fmt: skip
    return rows


_AREAS = (_speed, _actions, _drift, _noise, _steps, _fork, _guidance, _recall, _scaling)
ROWS: tuple[Row, ...] = tuple(row for area in _AREAS for row in area())


def lines(figures: Figures, rows: Sequence[Row] = ROWS) -> list[Line]:
    """The rows whose figure was measured."""
    filled = []
    for row in rows:
        found = figures.get(row.area, {})
        value = _find(found, row.name, "value")
        if value is None:
            continue
        low, high = _find(found, row.name, "low"), _find(found, row.name, "high")
        interval = "" if low is None or low == high == value else f"{row.shown.format(low)} … {row.shown.format(high)}"
        asked = "" if row.asked is None else row.asked.words(row.shown)
        control, fails = _control(found, row)
        met = _holds(found, row.name, row.asked)
        filled.append(Line(row.area, row.words, row.shown.format(value), interval, asked, met, control, fails))
    return filled


def markdown(filled: Sequence[Line]) -> str:
    """The table in Markdown."""
    head = "| measure | figure | 95 % interval | asked | | control |\n|---|---|---|---|---|---|\n"
    return head + "".join(
        f"| {line.words} | {line.figure} | {line.interval or NONE} | {line.asked or NONE} | "
        f"{'**not met**' if line.met is False else line.verdict} | {line.control or NONE} |\n"
        for line in filled
    )


def _control(found: Mapping[str, float], row: Row) -> tuple[str, bool | None]:
    """The control in words, and whether it breaks the row's bound."""
    value = None if row.control is None else _find(found, row.control.name, "value")
    if row.control is None or value is None:
        return "", None
    holds = _holds(found, row.control.name, row.asked)
    passes = ": **passes**" if holds else ""
    return f"{row.control.words} {row.shown.format(value)}{passes}", None if holds is None else not holds


def _holds(found: Mapping[str, float], name: str, asked: Asked | None) -> bool | None:
    value = None if asked is None else _find(found, name, asked.of)
    return None if asked is None or value is None else asked.holds(value)


def _find(found: Mapping[str, float], name: str, of: str) -> float | None:
    """A figure, or an end of its interval; a figure without one is all of its interval."""
    if f"{name}: {of}" in found:
        return found[f"{name}: {of}"]
    return found.get(name)
