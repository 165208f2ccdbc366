"""`hybridwm train configs/train/rooms-64.yaml`"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from ..configuration import load_yaml, to_mapping
from ..training.config import TrainConfig

if TYPE_CHECKING:
    from ..training.distributed import Ranks


@dataclass(frozen=True)
class Options:
    """Train a world model. A run that was stopped goes on from its last checkpoint when started again."""

    config: Annotated[tyro.conf.Positional[Path | None], tyro.conf.arg(metavar="[FILE.yaml]")] = None
    """YAML file that fills the options below, such as configs/train/rooms-64.yaml."""
    out: Path | None = None
    """Run folder; runs/NAME by default."""
    training: Annotated[TrainConfig, tyro.conf.arg(name="")] = field(default_factory=TrainConfig)

    @staticmethod
    def from_file(path: Path) -> Options:
        """Options with the file's training configuration; an `initial` of its own is a file beside it."""
        training = load_yaml(path, TrainConfig)
        if training.initial.endswith(SUFFIXES):
            training = replace(training, initial=str(path.parent / training.initial))
        return Options(training=training)


SUFFIXES = (".yaml", ".yml")  # of an `initial` that is trained first
BEGIN = "begin"  # its run folder, in that of the run that asks for it
# What may change when a run goes on: where it runs, and how often it writes.
FREE = ("data", "device", "threads", "checkpoint_every", "validate_every", "compile", "shard_above")


def run(options: Options) -> None:
    """Trains into the run folder. Of several processes (`torchrun -m hybridwm train ...`) the first alone owns it."""
    runs = stages(options.training, options.out or Path("runs") / options.training.name)

    from ..training.distributed import join

    with join(options.training.device) as ranks:
        if ranks.first and len(runs) > 1:
            _claim(*runs[-1])  # before another run's folder stands in it
        for training, folder in runs:
            if ranks.first:
                _run_first(training, folder, ranks)
            else:
                _run_beside(training, folder, ranks)


def stages(training: TrainConfig, folder: Path) -> list[tuple[TrainConfig, Path]]:
    """The run and its folder, after the run that it begins with where `initial` names a configuration.

    Both share walks, device and threads. Raises ValueError where that one again begins with another.
    """
    if not training.initial.endswith(SUFFIXES):
        return [(training, folder)]
    first = load_yaml(Path(training.initial), TrainConfig)
    if first.initial.endswith(SUFFIXES):
        raise ValueError(f"{training.initial}: expected a run that begins with weights; got initial {first.initial}.")
    data = training.data or str(folder / "data")
    first = replace(first, data=data, device=training.device, threads=training.threads)
    return [(first, folder / BEGIN), (replace(training, data=data, initial=str(folder / BEGIN)), folder)]


def _claim(training: TrainConfig, folder: Path) -> None:
    from ..run_folder import RunFolder

    refuse_another_run(folder, training)
    with RunFolder(folder, training, keep_metrics=True):
        pass


def _run_first(training: TrainConfig, folder: Path, ranks: Ranks) -> None:
    refuse_another_run(folder, training)

    from ..run_folder import RunFolder
    from ..training.train import train

    with RunFolder(folder, training, keep_metrics=True) as run_folder:
        ranks.wait()
        begun = time.perf_counter()
        weights = train(training, folder, ranks)
        card = json.loads(weights.with_suffix(".json").read_text())["card"]
        run_folder.summarise(weights=weights.name, seconds=round(time.perf_counter() - begun, 1), **card)
    print(f"{weights}: load it by hybridwm.load('{folder}')")


def _run_beside(training: TrainConfig, folder: Path, ranks: Ranks) -> None:
    from ..training.train import train

    ranks.wait()  # until the folder is the first process's
    try:
        train(training, folder, ranks)
    except FloatingPointError:
        raise SystemExit(2) from None  # every process has the same: the first says it


def refuse_another_run(folder: Path, config: Any) -> None:
    """Raises ValueError where the folder holds checkpoints of a run with another configuration."""
    file = folder / "config.yaml"
    if not (file.is_file() and (folder / "checkpoints").is_dir()):
        return
    free = {name: getattr(config, name) for name in FREE if hasattr(config, name)}
    earlier, now = (to_mapping(replace(each, **free)) for each in (load_yaml(file, type(config)), config))
    changed = [name for name in now if now[name] != earlier[name]]
    if changed:
        raise ValueError(
            f"{folder}: expected the run that it holds, got another {', '.join(changed)}; "
            "go on with the same options, or choose another --out"
        )
