"""`hybridwm train-depth configs/train-depth/stereo.yaml`"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import tyro

from ..configuration import from_mapping, read_yaml
from ..training.depth.monocular_config import MonocularTraining
from ..training.depth.stereo_config import StereoTraining
from .train import refuse_another_run

# The YAML's `network`: its configuration. hybridwm.training.depth.<network>_train has train(configuration, folder).
NETWORKS: dict[str, type[Any]] = {"stereo": StereoTraining, "monocular": MonocularTraining}


@dataclass(frozen=True)
class Options:
    """Train a network that depth is measured with. A stopped run goes on from its last checkpoint."""

    config: Annotated[tyro.conf.Positional[Path | None], tyro.conf.arg(metavar="FILE.yaml")] = None
    """YAML file of the run, such as configs/train-depth/stereo.yaml; its key `network` says what is trained."""
    training: Annotated[Any, tyro.conf.Suppress] = None
    """What the file says."""
    out: Path | None = None
    """Run folder; runs/NAME by default."""
    steps: int | None = None
    """Optimiser steps, instead of the file's."""
    seed: int | None = None
    """Seed, instead of the file's."""
    device: str | None = None
    """cpu, cuda or auto, instead of the file's."""
    threads: int | None = None
    """CPU threads of torch, instead of the file's."""

    @staticmethod
    def from_file(path: Path) -> Options:
        """Options with the file's training configuration."""
        return Options(training=read_training(path))


def run(options: Options) -> None:
    """Trains into the run folder. Raises ValueError without a file."""
    if options.training is None:
        raise ValueError("expected a YAML file, such as configs/train-depth/stereo.yaml; got none")
    given = {name: getattr(options, name) for name in ("steps", "seed", "device", "threads")}
    config = replace(options.training, **{name: value for name, value in given.items() if value is not None})
    folder = options.out or Path("runs") / config.name
    refuse_another_run(folder, config)
    train = import_module(f"hybridwm.training.depth.{config.network}_train").train

    from ..run_folder import RunFolder

    with RunFolder(folder, config, keep_metrics=True) as run_folder:
        begun = time.perf_counter()
        weights = train(config, folder)
        card = json.loads(weights.with_suffix(".json").read_text())["card"]
        run_folder.summarise(weights=weights.name, seconds=round(time.perf_counter() - begun, 1), **card)
    print(weights)


def read_training(path: Path) -> Any:
    """The configuration in a YAML file, of the class that its key `network` names.

    Raises FileNotFoundError, ValueError.
    """
    content = read_yaml(path)
    name = content.get("network") if isinstance(content, dict) else None
    if name not in NETWORKS:
        raise ValueError(f"{path}: expected the key `network` to be one of {', '.join(NETWORKS)}; got {name!r}.")
    return from_mapping(content, NETWORKS[name], where=str(path))
