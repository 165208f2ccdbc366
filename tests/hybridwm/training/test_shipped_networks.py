"""What the package ships is what its own command would make: the depth networks' cards name the packaged files."""

import json

import pytest

import recon.networks
from hybridwm.cli.train_depth import NETWORKS, read_training
from hybridwm.configuration import to_mapping


@pytest.mark.parametrize("network", NETWORKS)
def test_shipped_weights_are_of_the_packaged_configuration(root, network):
    (folder,) = recon.networks.__path__
    content = json.loads((root / folder / f"{network}-rooms.json").read_text())
    config = read_training(root / "configs" / "train-depth" / f"{network}.yaml")
    assert content["network"] == network
    assert content["training"] == to_mapping(config)
    assert content["card"]["steps"] == config.steps and content["card"]["seconds_training"] > 0
