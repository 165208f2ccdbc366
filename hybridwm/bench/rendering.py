"""Rasterizers side by side over sizes and threads: times, memory, first calls, and a fit. What `bench render` runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from render import RenderOutput

from .contenders import Contender, contenders
from .first_call import first_calls
from .fit import fit_room
from .memory import peak_megabytes
from .scenes import room_camera, room_splats
from .sizes import Size
from .timing import PHASES, Times, take_turns

Log = Callable[..., None]


@dataclass(frozen=True)
class Plan:
    """What is measured. Empty backends: all that work here. oracle_seconds: the torch backend is left out where a
    round of it is expected to take longer. cell_seconds: what one contender may spend on one size."""

    sizes: Sequence[Size]
    threads: Sequence[int]
    backends: Sequence[str] = ()
    repeats: int = 15
    oracle_seconds: float = 8.0
    cell_seconds: float = 8.0
    beside: Path | None = None
    memory: bool = True
    first_call: bool = True
    fit: bool = True


def measure_rendering(plan: Plan, log: Log, console: Console) -> dict[str, Any]:
    """All figures of the plan, as summary.json holds them; each is also given to `log` when it is there.

    Raises what `contenders` raises for backends and folders that cannot be measured.
    """
    found = contenders(plan.backends, plan.threads, plan.beside)
    names = {contender.name for contender in found}
    figures: dict[str, Any] = {"cells": [], "left_out": []}
    with _progress(console) as progress:
        ours = "cpu" in names
        steps = len(plan.sizes) * (2 if plan.memory else 1) + (plan.first_call and ours) + (plan.fit and ours)
        task = progress.add_task("starting", total=steps)

        def announce(what: str, advance: int = 0) -> None:
            progress.update(task, description=what, advance=advance)

        if plan.first_call and ours:
            announce("first call: compiles")
            figures["first_call"] = first_calls()
            log(kind="first_call", **figures["first_call"])
            announce("first call", 1)
        for size, entered, left_out in _entries(plan, found, figures["cells"]):
            figures["left_out"] += left_out
            announce(f"{size}: times")
            cells = _time(plan, size, entered)
            announce(f"{size}: times", 1)
            for cell in cells:
                log(kind="times", **cell)
            if plan.memory:
                announce(f"{size}: memory")
                for contender, cell in zip(entered, cells, strict=True):
                    if contender.threads == max(c.threads for c in entered if c.name == contender.name):
                        cell["megabytes"] = _memory(contender, size)
                        log(kind="memory", size=str(size), contender=contender.key, **cell["megabytes"])
                announce(f"{size}: memory", 1)
            figures["cells"] += cells
        if plan.fit and ours:
            announce("fit")
            figures["fit"] = {**_fit(max(plan.threads)), "threads": max(plan.threads)}
            log(kind="fit", **figures["fit"])
            announce("fit", 1)
    return figures


def _entries(
    plan: Plan, found: Sequence[Contender], cells: Sequence[dict[str, Any]]
) -> Iterator[tuple[Size, list[Contender], list[dict[str, Any]]]]:
    """Each size, smallest first, with who takes part, and who does not and why. Reads what is in `cells` by then."""
    for size in sorted(plan.sizes, key=lambda each: each.work):
        entered, left_out = [], []
        for contender in found:
            expected = _expected_seconds(contender, size, cells) if contender.name == "torch" else 0.0
            if expected <= plan.oracle_seconds:
                entered.append(contender)
            else:
                why = f"a round would take about {expected:.0f} s"
                left_out.append({"size": str(size), "contender": contender.key, "why": why})
        yield size, entered, left_out


def _expected_seconds(contender: Contender, size: Size, cells: Sequence[dict[str, Any]]) -> float:
    """Of one round at this size, from the largest one that the contender was measured at."""
    rounds = [
        (Size.parse(cell["size"]).work, sum(ms or 0.0 for ms in cell["milliseconds"].values()) / 1000)
        for cell in cells
        if cell["contender"] == contender.key
    ]
    if not rounds:
        return 0.0
    work, seconds = max(rounds)
    return seconds * size.work / work


def _time(plan: Plan, size: Size, entered: Sequence[Contender]) -> list[dict[str, Any]]:
    splats, camera = room_splats(size.count), room_camera(size.width, size.height)
    times = take_turns(entered, splats, camera, repeats=plan.repeats, seconds=plan.cell_seconds)
    return [_cell(size, len(splats), each, times) for each in times]


def _cell(size: Size, splats: int, own: Times, all_times: Sequence[Times]) -> dict[str, Any]:
    """One contender at one size. over: its time divided by each other's, round by round, the median."""
    return {
        "size": str(size),
        "splats": splats,
        "width": size.width,
        "height": size.height,
        "contender": own.contender.key,
        "name": own.contender.name,
        "threads": own.contender.threads,
        "rounds": sum(taken is not None for taken in own.rounds),
        "milliseconds": {phase: own.milliseconds(phase) for phase in PHASES},
        "over": {
            other.contender.key: {phase: own.over(other, phase) for phase in PHASES}
            for other in all_times
            if other is not own
        },
        "largest_colour_difference": own.difference,
    }


def _memory(contender: Contender, size: Size) -> dict[str, Any]:
    try:
        return peak_megabytes(contender, size)
    except BrokenProcessPool:
        return {"render": None, "step": None, "kept": None, "why": "the system ended the process; was memory short?"}


def _fit(threads: int) -> dict[str, float]:
    from render.rasterize_cpu import rasterize_cpu

    def draw(splats, camera) -> RenderOutput:
        cameras = type(camera)(camera.K[None], camera.w2c[None], camera.width, camera.height)
        output = rasterize_cpu(splats, cameras, threads=threads)
        return RenderOutput(output.rgb[0], output.alpha[0], output.depth[0])

    return asdict(fit_room(draw))


def _progress(console: Console) -> Progress:
    bar = BarColumn(bar_width=30)
    columns = (TextColumn("{task.description:<22}"), bar, TextColumn("{task.completed}/{task.total}"))
    return Progress(*columns, TimeElapsedColumn(), console=console)
