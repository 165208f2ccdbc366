"""Training resumes bit for bit, its batches are a function of (seed, step), and a clip never straddles two walks."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from hybridwm.core.config import CoreConfig
from hybridwm.training import checkpoint
from hybridwm.training.clips import make_batch, pick, sights, step_generator
from hybridwm.training.config import EpisodesConfig, TrainConfig
from hybridwm.training.episodes import load_or_make, make_episodes
from hybridwm.training.loop import rate_at
from hybridwm.training.train import train
from hybridwm.worlds.rooms.rig import RoomsRig

TINY = TrainConfig(
    name="tiny",
    core=CoreConfig(height=32, width=32, dim=24, depth=2, heads=3, window=2),
    episodes=EpisodesConfig(episodes=2, validation=1, steps=8, batch=3),
    steps=8,
    batch=2,
    clip=4,
    warm_up=2,
    checkpoint_every=2,
    validate_every=8,
    device="cpu",
    threads=1,
)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """A run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("straight")
    return train(TINY, folder)


def test_a_killed_run_ends_as_an_unkilled_one(straight, tmp_path):
    """SIGKILL in the middle, then the same command: the weights are equal byte for byte, no metric is there twice."""
    script = (
        "import sys; from pathlib import Path; from hybridwm.configuration import from_mapping\n"
        "from hybridwm.training.config import TrainConfig; from hybridwm.training.train import train\n"
        f"train(from_mapping({asdict(TINY)!r}, TrainConfig, 'test'), Path(sys.argv[1]))"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3])}
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], env=environment, stderr=subprocess.DEVNULL
    )
    limit = time.time() + 120
    while not list((tmp_path / "checkpoints").glob("step-*.safetensors")) and time.time() < limit:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    path = train(TINY, tmp_path)
    assert digest(path) == digest(straight)
    steps = [json.loads(line).get("step") for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert steps == sorted(steps)


def test_a_broken_checkpoint_is_passed_over_by_name(straight, tmp_path, capsys):
    folder = tmp_path / "run"
    train(replace(TINY, steps=4), folder)
    newest = sorted((folder / "checkpoints").iterdir())[-1]
    newest.write_bytes(newest.read_bytes()[:1000])
    path = train(TINY, folder)
    assert newest.name in capsys.readouterr().out
    assert path.exists()


def test_a_checkpoint_of_another_configuration_is_refused(straight):
    other = replace(TINY, core=replace(TINY.core, dim=48))
    with pytest.raises(ValueError, match="of another configuration"):
        train(other, straight.parent)


def test_weights_carry_their_configuration_and_card(straight):
    content = json.loads(straight.with_suffix(".json").read_text())
    assert content["core"]["dim"] == 24
    assert content["card"]["training_seeds"] == [0, 1]
    assert content["card"]["loss_curve"] and content["card"]["validation"]


def test_batches_are_a_function_of_seed_and_step(tmp_path):
    rig = RoomsRig(size=32)
    walks = load_or_make(tmp_path, TINY.episodes, rig, torch.device("cpu"), eyes=2)
    again = load_or_make(tmp_path, TINY.episodes, rig, torch.device("cpu"), eyes=2)
    assert torch.equal(walks.rgb, again.rgb)
    a, b, c = (
        make_batch(w, TINY, rig, step_generator(0, step, torch.device("cpu")))
        for w, step in ((walks, 3), (again, 3), (walks, 4))
    )
    assert torch.equal(a.noisy, b.noisy) and torch.equal(a.conditions.recall, b.conditions.recall)
    assert not torch.equal(a.clean, c.clean)
    f = TINY.clip
    assert not a.conditions.has_recall[:, :f].any() and a.conditions.recall[:, :f].abs().max() == 0


def test_actions_lead_to_their_frame(tmp_path):
    """Row 2: actions[:, i] is the motion from frame i - 1 to frame i; a loader that is off by one does not fit."""
    from hybridwm.actions.walker import Walker

    walks = make_episodes([11, 12], 20, RoomsRig(size=16), torch.device("cpu"))
    body = Walker()
    fits = body.move(walks.w2c[:, :-1], walks.actions[:, 1:])
    off = body.move(walks.w2c[:, :-1], walks.actions[:, :-1])
    assert (fits - walks.w2c[:, 1:]).abs().max() < 1e-4
    assert (off - walks.w2c[:, 1:]).abs().max() > 0.1


def test_a_clip_lies_inside_one_walk():
    config = replace(TINY, batch=500)
    walk, frames = pick(3, config, step_generator(0, 0, torch.device("cpu")))
    assert walk.min() == 0 and walk.max() == 2
    assert frames.min() == 1 and frames.max() == config.episodes.steps - 1
    assert (frames.diff(dim=1) == 1).all()


def test_targets_see_context_and_themselves_only():
    sight = sights(2, 4, torch.tensor([2, 1]), 2, torch.device("cpu"))
    assert sight.frames[4:].tolist() == [[0, 0, 4], [0, 0, 5], [0, 1, 6], [1, 2, 7]]
    assert sight.visible[0, 7].tolist() == [True, True, True]
    assert sight.visible[1, 7].tolist() == [False, True, True]
    assert sight.visible[0, 4].tolist() == [False, False, True]
    assert (sight.frames[:4] < 4).all()


def test_rate_warms_up_and_falls_to_a_hundredth():
    config = replace(TINY, rate=1.0, warm_up=10, steps=100)
    assert rate_at(config, 0) == pytest.approx(0.1)
    assert rate_at(config, 10) == pytest.approx(1.0)
    assert rate_at(config, 100) == pytest.approx(0.01)


def test_checkpoints_keep_the_newest(tmp_path):
    net = torch.nn.Linear(2, 2)
    optimiser = torch.optim.AdamW(net.parameters())
    net(torch.ones(1, 2)).sum().backward()
    optimiser.step()
    for step in (1, 2, 3):
        checkpoint.save(tmp_path, step, net, {k: v.clone() for k, v in net.state_dict().items()}, optimiser)
    assert [p.name for p in sorted(tmp_path.iterdir())] == [
        "step-00000002.safetensors",
        "step-00000003.safetensors",
    ]


def test_training_can_begin_with_given_weights(straight, tmp_path):
    """With no rate to speak of, the published weights are those that it began with; another core is refused."""
    begun = replace(TINY, initial=str(straight), steps=2, rate=1e-12, weight_decay=0.0)
    path = train(begun, tmp_path / "run")
    from hybridwm.weights.store import load_weights

    before, after = load_weights(straight).tensors, load_weights(path).tensors
    assert all((before[k] - after[k]).abs().max() < 2e-3 for k in before)
    with pytest.raises(ValueError, match="of another configuration"):
        train(replace(begun, core=replace(TINY.core, dim=48)), tmp_path / "other")


def test_shuffled_actions_are_those_of_other_frames(tmp_path):
    rig, device = RoomsRig(size=32), torch.device("cpu")
    walks = load_or_make(tmp_path, TINY.episodes, rig, device, eyes=2)
    plain, mixed = (
        make_batch(walks, replace(TINY, shuffle_actions=shuffle), rig, step_generator(0, 1, device))
        for shuffle in (False, True)
    )
    f = TINY.clip
    a, b = (batch.conditions.actions[:, :f].flatten(0, 1) for batch in (plain, mixed))
    assert torch.equal(plain.clean, mixed.clean)
    assert not torch.equal(a, b)
    assert torch.equal(a.sum(1).sort().values, b.sum(1).sort().values)


def test_runs_share_walks_and_rendered_scenes(straight, tmp_path):
    """The second run finds what the first made, and trains the same on it; renders of scenes change what is learned."""
    config = replace(TINY, data=str(tmp_path / "walks"), recall=replace(TINY.recall, rendered=0.5))
    first = train(config, tmp_path / "first")
    made = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "walks").iterdir()}
    assert sorted(name.split("-")[0] for name in made) == ["rooms", "scenes"]
    second = train(config, tmp_path / "second")
    assert {file.name: file.stat().st_mtime_ns for file in (tmp_path / "walks").iterdir()} == made
    assert not any((tmp_path / run / "data").exists() for run in ("first", "second"))
    assert digest(first) == digest(second) != digest(straight)
