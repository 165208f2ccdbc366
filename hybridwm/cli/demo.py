"""`hybridwm demo`"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from ..configuration import load_yaml
from ..study.demo_config import DemoConfig


@dataclass(frozen=True)
class Options:
    """Imagine the same walks with and without 3D memory, beside the truth and the guards; write a report.

    Opens nothing and downloads nothing; OUT/report.html is one file that opens offline.
    """

    config: Annotated[Path | None, tyro.conf.arg(metavar="FILE.yaml")] = None
    """YAML file that fills the options below, such as configs/demo/quick.yaml; the command line overrides it."""
    demo: Annotated[DemoConfig, tyro.conf.arg(name="")] = field(default_factory=DemoConfig)

    @staticmethod
    def from_file(path: Path) -> Options:
        """Options with the file's configuration of the demo."""
        return Options(demo=load_yaml(path, DemoConfig))


def run(options: Options) -> None:
    """Runs the demo into its folder."""
    from ..study.demo import run_demo

    run_demo(options.demo)
