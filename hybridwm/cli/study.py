"""`hybridwm study configs/study/quick.yaml`"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from ..configuration import load_yaml
from ..study.grid.config import StudyConfig


@dataclass(frozen=True)
class Options:
    """Compare memories and depth sources: the same walks, weights and noise in every arm; write results and a report.

    Says first how long it will take. A study that was stopped goes on where it was when started again.
    """

    config: Annotated[tyro.conf.Positional[Path | None], tyro.conf.arg(metavar="[FILE.yaml]")] = None
    """YAML file that names arms and trajectories, such as configs/study/quick.yaml; the command line overrides it."""
    study: Annotated[StudyConfig, tyro.conf.arg(name="")] = field(default_factory=StudyConfig)

    @staticmethod
    def from_file(path: Path) -> Options:
        """Options with the file's study."""
        return Options(study=load_yaml(path, StudyConfig))


def run(options: Options) -> None:
    """Measures into the run folder. Raises ValueError where it would have to ask and there is nobody."""
    if not options.study.yes and not sys.stdin.isatty():
        raise ValueError("study: expected a terminal to ask whether to go on; got none. Pass --yes.")
    from ..study.grid.run import run_study

    run_study(options.study, ask=lambda question: options.study.yes or _ask(question))


def _ask(question: str) -> bool:
    return input(question).strip().lower() in ("y", "yes")
