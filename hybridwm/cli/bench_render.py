"""`hybridwm bench render`"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from ..bench.sizes import Size
from ..configuration import load_yaml

SIZES = ("20k@128", "100k@256", "100k@512", "400k@512")
FULL_SIZES = (*SIZES, "400k@256", "400k@1024", "1M@640x480", "1M@1024")


@dataclass(frozen=True)
class Options:
    """Measure the rasterizers of this machine side by side: times forward and backward, memory, first call, a fit.

    The scene is a room of surface splats. Everything is measured in one run and in turns, so that ratios hold on a
    busy machine too; milliseconds hold for a quiet one.
    """

    full: bool = False
    """More sizes and more rounds, and the torch oracle up to larger scenes: some ten minutes instead of two."""
    sizes: tuple[str, ...] = ()
    """Splats@pixels, as in 100k@256 or 1M@640x480; by default four sizes, eight with --full."""
    threads: tuple[int, ...] = ()
    """Numbers of threads of the cpu backend; by default 1 and as many as there are cores."""
    backends: tuple[Literal["torch", "cpu", "gsplat", "pytorch3d"], ...] = ()
    """By default all that work here; one asked for by name is measured or refused."""
    repeats: int | None = None
    """Rounds at each size, 15 by default, 41 with --full; slow backends sit out."""
    oracle_seconds: float | None = None
    """Where a round of the torch backend would take longer it is left out; 8 by default, 20 with --full."""
    memory: bool = True
    """Measure the peak memory, each in a process of its own."""
    first_call: bool = True
    """Measure the first call, with nothing compiled and from the cache."""
    fit: bool = True
    """Measure a fit of 20,000 splats to four images."""
    beside: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Folder of another rasterizer to measure beside ours: nbsplat.py, with rasterize(means, quats, scales, opacities,
    colours, w2c, K, width, height, threads)."""
    out: Path = Path("runs/bench")
    """Run folder: summary.json, times.svg."""
    config: Annotated[Path | None, tyro.conf.arg(metavar="FILE.yaml")] = None
    """YAML file that fills these options; the command line overrides it."""

    def __post_init__(self) -> None:
        for text in self.sizes:
            try:
                Size.parse(text)
            except ValueError as error:
                raise ValueError(f"bench.sizes: {error}") from None
        if any(not 1 <= threads <= 1024 for threads in self.threads):
            raise ValueError(f"bench.threads: expected 1 to 1024 each; got {', '.join(map(str, self.threads))}.")
        if self.repeats is not None and not 1 <= self.repeats <= 10_000:
            raise ValueError(f"bench.repeats: expected 1 to 10000; got {self.repeats}.")
        if self.oracle_seconds is not None and not 0 <= self.oracle_seconds <= 86_400:
            raise ValueError(f"bench.oracle-seconds: expected 0 to 86400; got {self.oracle_seconds}.")

    @staticmethod
    def from_file(path: Path) -> Options:
        """Options filled from a YAML file."""
        return load_yaml(path, Options)


def run(options: Options) -> None:
    """Measures into the run folder and prints the table."""
    from rich.console import Console

    from .. import environment
    from ..bench.plot import dot_plot
    from ..bench.rendering import Plan, measure_rendering
    from ..bench.terminal import show
    from ..run_folder import RunFolder

    names = options.sizes or (FULL_SIZES if options.full else SIZES)
    plan = Plan(
        sizes=[Size.parse(text) for text in dict.fromkeys(names)],
        threads=sorted(set(options.threads or (1, _cores()))),
        backends=options.backends,
        repeats=options.repeats or (41 if options.full else 15),
        oracle_seconds=_first(options.oracle_seconds, 20.0 if options.full else 8.0),
        cell_seconds=30.0 if options.full else 8.0,
        beside=options.beside,
        memory=options.memory,
        first_call=options.first_call,
        fit=options.fit,
    )
    console, begun = Console(), time.monotonic()
    with RunFolder(options.out, options) as run_folder:
        figures = measure_rendering(plan, run_folder.log, console)
        summary = {
            "subject": "render",
            "machine": environment.describe(),
            **figures,
            "seconds": round(time.monotonic() - begun, 1),
        }
        title = "Room of surface splats: time of a step of fitting"
        run_folder.write_text("times.svg", dot_plot(summary["cells"], title))
        run_folder.summarise(**summary)
    show(console, summary)
    for what, file in (("figures", "summary.json"), ("plot", "times.svg")):
        console.print(f"{what:<8} {options.out / file}", highlight=False, soft_wrap=True)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _first(given: float | None, otherwise: float) -> float:
    return otherwise if given is None else given
