"""The default architecture is that of the packaged weights: what a configuration adds must be asked for."""

import hashlib

import pytest
import torch

from hybridwm.core.config import CoreConfig
from hybridwm.core.network import VideoNetwork


def names_and_shapes(config: CoreConfig) -> tuple[int, str]:
    with torch.device("meta"):
        network = VideoNetwork(config)
    lines = [f"{name} {tuple(value.shape)}" for name, value in network.state_dict().items()]
    return len(lines), hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def test_the_default_core_has_the_names_and_shapes_of_the_packaged_weights():
    assert names_and_shapes(CoreConfig()) == (132, "f5a45bd1b5dec9c6")


@pytest.mark.parametrize("change", [{"eyes": 1}, {"eye_channels": 4, "eyes": 1}, {"width": 96}, {"finish": 48}])
def test_another_configuration_has_others(change):
    assert names_and_shapes(CoreConfig(**change)) != names_and_shapes(CoreConfig())
