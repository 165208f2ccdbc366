"""Published weights of the monocular network, and what its confidence means."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor

from render import FormatError

from .monocular_config import MonocularConfig
from .monocular_unet import MonocularUNet
from .weights_file import find_weights, read_weights, write_weights

PACKAGED = Path(__file__).parent
DEFAULT = "monocular-rooms"
RIGHT = math.log(1.1)  # error of log depth: within 10 % is right, and confidence is the chance of that


def save_monocular(
    folder: Path,
    name: str,
    core: MonocularConfig,
    training: dict[str, Any],
    tensors: dict[str, Tensor],
    card: dict[str, Any],
) -> Path:
    """Writes <name>.safetensors (fp16) and <name>.json into `folder`; returns the first."""
    content = {"network": "monocular", "core": asdict(core), "training": training, "card": card}
    return write_weights(folder, name, tensors, content)


def load_monocular(name_or_path: str | Path = DEFAULT) -> MonocularUNet:
    """The network with weights of a packaged name, a folder (with one .safetensors in it) or a file, for use.

    Raises FileNotFoundError, and FormatError for damaged files and weights of another network.
    """
    file = read_weights(find_weights(name_or_path, PACKAGED))
    beside = file.path.with_suffix(".json")
    if file.content.get("network") != "monocular":
        found = repr(file.content.get("network"))
        raise FormatError(beside, "weights of the monocular network", found, "choose weights of `train-depth`")
    core = file.content.get("core")
    try:
        config = MonocularConfig(**core) if isinstance(core, dict) else None
    except (TypeError, ValueError) as error:
        raise FormatError(beside, "the sizes of the monocular network", str(error), "train or copy again") from None
    if config is None:
        raise FormatError(beside, "the sizes of the monocular network", repr(core), "train or copy again")
    network = MonocularUNet(config)
    file.fill(network)
    return network.eval().requires_grad_(False)
