"""Depth of a rectified pair by learned matching costs: a small network's descriptors in place of the census.

All else is recon.stereo's: semi-global matching, refinement, confidence, and what degenerate pairs give.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor

from render import FormatError

from .networks.stereo_config import StereoNetworkConfig
from .networks.stereo_network import StereoNetwork
from .networks.weights_file import find_weights, read_weights
from .stereo import Costs, stereo_depth
from .stereo_descriptor_cost import descriptor_costs
from .view import DepthContext, View

PACKAGED = Path(__file__).parent / "networks"
DEFAULT = "stereo-rooms"
ROWS = 64  # of an image that the network looks at together


def learned_stereo_depth(
    views: Sequence[View], context: DepthContext | None = None, *, max_disparity: int | None = None
) -> tuple[Tensor, Tensor]:
    """Depth [H, W] in metres (0 = none) and confidence [H, W] in 0..1 of the newest view, by the packaged network.

    As stereo_depth otherwise; never reads View.depth.
    """
    costs = learned_costs(DEFAULT)
    return stereo_depth(views, context, max_disparity=max_disparity, costs=costs, name="learned_stereo")


def learned_stereo(weights: str | Path) -> Callable[..., tuple[Tensor, Tensor]]:
    """That depth source with other weights: a folder that `hybridwm train-depth` wrote, or its .safetensors file.

    Raises FileNotFoundError and FormatError where there are none, or not of a stereo network.
    """
    costs = learned_costs(Path(weights).expanduser())

    def source(
        views: Sequence[View], context: DepthContext | None = None, *, max_disparity: int | None = None
    ) -> tuple[Tensor, Tensor]:
        return stereo_depth(views, context, max_disparity=max_disparity, costs=costs, name="learned_stereo")

    return source


def learned_costs(weights: str | Path) -> Costs:
    """The matching costs of these weights, for recon.stereo.match. Raises as learned_stereo."""
    return network_costs(read_network(find_weights(weights, PACKAGED)))


def network_costs(network: StereoNetwork) -> Costs:
    """The matching costs that a network's descriptors give."""

    @torch.inference_mode()
    def costs(left: ndarray, right: ndarray, search: int, threads: int = 2) -> ndarray:
        eyes = torch.from_numpy(np.stack([left, right])).permute(0, 3, 1, 2).float() / 255
        descriptors = _in_strips(network, eyes[0]), _in_strips(network, eyes[1])
        return descriptor_costs(descriptors, (left, right), search, threads)

    return costs


def _in_strips(network: StereoNetwork, image: Tensor) -> ndarray:
    """Descriptors [C, H, W] of an image [3, H, W], by a few rows at a time, which stay in a core's cache."""
    prepared, around = network.prepare(image[None]), 2 * network.margin
    strips = [network.describe(prepared[:, :, top : top + ROWS + around])[0] for top in range(0, image.shape[1], ROWS)]
    return torch.cat(strips, 1).numpy()


@functools.lru_cache(maxsize=2)
def read_network(path: Path) -> StereoNetwork:
    """The network in a weights file. Raises FormatError for weights of another kind."""
    file = read_weights(path)
    config = file.content.get("config")
    if file.content.get("network") != "stereo" or not isinstance(config, dict):
        raise FormatError(
            path.with_suffix(".json"),
            '"network": "stereo" and its "config"',
            repr(file.content.get("network")),
            "give weights that `hybridwm train-depth configs/train-depth/stereo.yaml` wrote",
        )
    try:
        network = StereoNetwork(StereoNetworkConfig(**config))
    except (TypeError, ValueError, RuntimeError) as error:
        raise FormatError(
            path.with_suffix(".json"), "a StereoNetworkConfig", str(error), "train or copy again"
        ) from None
    file.fill(network)
    return network.eval()
