"""Training state in one safetensors file, written atomically: weights, their average, and the optimiser's moments."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from render.files import atomic_write


def save(
    folder: Path,
    step: int,
    network: nn.Module,
    average: dict[str, Tensor],
    optimiser: torch.optim.AdamW,
    *,
    keep: int = 2,
) -> None:
    """Writes `step-<step>.safetensors` and removes all but the newest `keep`."""
    tensors = {f"network.{k}": v for k, v in network.state_dict().items()}
    tensors |= {f"average.{k}": v for k, v in average.items()}
    for name, parameter in network.named_parameters():
        for key, value in optimiser.state[parameter].items():
            tensors[f"optimiser.{name}.{key}"] = value
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / f"step-{step:08d}.safetensors") as temporary:
        save_file(
            {k: v.detach().cpu().contiguous() for k, v in tensors.items()},
            temporary,
            metadata={"hybridwm": json.dumps({"step": step})},
        )
    for old in sorted(folder.glob("step-*.safetensors"))[:-keep]:
        old.unlink()


def resume(folder: Path, network: nn.Module, average: dict[str, Tensor], optimiser: torch.optim.AdamW) -> int:
    """Loads the newest readable checkpoint into the given objects and returns its step; 0 where there is none.

    A file that cannot be read is passed over with a line that names it. Raises ValueError where a checkpoint is of
    another configuration.
    """
    for path in sorted(folder.glob("step-*.safetensors"), reverse=True):
        try:
            with safe_open(path, "pt") as file:
                step = json.loads(file.metadata()["hybridwm"])["step"]
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, KeyError, TypeError, ValueError, OSError) as error:
            print(f"{path}: passed over, not a whole checkpoint ({error})")
            continue
        state = {k.removeprefix("network."): v for k, v in tensors.items() if k.startswith("network.")}
        ours = {k: tuple(v.shape) for k, v in network.state_dict().items()}
        theirs = {k: tuple(v.shape) for k, v in state.items()}
        if ours != theirs:
            odd = sorted(k for k in ours.keys() | theirs.keys() if ours.get(k) != theirs.get(k))[0]
            raise ValueError(
                f"{path}: expected {odd} of shape {ours.get(odd)}; found {theirs.get(odd)}: the checkpoint is of "
                "another configuration. Use a new run folder, or the configuration that it was made with."
            )
        network.load_state_dict(state)
        for key in average:
            average[key].copy_(tensors[f"average.{key}"])
        for name, parameter in network.named_parameters():
            prefix = f"optimiser.{name}."
            moments = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
            # AdamW keeps its step counters on the CPU and its moments where the parameter is
            optimiser.state[parameter] = {
                k: v if k == "step" else v.to(parameter.device) for k, v in moments.items()
            }
        return step
    return 0
