"""`hybridwm bench recon DATA`"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from ..bench.recon import AREAS, NEED_NO_RECORDINGS
from ..configuration import load_yaml

Area = Literal["stereo", "readers", "cameras", "multiview", "monocular", "surfaces", "rooms", "fusion"]


@dataclass(frozen=True)
class Options:
    """Measure reconstruction on recorded data and on held-out rooms, beside OpenCV, Open3D and COLMAP in the same run.

    DATA holds stereo_gt/ (tsukuba, cones, motorcycle_q, kitti2015_000046) and multiview/ (hololens000_a,
    tum_fr2_desk_10 and others); what is absent is left out. Without DATA only rooms are measured.
    """

    data: Annotated[tyro.conf.Positional[Path | None], tyro.conf.arg(metavar="[DATA]")] = None
    """Folder of recorded data."""
    areas: tuple[Area, ...] = ()
    """What to measure: all of it by default, some fifteen minutes on two cores."""
    out: Path = Path("runs/bench-recon")
    """Run folder: summary.json with every figure, table.md."""
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
    from ..bench.recon import measure_area
    from ..bench.recon_table import lines, markdown
    from ..run_folder import RunFolder

    chosen = _chosen(options)
    console = Console()
    figures: dict[str, dict[str, float]] = {}
    seconds: dict[str, float] = {}
    with RunFolder(options.out, options) as folder:
        for area in chosen:
            console.print(f"{area}: {AREAS[area]} …", highlight=False)
            begun = time.perf_counter()
            figures[area] = measure_area(area, options.data or Path())
            seconds[area] = round(time.perf_counter() - begun, 1)
            for name, value in figures[area].items():
                folder.log(area=area, figure=name, value=value)
        filled = lines(figures)
        folder.write_text("table.md", markdown(filled))
        folder.summarise(figures=figures, seconds=seconds, machine=environment.describe())
    table = Table("measure", "ours", "learned", "another's", "whose", "asked", box=None, pad_edge=False)
    for line in filled:
        asked = line.asked + (": not met" if line.met is False else "")
        table.add_row(line.words, *line.cells, line.other, asked)
    if filled:
        console.print(table)
    for area in chosen:
        if not any(line.area == area for line in filled):  # none of its figures is in the table
            for name, value in figures[area].items():
                console.print(f"{name:<90} {value:.6g}", highlight=False, soft_wrap=True)
    for area in chosen:
        console.print(f"{area}: {len(figures[area])} figures in {seconds[area]:.0f} s", highlight=False)
    console.print(f"all figures {options.out / 'summary.json'}", highlight=False, soft_wrap=True)


def _chosen(options: Options) -> list[str]:
    """The areas to measure, in order. Raises ValueError or FileNotFoundError where recordings are needed."""
    chosen = [area for area in AREAS if not options.areas or area in options.areas]
    if options.data is None:
        wanting = [area for area in chosen if area not in NEED_NO_RECORDINGS]
        if options.areas and wanting:
            raise ValueError(f"bench recon: {', '.join(wanting)} need DATA, a folder of recordings; got none.")
        return [area for area in chosen if area not in wanting]
    if not options.data.is_dir():
        raise FileNotFoundError(f"{options.data}: expected a folder with stereo_gt/ and multiview/; found none.")
    return chosen
