"""`hybridwm train-latent-actions configs/train-latent-actions/rooms.yaml`"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from ..configuration import load_yaml
from ..training.latent_actions.config import LatentTraining
from .train import refuse_another_run


@dataclass(frozen=True)
class Options:
    """Train a latent action space, label-free, with its maps of bodies and words. A stopped run goes on from its last
    checkpoint."""

    config: Annotated[tyro.conf.Positional[Path | None], tyro.conf.arg(metavar="FILE.yaml")] = None
    """YAML file of the run, such as configs/train-latent-actions/rooms.yaml."""
    training: Annotated[LatentTraining, tyro.conf.arg(name="")] = field(default_factory=LatentTraining)
    """What the file says, and the command line overrides."""
    out: Path | None = None
    """Run folder; runs/NAME by default."""

    @staticmethod
    def from_file(path: Path) -> Options:
        """Options with the file's training configuration."""
        return Options(training=load_yaml(path, LatentTraining))


def run(options: Options) -> None:
    """Trains into the run folder."""
    config = options.training
    folder = options.out or Path("runs") / config.name
    refuse_another_run(folder, config)

    from ..run_folder import RunFolder
    from ..training.latent_actions.train import train

    with RunFolder(folder, config, keep_metrics=True) as run_folder:
        begun = time.perf_counter()
        weights = train(config, folder)
        card = json.loads(weights.with_suffix(".json").read_text())["card"]
        run_folder.summarise(weights=weights.name, **(card | {"seconds": round(time.perf_counter() - begun, 1)}))
    print(weights)
