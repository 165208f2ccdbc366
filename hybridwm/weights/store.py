"""Published weights: one safetensors file (fp16) with its configuration and model card beside it, never a pickle."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from render import FormatError
from render.files import atomic_write

from ..configuration import from_mapping
from ..core.config import CoreConfig

PACKAGED = Path(__file__).parent


@dataclass(frozen=True)
class Weights:
    """What a weights folder holds: the core's configuration and tensors, the training configuration, the card."""

    core: CoreConfig
    training: dict[str, Any]
    card: dict[str, Any]
    tensors: dict[str, Tensor]
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


def save_weights(
    folder: Path,
    name: str,
    core: CoreConfig,
    training: dict[str, Any],
    tensors: dict[str, Tensor],
    card: dict[str, Any],
) -> Path:
    """Writes <name>.safetensors (fp16) and <name>.json into `folder`; returns the first."""
    with atomic_write(folder / f"{name}.json") as temporary:
        content = {"core": asdict(core), "training": training, "card": card}
        temporary.write_text(json.dumps(content, indent=1) + "\n")
    path = folder / f"{name}.safetensors"
    with atomic_write(path) as temporary:
        save_file({k: v.detach().cpu().half().contiguous() for k, v in tensors.items()}, temporary)
    return path


def names() -> list[str]:
    """The weights that come with the package."""
    return sorted(path.stem for path in PACKAGED.glob("*.safetensors"))


def load_weights(name_or_path: str | Path) -> Weights:
    """Weights by packaged name, by folder (with one .safetensors in it) or by file; fp32 in memory.

    Raises FileNotFoundError where there are none, FormatError where the files do not fit together.
    """
    path = _find(name_or_path)
    config_path = path.with_suffix(".json")
    if not config_path.is_file():
        raise FileNotFoundError(
            f"{config_path}: expected the configuration beside the weights; found nothing."
        )
    try:
        content = json.loads(config_path.read_text())
        core = from_mapping(content["core"], CoreConfig, where=str(config_path))
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(
            config_path, "the JSON of a weights' configuration", str(error), "train or copy again"
        ) from None
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise FormatError(path, "a whole safetensors file", str(error), "train or copy again") from None
    bad = next((name for name, tensor in tensors.items() if not bool(torch.isfinite(tensor).all())), None)
    if bad is not None:
        raise FormatError(path, "finite weights", f"NaN or infinity in {bad}", "train or copy again")
    return Weights(core, content.get("training", {}), content.get("card", {}), tensors, path)


def _find(name_or_path: str | Path) -> Path:
    packaged = PACKAGED / f"{name_or_path}.safetensors"
    if str(name_or_path) in names():
        return packaged
    path = Path(name_or_path)
    if path.is_dir():
        found = sorted(path.glob("*.safetensors"))
        if len(found) == 1:
            return found[0]
        raise FileNotFoundError(f"{path}: expected one .safetensors file in the folder; found {len(found)}.")
    if path.is_file():
        return path
    raise FileNotFoundError(
        f"weights '{name_or_path}': expected a packaged name ({', '.join(names()) or 'none'}), a folder or a "
        ".safetensors file; found nothing there."
    )
