"""What the areas of `bench core` measure, on a tiny core with random weights, with what must come out wrong."""


import numpy as np
import pytest
import torch

from hybridwm.bench import core_actions, core_cache, core_endurance, core_noise, core_speed, core_steps
from hybridwm.bench.core import AREAS
from hybridwm.bench.core_setup import CoreSetup
from hybridwm.bench.recon import flattened
from hybridwm.core.config import CoreConfig
from hybridwm.core.video_core import VideoCore
from hybridwm.study import arms, trajectories
from hybridwm.study.episodes import record
from hybridwm.study.inverse_dynamics import real_pairs
from hybridwm.study.trajectories import random_walk
from hybridwm.weights.store import save_weights
from hybridwm.worlds.rooms.collision import sample_free_pose
from hybridwm.worlds.rooms.layout import make_room, stack_rooms


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Random weights, those that begin as zeros too: every part of the network has its say."""
    config, folder = CoreConfig(height=32, width=32, dim=32, depth=2, heads=2), tmp_path_factory.mktemp("tiny")
    torch.manual_seed(0)
    (network,) = VideoCore(config).children()
    tensors = {name: 0.1 * torch.randn_like(value) for name, value in network.state_dict().items()}
    save_weights(folder, "tiny", config, {}, tensors, {})
    return str(folder)


@pytest.fixture(scope="module")
def model(weights):
    return arms.world(weights, arms.VIDEO)


@pytest.fixture(scope="module")
def walk(weights):
    return random_walk(9_000_000, 34, arms.rig(weights))


def test_the_future_changes_nothing_before_it_and_the_past_does(model, walk):
    changes = core_noise.edits(model.core, walk)
    assert changes["change before"] < 1e-5
    assert changes["change after"] > 1e-3
    assert changes["change after an edit to the past"] > 1e-5


def test_history_noise_reaches_the_frame_and_is_nothing_without_history(model, walk, monkeypatch):
    monkeypatch.setattr(core_noise, "PLACES", (0,))
    shown, hidden = (np.array(core_noise.curve(model, walk, shown=shown)) for shown in (True, False))
    assert len(set(shown[:, 0])) > 1
    assert len(set(hidden[:, 0])) == 1
    assert (shown[:, 1] == hidden[:, 1]).all()


def test_actions_are_read_off_every_rollout_and_a_frozen_one_has_none(weights, monkeypatch):
    monkeypatch.setattr(core_actions, "QUICK_STEPS", 16)
    monkeypatch.setattr(core_actions, "WINDOWS", 2)
    monkeypatch.setattr(core_actions, "real_pairs", lambda rig: real_pairs(rig, rooms=4))
    setup = CoreSetup(weights, twin=weights, quick=True, workers=1, first_seed=9_000_000)
    figures = dict(flattened(core_actions.measure(weights, setup)))
    assert figures["real: steps 1 to 16: over real pairs: value"] == 1
    assert figures["real: steps 1 to 16: right: value"] > 0.5
    assert figures["frozen frame: steps 1 to 16: over real pairs: value"] < 0.2
    assert figures["frozen frame: following, 1 ahead: value"] == 0.5
    for name in ("following, 1 ahead", "following, 4 ahead", "steps 1 to 16: right"):
        assert figures[f"ours: {name}: value"] == figures[f"twin: {name}: value"], "the same weights"
    assert "ours: steps 48 to 64: right: value" not in figures


def test_rank_correlation():
    rows = np.array([[1.0, 2, 3, 4], [4, 3, 2, 1], [5, 5, 5, 5], [1, 3, 2, 4]])
    assert core_noise.spearman(rows).tolist() == pytest.approx([1, -1, 0, 0.8])


def test_predictions_are_one_frame_ahead_of_the_true_past(weights, walk, monkeypatch):
    monkeypatch.setattr(core_steps, "SOLVER_STEPS", (1, 2))
    monkeypatch.setattr(core_steps, "MOST", 2)
    frames, truth = core_steps.predictions(weights, arms.VIDEO, walk, 0)
    images = [view.image for view in walk.views]
    assert torch.equal(truth, torch.stack(images[8:12]))
    assert torch.equal(frames[core_steps.COPY], torch.stack(images[7:11]))
    assert set(frames) == {"1", "2", core_steps.COPY, core_steps.BLURRED}
    assert not torch.equal(frames["1"], frames["2"])


def test_what_enters_a_frame_is_what_the_window_has_not_shown(weights):
    """Turning shows new pixels at the image's edge; going back to a place that was just left shows none; going back to
    one that was left before the window shows what the window did not."""
    rooms, shares = stack_rooms([make_room(9_000_000)]), []
    start = sample_free_pose(rooms, seed=0, radius=trajectories.SPACE)[0]
    left_long_ago = ["left"] * 3 + ["stay"] * 2 + ["right"] * 7
    for names in (["left"] * 12, ["left", "right"] * 6, left_long_ago):
        route = trajectories.follow(start, trajectories.named_actions(names), observed=12)
        walk = record(rooms, route, 9_000_000, arms.rig(weights))
        shares.append(core_steps.entering(weights, walk, 0))
    assert min(shares[0]) > 0.1
    assert max(shares[1]) < 0.02
    assert shares[2][0] > 0.1  # the oldest view of the beginning shows all of it


def test_familiar_frames_alone_are_held_against_each_other():
    one, many = [1.0, 10.0], [1000.0, 10.0]
    record = {"new": [0.0, 0.5], "ahead": {"video only": [many, one], "grounded": [one, many]}}
    figures = core_steps._familiar([record, record, {**record, "new": [0.5, 0.5]}])
    assert figures["frames"] == 2
    assert figures["dB of video only over grounded"]["value"] == pytest.approx(-30)
    assert core_steps._familiar([{**record, "new": [0.5, 0.5]}]) == {"frames": 0.0}


def test_blurring_keeps_the_mean_and_little_else():
    frames = torch.rand(2, 16, 16, 3, generator=torch.Generator().manual_seed(0))
    soft = core_steps.blurred(frames)
    assert torch.allclose(soft[:, 1:-1, 1:-1].mean(), frames.mean(), atol=0.02)
    assert torch.allclose(soft[0, 5, 5], frames[0, 4:7, 4:7].mean((0, 1)))


def test_the_cache_is_equal_to_a_full_pass_and_a_stale_page_is_not(model, walk):
    figures = core_cache.cache(model, walk, 1)
    assert figures["difference"] <= 1e-4 < figures["difference with a stale newest frame"]
    assert {"over uncached, 2 steps", "over uncached, 10 steps", "cached, 4 steps: ms"} <= set(figures)


def test_a_batch_of_rollouts_is_each_of_them(model, walk):
    episode = walk.window(0, 8, 2)
    calls = core_speed.network_calls(model, arms.begin(model, episode), episode)
    assert len(calls) == model.solver_steps + 1  # and the page of the frame

    def frames(answer):
        return answer[0] if isinstance(answer, tuple) else answer

    method, arguments, named = calls[0]
    many, names = core_speed.tiled((arguments, named), 3)
    with torch.no_grad():
        one, three = frames(method(*arguments, **named)), frames(method(*many, **names))
    assert three.shape[0] == 3
    assert torch.allclose(three, one.expand_as(three), atol=1e-5)
    assert core_speed.batched(model, arms.begin(model, episode), episode, 2)["frames/s"] > 0


def test_rates_name_every_part(weights, monkeypatch):
    monkeypatch.setattr(core_speed, "WARM", 1)
    figures = core_speed.rates(CoreSetup(weights, first_seed=9_000_000), "cpu", 2, None)
    assert set(figures["grounded"]["2"]["ms"]) == {"all", "render", "denoise", "depth", "fuse"}
    for arm in ("video only", "grounded"):
        assert all(figures[arm][steps]["frames/s"] > 0 for steps in "124")


def test_a_context_that_drops_nothing_grows_with_its_frames(model, walk):
    assert core_endurance.hoarded(model, walk) == pytest.approx(2, rel=0.01)


def test_tensors_are_counted_where_they_are_made():
    x = torch.zeros(256, 256)
    with core_endurance.Made() as made:
        y = x + 1
        y.view(-1)[3:].mul_(2)
    assert made.bytes == x.nbytes


def test_every_area_has_its_module():
    from importlib import import_module

    assert all(callable(import_module(f"hybridwm.bench.core_{area}").measure) for area in AREAS)
