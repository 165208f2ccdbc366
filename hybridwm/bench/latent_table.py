"""What `python -m hybridwm.bench.latent_actions` prints: each figure, what was asked, the control that must fail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from ..study.statistics import Interval
from .core_setup import described
from .core_table import Asked, Control, Row, lines
from .latent_scenes import ABOVE, WIDE
from .recon import flattened

AREA = "latent actions"


def rows() -> list[Row]:
    """In the order of row 17."""
    random = "random codes"

    def chance(words: str, name: str) -> Row:
        return Row(AREA, words, f"{name}, beyond chance", "{:+.3f}", Asked(high=ABOVE),
                   Control(f"{WIDE} numbers", f"{WIDE} numbers: {name}, beyond chance"))  # fmt: skip

    table = [
        Row(AREA, "action named by a linear map from 99 labelled pairs", "action named", asked=Asked(low=0.8),
            control=Control(random, "random codes: action named")),
        Row(AREA, "… each action as often", "action named, each as often", asked=Asked(low=0.8),
            control=Control(random, "random codes: action named, each as often")),
        Row(AREA, "probe for the room (of 16)", "room found"),
        chance("… beyond chance", "room found"),
        Row(AREA, "probe for the style (of 4)", "style found"),
        chance("… beyond chance", "style found"),
        Row(AREA, "probe for the room, codes not rounded", "not rounded: room found"),
        Row(AREA, "codes replayed in another room by the forward model, right by IDM", "replayed elsewhere",
            asked=Asked(low=0.7), control=Control(random, "random codes: replayed elsewhere")),
        Row(AREA, "… the real pairs themselves", "real pairs: replayed elsewhere"),
        Row(AREA, "codes of one room drive the world model in another, right by IDM", "replayed in a dream",
            asked=Asked(low=0.7), control=Control(random, "random codes: replayed in a dream")),
        Row(AREA, "… the keys themselves", "keys: replayed in a dream"),
    ]  # fmt: skip
    for part in ("forward", "sideways", "yaw", "pitch"):
        table.append(Row(AREA, f"{part} decoded off frames, median error", f"decoded {part}, median error of its size"))
    for words in ("turn left a little", "turn right a little", "go forward a little", "go back a little", "turn left",
                  "walk forward", "walk forward; turn left a little"):  # fmt: skip
        table.append(Row(AREA, f"keys, (v, ω) and “{words}”: largest difference of cameras",
                         f"{words}: largest difference", "{:.3f}", Asked(high=0.1)))  # fmt: skip
    return table + [
        Row(AREA, "held-out phrases within a tenth of the keys' camera", "held-out phrases within a tenth",
            asked=Asked(low=0.8), control=Control(random, "random codes: held-out phrases within a tenth")),
        Row(AREA, "held-out motions understood as motions", "held-out motions understood as motions"),
        Row(AREA, "held-out places and other sentences refused", "held-out places and other sentences refused"),
    ]  # fmt: skip


def show(figures: Mapping[str, Any], console: Console | None = None) -> None:
    """Prints the table."""
    told = {name: described(value) if isinstance(value, Interval) else value for name, value in figures.items()}
    table = Table("measure", "figure", "95 % interval", "asked", "", "control", box=None, pad_edge=False)
    for line in lines({AREA: dict(flattened(told))}, rows()):
        table.add_row(line.words, line.figure, line.interval, line.asked, line.verdict, line.control.replace("*", ""))
    (console or Console()).print(table)
