"""A training run of a very small network, in this process or as the command `python small_run.py FOLDER [key=value]`.

Every unit that a process computes is a line "step unit rank" of FOLDER/units.log.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from hybridwm.training.distributed import ALONE, Ranks, join
from hybridwm.training.loop import Trained, optimise
from hybridwm.training.placement import Placement


@dataclass(frozen=True)
class Small:
    name: str = "small"
    seed: int = 3
    steps: int = 10
    batch: int = 8
    rate: float = 1e-2
    warm_up: int = 2
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    ema: float = 0.9
    checkpoint_every: int = 4
    validate_every: int = 5


class Net(nn.Module):
    """Blocks, a parameter and a buffer, of sizes that two processes cannot share out evenly; `spare` is never used."""

    def __init__(self, width: int = 7) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(nn.Linear(width, width) for _ in range(2))
        self.bias = nn.Parameter(torch.zeros(width))
        self.spare = nn.Parameter(torch.ones(3))
        self.register_buffer("scale", torch.full((width,), 0.9))

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = x + torch.tanh(block(x))
        return self.scale * x + self.bias


Spoil = Callable[[int, int, Tensor], Tensor]


def train_small(
    folder: Path,
    schedule: Small,
    placement: Placement,
    spoil: Spoil = lambda step, unit, loss: loss,
    **more,
) -> tuple[Net, Trained]:
    """Trains; `spoil(step, unit, loss)` may change a loss, wait, or end the process."""
    torch.manual_seed(schedule.seed)
    network = Net()
    folder.mkdir(parents=True, exist_ok=True)
    log = os.open(folder / "units.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def loss_at(model: nn.Module, step: int, unit: int) -> tuple[Tensor, dict[str, float]]:
        os.write(log, f"{step} {unit} {placement.ranks.rank}\n".encode())
        generator = torch.Generator().manual_seed(1000 * step + unit)
        x = torch.randn(schedule.batch // placement.units, 7, generator=generator)
        for _ in range(unit % 3):  # what a loss makes of the network's own frames: not as often in every unit
            with torch.no_grad():
                x = x + 0.01 * model(x)
        error = (model(x) - x.flip(1)).square().mean()
        return spoil(step, unit, error), {"error": error.item()}

    try:
        trained = optimise(network, loss_at, lambda average: {"mean": 0.0}, schedule, folder, placement, **more)
    finally:
        os.close(log)
    if placement.ranks.first:
        save_file(trained.average, folder / "average.safetensors")
    return network, trained


def units_of(folder: Path) -> list[tuple[int, ...]]:
    return [tuple(map(int, line.split())) for line in (folder / "units.log").read_text().splitlines()]


class Stopped(Exception):
    pass


def stop_at(last: int) -> Spoil:
    def spoil(step: int, unit: int, loss: Tensor) -> Tensor:
        if step == last:
            raise Stopped
        return loss

    return spoil


def scenarios(folder: Path, ranks: Ranks) -> None:
    """What test_distributed looks at, in one start of the processes."""
    for name, above in (("ddp", 10**9), ("fsdp", 0)):
        placement = Placement(ranks, units=4, shard_above=above)
        train_small(folder / name, Small(), placement)
        try:
            train_small(folder / f"{name}-resumed", Small(checkpoint_every=3), placement, stop_at(7))
        except Stopped:
            ranks.wait()
            train_small(folder / f"{name}-resumed", Small(checkpoint_every=3), placement)
        if (folder / f"{name}-from-one").exists():
            train_small(folder / f"{name}-from-one", Small(), placement)


def main(folder: Path, *, seconds: float = 0.0, dies: int = -1, every: int = 4, all: int = 0) -> None:
    """seconds: of each unit. dies: the step in which the last of several processes ends. all: run `scenarios`."""

    def spoil(step: int, unit: int, loss: Tensor) -> Tensor:
        time.sleep(seconds)
        if step == dies and unit == 3:
            os._exit(7)
        return loss

    with join("cpu") as ranks:
        if all:
            scenarios(folder, ranks)
        else:
            units = 1 if ranks is ALONE else 4
            train_small(folder, Small(checkpoint_every=every), Placement(ranks, units), spoil)


if __name__ == "__main__":
    torch.set_num_threads(1)
    given = dict(word.split("=") for word in sys.argv[2:])
    main(Path(sys.argv[1]), **{key: float(value) if key == "seconds" else int(value) for key, value in given.items()})
