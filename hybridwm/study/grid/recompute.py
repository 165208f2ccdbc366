"""One number of a study's report, made again from its results.parquet.

`python -m hybridwm.study.grid.recompute RUN TRAJECTORY MEASURE ARM [AGAINST]` prints the mean over scenes of the arm's
value, or of its difference to another's, with its 95 % interval, p, and what each scene gave.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from ..studentised import Studentised, studentised
from . import table
from .comparison import compare
from .per_scene import PerScene, per_scene
from .tasks import MEASURES

USAGE = "usage: python -m hybridwm.study.grid.recompute RUN TRAJECTORY MEASURE ARM [AGAINST]"


def recompute(
    values: PerScene, trajectory: str, measure: str, arm: str, against: str | None = None
) -> tuple[Studentised, np.ndarray]:
    """The test of the mean, and the scenes' values. Raises ValueError for a name that the table lacks."""
    names = {"trajectory": (trajectory, values.trajectories), "measure": (measure, tuple(values.values))}
    names |= {"arm": (arm, values.arms)} | ({} if against is None else {"against": (against, values.arms)})
    for what, (name, known) in names.items():
        if name not in known:
            raise ValueError(f"recompute: expected {what} of {', '.join(known)}; got {name!r}.")
    if against is None:
        scenes = values.scene_values(trajectory, measure, arm)
        return studentised(scenes), scenes
    made = compare(values, trajectory, measure, arm, against)
    return made.test, made.differences


def main(arguments: list[str]) -> None:
    if len(arguments) not in (4, 5):
        raise SystemExit(USAGE)
    values = per_scene(table.read(Path(arguments[0]) / "results.parquet"))
    try:
        test, scenes = recompute(values, *arguments[1:])
    except ValueError as error:
        raise SystemExit(str(error)) from None
    interval, unit = test.interval(), MEASURES[arguments[2]].unit
    print(f"{interval.value:+.4f} {unit} ({interval.low:+.4f} … {interval.high:+.4f}), n = {test.n}, p = {test.p:.4f}")
    for scene, value in zip(values.scenes, scenes, strict=True):
        print(f"scene {scene}: {value:+.4f}")


if __name__ == "__main__":
    main(sys.argv[1:])
