"""The weights that come with the package: they load, know their body, and their cards tell where they come from."""

import json
import re

import pytest

from hybridwm.weights.store import PACKAGED, names
from hybridwm.world_model import load

BODIES = {"rooms-64": "Walker", "doom-64": "Walker", "arm-64": "Hand"}


@pytest.mark.parametrize("name", sorted(BODIES))
def test_they_load_with_their_body(name):
    assert name in names()
    world = load(name, memory="recent")
    assert type(world.body).__name__ == BODIES[name]
    assert len(world.body.names) == world.core.config.action_dim
    assert (world.scale is not None) == (name == "arm-64")  # a walker's actions are told as they are


@pytest.mark.parametrize("name", names())
def test_a_card_tells_seeds_steps_seconds_and_no_path_of_a_machine(name):
    text = (PACKAGED / f"{name}.json").read_text()
    card = json.loads(text)["card"]
    assert card["steps"] > 0 and card["seconds_training"] > 0 and card["validation"] and card["notes"]
    assert max(card["training_seeds"]) < 10_000_000
    assert not re.search(r'"/|/tmp|/home|/root|/work|[A-Z]:\\\\', text)
