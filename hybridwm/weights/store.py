"""Published weights of the video core: one safetensors file (fp16) with its configuration and model card beside it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from recon.networks.weights_file import WeightsFile, find_weights, read_weights, write_weights
from render import FormatError

from ..configuration import from_mapping
from ..core.config import CoreConfig

PACKAGED = Path(__file__).parent


@dataclass(frozen=True)
class Weights:
    """What a weights folder holds: the core's configuration and tensors, the training configuration, the card."""

    core: CoreConfig
    training: dict[str, Any]
    card: dict[str, Any]
    file: WeightsFile

    @property
    def path(self) -> Path:
        return self.file.path

    @property
    def tensors(self) -> dict[str, Tensor]:
        return self.file.tensors

    def fill(self, network: nn.Module) -> None:
        """Copies the tensors into a network; FormatError where names or shapes are of another configuration."""
        self.file.fill(network)


def save_weights(
    folder: Path,
    name: str,
    core: CoreConfig,
    training: dict[str, Any],
    tensors: dict[str, Tensor],
    card: dict[str, Any],
) -> Path:
    """Writes <name>.safetensors (fp16) and <name>.json into `folder`; returns the first."""
    return write_weights(folder, name, tensors, {"core": asdict(core), "training": training, "card": card})


def names() -> list[str]:
    """The weights that come with the package."""
    return sorted(path.stem for path in PACKAGED.glob("*.safetensors"))


def load_weights(name_or_path: str | Path) -> Weights:
    """Weights by packaged name, by folder (with one .safetensors in it) or by file; fp32 in memory.

    Raises FileNotFoundError where there are none, FormatError where the files do not fit together.
    """
    file = read_weights(find_weights(name_or_path, PACKAGED))
    where = file.path.with_suffix(".json")
    try:
        core = from_mapping(file.content["core"], CoreConfig, where=str(where))
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(
            where, "the JSON of a weights' configuration", str(error), "train or copy again"
        ) from None
    return Weights(core, file.content.get("training", {}), file.content.get("card", {}), file)
