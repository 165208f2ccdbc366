"""Weights on disk: a safetensors file (fp16) with a JSON object of its configuration and card beside it; no pickle."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from render import FormatError
from render.files import atomic_write

LARGEST_JSON = 10_000_000  # bytes


@dataclass(frozen=True)
class WeightsFile:
    """tensors in fp32; content: the JSON object beside them."""

    tensors: dict[str, Tensor]
    content: dict[str, Any]
    path: Path

    def fill(self, network: nn.Module) -> None:
        """Copies the tensors into a network; FormatError where names or shapes are of another configuration."""
        ours = {k: tuple(v.shape) for k, v in network.state_dict().items()}
        theirs = {k: tuple(v.shape) for k, v in self.tensors.items()}
        odd = sorted(k for k in ours.keys() | theirs.keys() if ours.get(k) != theirs.get(k))
        if odd:
            raise FormatError(
                self.path,
                f"{odd[0]} of shape {ours.get(odd[0], 'none')} as its configuration says",
                str(theirs.get(odd[0], "none")),
                "the weights are of another configuration: keep each .json with its own file",
            )
        network.load_state_dict(self.tensors)


def write_weights(folder: Path, name: str, tensors: dict[str, Tensor], content: dict[str, Any]) -> Path:
    """Writes <name>.json, then <name>.safetensors (fp16) into `folder`; returns the latter."""
    with atomic_write(folder / f"{name}.json") as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n")
    path = folder / f"{name}.safetensors"
    with atomic_write(path) as temporary:
        save_file({k: v.detach().cpu().half().contiguous() for k, v in tensors.items()}, temporary)
    return path


def find_weights(name_or_path: str | Path, packaged: Path) -> Path:
    """The .safetensors file of this name in the folder `packaged`, else that path, or the only one in that folder.

    Raises FileNotFoundError.
    """
    names = sorted(path.stem for path in packaged.glob("*.safetensors"))
    if str(name_or_path) in names:
        return packaged / f"{name_or_path}.safetensors"
    path = Path(name_or_path)
    if path.is_dir():
        found = sorted(path.glob("*.safetensors"))
        if len(found) == 1:
            return found[0]
        raise FileNotFoundError(f"{path}: expected one .safetensors file in the folder; found {len(found)}.")
    if path.is_file():
        return path
    raise FileNotFoundError(
        f"weights '{name_or_path}': expected a packaged name ({', '.join(names) or 'none'}), a folder or a "
        ".safetensors file; found nothing there."
    )


def read_weights(path: Path) -> WeightsFile:
    """The tensors of a .safetensors file and the JSON beside it.

    Raises FileNotFoundError without the JSON, FormatError for damaged files and for numbers that are not finite.
    """
    beside = path.with_suffix(".json")
    if not beside.is_file():
        raise FileNotFoundError(f"{beside}: expected the configuration beside the weights; found nothing.")
    if beside.stat().st_size > LARGEST_JSON:
        size = beside.stat().st_size
        raise FormatError(beside, f"at most {LARGEST_JSON} bytes", str(size), "train or copy again")
    try:
        content = json.loads(beside.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise FormatError(beside, "the JSON of a weights' configuration", str(error), "train or copy again") from None
    if not isinstance(content, dict):
        raise FormatError(beside, "a JSON object", type(content).__name__, "train or copy again")
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise FormatError(path, "a whole safetensors file", str(error), "train or copy again") from None
    bad = next((name for name, tensor in tensors.items() if not bool(torch.isfinite(tensor).all())), None)
    if bad is not None:
        raise FormatError(path, "finite weights", f"NaN or infinity in {bad}", "train or copy again")
    return WeightsFile(tensors, content, path)
