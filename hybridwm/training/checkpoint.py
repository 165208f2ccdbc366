"""Training state on disk: weights, their average, and the optimiser's moments.

`checkpoints/` of a run folder holds, written whole or not at all:

    step-00000400.safetensors   by one process, in the file system's safety (fsync), every `checkpoint_every` steps
    step-00000400/              the same by several processes, each its part (torch.distributed.checkpoint)
    recent-0, recent-1          the last steps, in turn, in the page cache only (see recent_checkpoint)

So a run whose process is killed goes on with the step it was in, as long as a recent checkpoint costs less than a
twentieth of a step (else with the last one of them); one whose machine goes down goes on from the last step-*.
Checkpoints are read by any number of processes, whatever number wrote them.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from render.files import atomic_write

from . import recent_checkpoint, sharded_checkpoint
from .distributed import ALONE, Ranks, is_sharded


def state_of(network: nn.Module, average: dict[str, Tensor], optimiser: torch.optim.AdamW) -> dict[str, Tensor]:
    """Every tensor of the state by name; they share memory with it."""
    tensors = {f"network.{k}": v.detach() for k, v in network.state_dict().items()}
    tensors |= {f"average.{k}": v for k, v in average.items()}
    for name, parameter in network.named_parameters():
        for key, value in optimiser.state[parameter].items():
            tensors[f"optimiser.{name}.{key}"] = value
    return tensors


def save(
    folder: Path,
    step: int,
    network: nn.Module,
    average: dict[str, Tensor],
    optimiser: torch.optim.AdamW,
    *,
    keep: int = 2,
    ranks: Ranks = ALONE,
) -> Path:
    """Writes `step-<step>` and removes all but the newest `keep`. All processes have to call it."""
    tensors = state_of(network, average, optimiser)
    path = folder / f"step-{step:08d}"
    if ranks.world > 1:
        sharded_checkpoint.save(path, step, tensors, ranks)
    else:
        path = path.with_suffix(".safetensors")
        with atomic_write(path) as temporary:
            save_file(
                {k: v.detach().cpu().contiguous() for k, v in tensors.items()},
                temporary,
                metadata={"hybridwm": json.dumps({"step": step})},
            )
    if ranks.first:
        torn = folder.glob(".step-*")  # what a kill left half written
        for old in [*sorted(folder.glob("step-*"))[:-keep], *torn]:
            shutil.rmtree(old) if old.is_dir() else old.unlink()
    return path


def resume(
    folder: Path,
    network: nn.Module,
    average: dict[str, Tensor],
    optimiser: torch.optim.AdamW,
    ranks: Ranks = ALONE,
) -> int:
    """Loads the newest readable checkpoint into the given objects and returns its step; 0 where there is none.

    One that cannot be read is passed over with a line that names it. Raises ValueError where a checkpoint is of
    another configuration.
    """
    believed = recent_checkpoint.whole_ones(folder)
    for path in ranks.shared(_newest_first(folder) if ranks.first else []):
        try:
            if path.name.startswith("recent-") and path not in [each for _, each in believed]:
                raise ValueError("it is in the memory of another machine")
            if path.is_dir():
                step, tensors = sharded_checkpoint.load(path, network, ranks)
            else:
                step, tensors = read(path)
            readable = None
        except (SafetensorError, KeyError, TypeError, ValueError, OSError) as error:
            readable, step, tensors = str(error) or type(error).__name__, 0, {}
        if ranks.summed(torch.tensor(float(readable is not None))):
            if ranks.first:
                print(f"{path}: passed over, not a whole checkpoint ({readable or 'to another process'})")
            continue
        _refuse_another(path, tensors, network)
        _fill(tensors, network, average, optimiser)
        return step
    return 0


def read(path: Path) -> tuple[int, dict[str, Tensor]]:
    """The step and tensors of a file. Raises SafetensorError, KeyError, TypeError, ValueError, OSError."""
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if recent_checkpoint.STEP in tensors:
            return int(tensors.pop(recent_checkpoint.STEP)), tensors
        return json.loads(file.metadata()["hybridwm"])["step"], tensors


def _newest_first(folder: Path) -> list[Path]:
    """Every checkpoint; of equal steps the durable one first."""
    found = [(int(path.name[5:13]), 1, path) for path in folder.glob("step-" + "[0-9]" * 8 + "*")]
    found += [(step, 0, path) for step, path in recent_checkpoint.whole_ones(folder)]
    return [path for _, _, path in sorted(found, reverse=True)]


def _refuse_another(path: Path, tensors: dict[str, Tensor], network: nn.Module) -> None:
    ours = {k: tuple(v.shape) for k, v in network.state_dict().items()}
    theirs = {k.removeprefix("network."): tuple(v.shape) for k, v in tensors.items() if k.startswith("network.")}
    if ours != theirs:
        odd = sorted(k for k in ours.keys() | theirs.keys() if ours.get(k) != theirs.get(k))[0]
        raise ValueError(
            f"{path}: expected {odd} of shape {ours.get(odd)}; found {theirs.get(odd)}: the checkpoint is of "
            "another configuration. Use a new run folder, or the configuration that it was made with."
        )


@torch.no_grad()
def _fill(
    tensors: dict[str, Tensor], network: nn.Module, average: dict[str, Tensor], optimiser: torch.optim.AdamW
) -> None:
    for key, value in network.state_dict().items():
        value.copy_(_like(tensors[f"network.{key}"], value))
    for key, value in average.items():
        value.copy_(_like(tensors[f"average.{key}"], value))
    for name, parameter in network.named_parameters():
        prefix = f"optimiser.{name}."
        moments = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        # AdamW keeps its step counters on the CPU and its moments where the parameter is
        optimiser.state[parameter] = {k: v if k == "step" else _like(v, parameter) for k, v in moments.items()}


def _like(value: Tensor, other: Tensor) -> Tensor:
    """The tensor on the device of another, and shared out over the processes as that is."""
    if not is_sharded(other) or is_sharded(value):
        return value.to(other.device)
    from torch.distributed.tensor import DTensor, distribute_tensor

    assert isinstance(other, DTensor)
    # every process has read the whole tensor: nothing to send
    return distribute_tensor(value.to(other.device), other.device_mesh, other.placements, src_data_rank=None)
