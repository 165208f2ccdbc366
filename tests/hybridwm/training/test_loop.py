"""A killed run loses the step it was in and no more; what is no number stops a run before it does harm."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from hybridwm.core.config import CoreConfig
from hybridwm.run_folder import read_metrics
from hybridwm.training import checkpoint, recent_checkpoint
from hybridwm.training.clips import step_generator
from hybridwm.training.config import EpisodesConfig, TrainConfig
from hybridwm.training.distributed import ALONE, Ranks
from hybridwm.training.placement import Placement, placement_of
from hybridwm.training.recent_checkpoint import RecentCheckpoints, whole_ones
from hybridwm.training.train import train

from .small_run import Net, Small, Stopped, stop_at, train_small, units_of

ONE = Placement()


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """The averaged weights of a run that nothing disturbed."""
    return train_small(tmp_path_factory.mktemp("straight"), Small(), ONE)[1].average


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """The folder of a run without durable checkpoints that was killed when it had begun six steps."""
    folder = tmp_path_factory.mktemp("killed")
    root = Path(__file__).resolve().parents[3]
    process = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("small_run.py"), folder, "seconds=0.1", "every=1000"],
        env={**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
        stderr=subprocess.DEVNULL,
    )
    limit = time.time() + 120
    while time.time() < limit and not ((folder / "units.log").exists() and len(units_of(folder)) >= 6):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert 6 <= len(units_of(folder)) < 10 and not list((folder / "checkpoints").glob("step-*"))
    return folder


def test_a_kill_loses_the_step_it_was_in_and_no_more(straight, killed, tmp_path):
    folder = Path(shutil.copytree(killed, tmp_path / "run"))
    again = train_small(folder, Small(checkpoint_every=1000), ONE)[1].average
    times = Counter(step for step, _, _ in units_of(folder))
    assert sorted(times) == list(range(10))
    assert sum(times.values()) <= 10 + 1
    assert equal(again, straight)


def test_without_recent_checkpoints_a_kill_loses_more(straight, killed, tmp_path):
    """The control of the test above: the same count finds what is lost."""
    folder = Path(shutil.copytree(killed, tmp_path / "run"))
    for file in (folder / "checkpoints").glob("recent-*"):
        file.unlink()
    again = train_small(folder, Small(checkpoint_every=1000), ONE)[1].average
    assert len(units_of(folder)) >= 10 + 6
    assert equal(again, straight)


def stopped(folder, at, **changes):
    with pytest.raises(Stopped):
        train_small(folder, Small(checkpoint_every=4, **changes), ONE, stop_at(at))
    return [step for step, _ in sorted(whole_ones(folder / "checkpoints"))]


def resumed_at(folder):
    count = len(units_of(folder))
    average = train_small(folder, Small(), ONE)[1].average
    return units_of(folder)[count][0], average


def test_a_recent_checkpoint_that_a_kill_tore_is_not_believed(straight, tmp_path, monkeypatch):
    monkeypatch.setattr(recent_checkpoint, "SHARE", math.inf)
    assert stopped(tmp_path, 7) == [6, 7]
    path = max(whole_ones(tmp_path / "checkpoints"))[1]
    tensors = load_file(path)
    tensors[recent_checkpoint.STEP].fill_(recent_checkpoint.NONE)  # as while it is overwritten
    save_file(tensors, path, metadata={"boot": recent_checkpoint.boot()})
    first, average = resumed_at(tmp_path)
    assert first == 6
    assert equal(average, straight)


def test_a_recent_checkpoint_of_another_boot_is_not_believed(straight, tmp_path, monkeypatch):
    """The page cache may not have come to the disk: the durable one is gone on from."""
    monkeypatch.setattr(recent_checkpoint, "SHARE", math.inf)
    assert stopped(tmp_path, 7) == [6, 7]
    monkeypatch.setattr(recent_checkpoint, "boot", lambda: "another")
    first, average = resumed_at(tmp_path)
    assert first == 4
    assert equal(average, straight)


def test_recent_checkpoints_take_a_twentieth_of_the_time_at_most(tmp_path):
    recent = RecentCheckpoints(tmp_path)
    assert recent.due()
    recent.write(1, {"network.a": torch.ones(5)})
    assert 0 < recent.cost < 0.1
    recent.cost = 0.01
    assert not recent.due()
    time.sleep(0.21)
    assert recent.due()
    recent.write(2, {"network.a": torch.full((5,), 2.0)})
    assert [step for step, _ in whole_ones(tmp_path)] == [1, 2]
    assert checkpoint.read(max(whole_ones(tmp_path))[1])[1]["network.a"].tolist() == [2.0] * 5
    recent.remove()
    assert not list(tmp_path.iterdir())


def test_a_run_that_ended_keeps_durable_checkpoints_only(tmp_path):
    train_small(tmp_path, Small(), ONE)
    names = [path.name for path in sorted((tmp_path / "checkpoints").iterdir())]
    assert names == ["step-00000008.safetensors", "step-00000010.safetensors"]


def test_nan_stops_before_the_weights_are_touched(tmp_path):
    placement = Placement(units=4)
    whole = train_small(tmp_path / "whole", Small(), placement)[1].average

    def spoil(step, unit, loss):
        return loss * math.nan if (step, unit) == (5, 2) else loss

    with pytest.raises(FloatingPointError) as error:
        train_small(tmp_path / "run", Small(), placement, spoil)
    good = tmp_path / "run" / "checkpoints" / "step-00000005.safetensors"
    for words in ("step 5: the loss is nan", "(seed, step, units) = (3, 5, [2])", str(good), "not touched"):
        assert words in str(error.value)
    step, tensors = checkpoint.read(good)
    assert step == 5 and all(value.isfinite().all() for value in tensors.values())
    # what made it nan is gone: from there the run ends as one that never met it
    assert equal(train_small(tmp_path / "run", Small(), placement)[1].average, whole)


def test_an_infinite_gradient_of_a_finite_loss_stops_too(tmp_path):
    class Steep(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, gradient):
            return gradient * math.inf

    with pytest.raises(FloatingPointError, match=r"step 0: the gradient's norm is (inf|nan).* no step was taken"):
        train_small(tmp_path, Small(), ONE, lambda step, unit, loss: Steep.apply(loss))
    assert not list(tmp_path.glob("checkpoints/*"))


def test_units_add_up_to_the_whole_batch(tmp_path, straight):
    """Gradients are means over units: the loss and norm of a step are those of its units in one piece."""
    seen = []

    def lowered(step, unit, loss):
        seen.append(loss.item())
        return loss

    train_small(tmp_path, Small(steps=1), Placement(units=4), lowered)
    (line,) = [line for line in read_metrics(tmp_path / "metrics.jsonl") if "loss" in line]
    assert len(seen) == 4 and line["loss"] == pytest.approx(sum(seen) / 4)
    assert line["error"] == pytest.approx(line["loss"])

    torch.manual_seed(Small().seed)
    network = Net()
    parts = [torch.randn(2, 7, generator=torch.Generator().manual_seed(unit)) for unit in range(4)]
    for unit in (1, 2, 2):
        parts[unit] = parts[unit] + 0.01 * network(parts[unit]).detach()
    x = torch.cat(parts)
    (network(x) - x.flip(1)).square().mean().backward()
    norm = torch.nn.utils.get_total_norm([p.grad for p in network.parameters() if p.grad is not None])
    assert line["norm"] == pytest.approx(norm.item(), rel=1e-5)


def test_metrics_say_what_a_step_took_and_pictures_are_drawn(tmp_path):
    drawn = []
    train_small(tmp_path, Small(), ONE, show=lambda average, path: drawn.append((path.name, sorted(average)[0])))
    assert drawn == [("step-00000005.png", "bias"), ("step-00000010.png", "bias")]
    line = next(line for line in read_metrics(tmp_path / "metrics.jsonl") if line["step"] == 10)
    assert line["ema"] == pytest.approx(10 / 19)
    assert line["samples_per_second"] > 0 and line["norm"] > 0
    assert 50 < line["peak_memory_mb"] < 1e5


def test_what_only_cuda_has_is_refused_on_a_cpu():
    cpu = torch.device("cpu")
    for asked, words in (({"precision": "bf16"}, "precision: bf16"), ({"compile": True}, "compile: true")):
        with pytest.raises(ValueError, match=f"{words}: expected a CUDA device; got cpu"):
            placement_of(replace(TrainConfig(), **asked), ALONE, cpu)
    assert not placement_of(TrainConfig(), ALONE, cpu).bf16
    assert placement_of(TrainConfig(), ALONE, torch.device("cuda")).bf16


def test_a_batch_that_processes_cannot_share_is_refused():
    with pytest.raises(ValueError, match="expected a batch of units that 2 processes can share evenly; got 1"):
        placement_of(TrainConfig(), Ranks(0, 2), torch.device("cpu"))
    assert list(placement_of(TrainConfig(micro_batch=2), Ranks(1, 2), torch.device("cpu")).ranks.own_units(4)) == [1, 3]
    with pytest.raises(ValueError, match="micro_batch: expected a divisor of batch 8, or 0; got 3"):
        TrainConfig(micro_batch=3)


def test_units_draw_apart_and_the_first_as_a_whole_batch_did():
    cpu = torch.device("cpu")
    seeds = [step_generator(3, step, cpu, unit).initial_seed() for step in range(20) for unit in range(50)]
    assert len(set(seeds)) == 20 * 50
    assert step_generator(3, 5, cpu).initial_seed() == step_generator(3, 5, cpu, 0).initial_seed() == 23757110883


@pytest.mark.gpu
def test_cuda_trains_in_bf16_and_compiled(tmp_path):
    config = TrainConfig(
        core=CoreConfig(height=32, width=32, dim=24, depth=2, heads=3, window=2),
        episodes=EpisodesConfig(episodes=2, validation=1, steps=8, batch=3),
        **{"steps": 4, "batch": 2, "clip": 4, "warm_up": 1, "device": "cuda", "compile": True},
    )
    card = json.loads(train(config, tmp_path).with_suffix(".json").read_text())["card"]
    assert card["machine"].startswith("cuda") and math.isfinite(card["loss_curve"][-1][1])
