"""`hybridwm bench core`"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from ..bench.core import AREAS, ONLY_BY_NAME
from ..configuration import load_yaml

Area = Literal["speed", "actions", "drift", "noise", "steps", "guidance", "fork", "recall", "scaling"]


@dataclass(frozen=True)
class Options:
    """Measure a video core in rooms that training never saw: speed, actions, drift, noise levels, few solver steps.

    Every bound has a control that must break it; the table names a control that does not.
    """

    weights: str = "rooms-64"
    """Packaged weights by name, or a folder."""
    areas: tuple[Area, ...] = ()
    """What to measure: by default all but recall and scaling, some ten minutes on two cores; recall takes an hour or
    more, scaling (which trains cores of its own, whatever the weights) half an hour."""
    twin: str | None = None
    """Other weights for the same scenes, such as those trained without context noise."""
    solver_steps: int = 1
    """Denoising steps for each frame, in actions and drift."""
    guidance: float = 1.0
    """Weight of history guidance in actions and drift; 1 is none. Above 1 rollouts are sharper and cost twice the
    calls."""
    context_noise: float | None = None
    """Flow time at which past frames are shown in actions and drift, in place of the weights' own."""
    quick: bool = False
    """A quarter of the scenes, and shorter walks."""
    workers: int = 2
    """Processes of one thread each that imagine scenes; times are taken in this one alone."""
    out: Path = Path("runs/bench-core")
    """Run folder: summary.json with every figure, metrics.jsonl with every scene's, table.md, drift.png."""
    config: Annotated[Path | None, tyro.conf.arg(metavar="FILE.yaml")] = None
    """YAML file that fills these options; the command line overrides it."""

    @staticmethod
    def from_file(path: Path) -> Options:
        """Options filled from a YAML file."""
        return load_yaml(path, Options)


def run(options: Options) -> None:
    """Measures into the run folder and prints the table."""
    from rich.console import Console
    from rich.table import Table

    from .. import environment
    from ..bench.core import measure_area
    from ..bench.core_setup import CoreSetup
    from ..bench.core_table import lines, markdown
    from ..run_folder import RunFolder
    from ..study.arms import Use
    from ..weights.store import load_weights

    if not 1 <= options.workers <= 64:
        raise ValueError(f"bench core: expected 1 to 64 workers; got {options.workers}.")
    for weights in (options.weights, options.twin):  # what is not there is said before anything is measured
        if weights is not None:
            load_weights(weights)
    use = Use(options.solver_steps, options.guidance, options.context_noise)
    setup = CoreSetup(options.weights, options.twin, options.quick, options.workers, use=use)
    chosen = [area for area in AREAS if area in (options.areas or set(AREAS) - set(ONLY_BY_NAME))]
    console = Console()
    figures: dict[str, dict[str, float]] = {}
    seconds: dict[str, float] = {}
    with RunFolder(options.out, options) as folder:
        for area in chosen:
            console.print(f"{area}: {AREAS[area]} …", highlight=False)
            begun = time.perf_counter()
            figures[area] = measure_area(area, setup, folder)
            seconds[area] = round(time.perf_counter() - begun, 1)
        filled = lines(figures)
        folder.write_text("table.md", markdown(filled))
        folder.summarise(figures=figures, seconds=seconds, machine=environment.describe())
    table = Table("measure", "figure", "95 % interval", "asked", "", "control", box=None, pad_edge=False)
    for line in filled:
        table.add_row(line.words, line.figure, line.interval, line.asked, line.verdict, line.control.replace("*", ""))
    console.print(table)
    if "speed" in chosen and not any(name.startswith("cuda: ") for name in figures["speed"]):
        console.print("on CUDA: not measured, torch finds no such device on this machine", highlight=False)
    for area in chosen:
        console.print(f"{area}: {len(figures[area])} figures in {seconds[area]:.0f} s", highlight=False)
    console.print(f"all figures {options.out / 'summary.json'}", highlight=False, soft_wrap=True)
