"""The area `guidance` of `bench core` on a tiny core with random weights."""

import pytest
import torch

from hybridwm.bench import core_guidance
from hybridwm.bench.core import measure_area
from hybridwm.bench.core_setup import VIEWS, CoreSetup
from hybridwm.bench.core_table import lines
from hybridwm.core.config import CoreConfig
from hybridwm.core.video_core import VideoCore
from hybridwm.study import arms
from hybridwm.study.trajectories import random_walk
from hybridwm.weights.store import save_weights


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    config, folder = CoreConfig(height=32, width=32, dim=32, depth=2, heads=2), tmp_path_factory.mktemp("tiny")
    torch.manual_seed(0)
    tensors = {name: 0.1 * torch.randn_like(v) for name, v in VideoCore(config).network.state_dict().items()}
    save_weights(folder, "tiny", config, {}, tensors, {})
    return str(folder)


def test_the_ends_are_exact_and_differ(weights):
    walk = random_walk(9_000_000, VIEWS + 1, arms.rig(weights))
    ends = core_guidance.ends_of(arms.world(weights, arms.VIDEO), walk.window(0, VIEWS, 1))
    assert ends["weight 1 against conditional"] == ends["weight 0 against unconditional"] == 0
    assert ends["weight 0 against conditional"] > 0 < ends["weight 1 against unconditional"]


def test_figures_and_rows_of_every_guidance_with_a_twin(weights, monkeypatch):
    monkeypatch.setattr(core_guidance, "STEPS", 4)
    monkeypatch.setattr(core_guidance, "WEIGHTS", (1.0, 3.0))
    monkeypatch.setattr(core_guidance, "KINDS", {"vanilla": (1.0, 3.0), "fractional": (3.0,), "temporal": (3.0,)})
    setup = CoreSetup(weights, twin=weights, quick=True, workers=1, first_seed=9_000_000)
    figures = measure_area("guidance", setup)
    calls = {"vanilla, weight 1": 1, "vanilla, weight 3": 2, "fractional, weight 3": 3, "temporal, weight 3": 3}
    for name, told in calls.items():
        assert figures[f"{name}: calls a frame"] == told
        assert figures[f"{name}: calls beyond those told"] == 0
    ratio = figures["fractional, weight 3: over vanilla, weight 3: motion: value"]
    motions = [figures[f"{kind}, weight 3: motion ratio: value"] for kind in ("fractional", "vanilla")]
    assert ratio == pytest.approx(motions[0] / motions[1])
    assert figures["fractional, weight 3: over vanilla, weight 1: FD_r: value"] == pytest.approx(
        figures["fractional, weight 3: FD_r: value"] / figures["vanilla, weight 1: FD_r: value"]
    )
    assert figures["twin: fractional, weight 3: over vanilla, weight 3: motion: value"] == pytest.approx(ratio)
    shown = {line.words: line for line in lines({"guidance": figures})}
    ends = shown["weight 1 against the conditional prediction, largest difference"]
    assert ends.met and ends.control_fails
    claim = shown["fractional, weight 3, noise .5: motion over that of vanilla, which it is said to keep"]
    assert claim.met is not None and claim.control


def test_a_miscounted_call_is_shown(weights, monkeypatch):
    """A guidance that told fewer calls than it makes breaks its row."""
    walk = random_walk(9_000_000, VIEWS + 4, arms.rig(weights))
    model = arms.world(weights, arms.VIDEO)
    monkeypatch.setattr(core_guidance, "KINDS", {"vanilla": (3.0,)})
    right = core_guidance.looks_of(model, walk.window(0, VIEWS, 4))
    assert right["vanilla, weight 3"]["calls"] == right["vanilla, weight 3"]["told"] == 2
    monkeypatch.setattr(core_guidance.HistoryGuidance, "calls", property(lambda self: 1))
    wrong = core_guidance.looks_of(model, walk.window(0, VIEWS, 4))
    assert wrong["vanilla, weight 3"]["calls"] != wrong["vanilla, weight 3"]["told"]
