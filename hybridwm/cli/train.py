"""`hybridwm train configs/train/rooms-64.yaml`"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from ..configuration import load_yaml
from ..training.config import TrainConfig


@dataclass(frozen=True)
class Options:
    """Train a world model. A run that was stopped goes on from its last checkpoint when started again."""

    config: tyro.conf.Positional[Path | None] = None
    """YAML file that fills the options below, such as configs/train/rooms-64.yaml."""
    out: Path | None = None
    """Run folder; runs/NAME by default."""
    training: Annotated[TrainConfig, tyro.conf.arg(name="")] = field(default_factory=TrainConfig)

    @staticmethod
    def from_file(path: Path) -> Options:
        """Options with the file's training configuration."""
        return Options(training=load_yaml(path, TrainConfig))


def run(options: Options) -> None:
    """Trains into the run folder."""
    folder = options.out or Path("runs") / options.training.name

    from ..training.train import train

    train(options.training, folder)
