"""Two processes (gloo, on the CPU) train what one trains, go on exactly, and read each other's checkpoints."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from hybridwm.run_folder import read_metrics
from hybridwm.training import checkpoint
from hybridwm.training.placement import Placement

from .small_run import Net, Small, Stopped, stop_at, train_small, units_of

ONE = Placement(units=4)


def start(folder, *given):
    """The two processes as torchrun would start them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    root = str(Path(__file__).resolve().parents[3])
    return [
        subprocess.Popen(
            [sys.executable, Path(__file__).with_name("small_run.py"), folder, *given],
            env={**os.environ, **shared, "RANK": rank, "LOCAL_RANK": rank, "PYTHONPATH": root},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in ("0", "1")
    ]


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """One process, in four units of a batch."""
    folder = tmp_path_factory.mktemp("one")
    train_small(folder, Small(), ONE)
    return folder


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """The folder of every scenario of small_run, by two processes; those named *-from-one began with one process."""
    folder = tmp_path_factory.mktemp("two")
    for name in ("ddp", "fsdp"):
        with pytest.raises(Stopped):
            train_small(folder / f"{name}-from-one", Small(), ONE, stop_at(5))
    for process in start(folder, "all=1"):
        _, errors = process.communicate(timeout=150)
        assert process.returncode == 0, errors
    return folder


def apart(a, b):
    a, b = (load_file(folder / "average.safetensors") for folder in (a, b))
    assert a.keys() == b.keys()
    return max((a[name] - b[name]).abs().max().item() for name in a)


@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_two_processes_train_what_one_trains(one, two, tmp_path, kind):
    assert apart(one, two / kind) < 1e-5
    train_small(tmp_path, Small(seed=4), ONE)
    assert apart(one, tmp_path) > 1e-2  # the control: another start is further away
    assert sorted(units_of(two / kind)) == [(s, u, u % 2) for s in range(10) for u in range(4)]
    alone, together = (
        [(line["step"], line.get("loss"), line.get("error")) for line in read_metrics(folder / "metrics.jsonl")]
        for folder in (one, two / kind)
    )
    assert [line[0] for line in alone] == [line[0] for line in together]  # no line is there twice
    assert together[1][1:] == pytest.approx(alone[1][1:], rel=1e-4)


@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_a_stopped_run_of_two_goes_on_exactly(two, kind):
    assert apart(two / kind, two / f"{kind}-resumed") == 0
    redone = [step for step, unit, _ in units_of(two / f"{kind}-resumed") if unit == 0]
    assert len(redone) < 10 + 4 and sorted(set(redone)) == list(range(10))


def loaded(folder):
    torch.manual_seed(99)
    network = Net()
    average = {name: torch.zeros_like(value) for name, value in network.state_dict().items()}
    optimiser = torch.optim.AdamW(network.parameters())
    step = checkpoint.resume(folder, network, average, optimiser)
    return step, checkpoint.state_of(network, average, optimiser)


@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_one_process_goes_on_from_a_checkpoint_of_two(one, two, kind, tmp_path):
    step, theirs = loaded(two / kind / "checkpoints")
    _, ours = loaded(one / "checkpoints")
    assert step == 10 and theirs.keys() == ours.keys()
    assert all(torch.allclose(theirs[name], ours[name], atol=1e-5) for name in ours)
    average = load_file(two / kind / "average.safetensors")
    assert all(torch.equal(theirs[f"average.{name}"], value) for name, value in average.items())
    # and from an earlier one it ends where the two ended
    folder = Path(shutil.copytree(two / kind, tmp_path / "run"))
    shutil.rmtree(folder / "checkpoints" / "step-00000010")
    (folder / "units.log").unlink()
    train_small(folder, Small(), ONE)
    assert [step for step, unit, _ in units_of(folder) if unit == 0] == [8, 9]
    assert apart(folder, two / kind) < 1e-5


@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_two_processes_go_on_from_a_checkpoint_of_one(one, two, kind):
    folder = two / f"{kind}-from-one"
    assert apart(one, folder) < 1e-5
    by_two = [step for step, _, rank in units_of(folder) if rank == 1]
    assert sorted(by_two) == [s for s in range(5, 10) for _ in range(2)]  # the step that it stopped in, and on


@pytest.mark.parametrize(("kind", "parts"), [("ddp", 1), ("fsdp", 2)])
def test_above_a_size_the_weights_are_shared_out(two, kind, parts):
    from torch.distributed.checkpoint.filesystem import FileSystemReader

    index = FileSystemReader(two / kind / "checkpoints" / "step-00000010").read_metadata().state_dict_metadata
    for name in ("network.blocks.0.weight", "average.bias", "optimiser.blocks.1.weight.exp_avg"):
        assert len(index[name].chunks) == parts


def test_a_broken_folder_is_named_and_passed_over(two, tmp_path, capsys):
    folder = Path(shutil.copytree(two / "fsdp" / "checkpoints", tmp_path / "checkpoints"))
    part = next((folder / "step-00000010").glob("*.distcp"))
    part.write_bytes(part.read_bytes()[:-7])
    assert loaded(folder)[0] == 8
    assert "step-00000010: passed over, not a whole checkpoint" in capsys.readouterr().out


def test_a_process_that_dies_ends_the_run(tmp_path):
    first, second = start(tmp_path, "dies=3")
    _, errors = first.communicate(timeout=100)
    second.communicate(timeout=10)
    assert second.returncode == 7
    assert first.returncode == 1
    assert "rank 0 of 2: expected every process to go on, but another one has ended" in errors
    assert [step for step, _ in checkpoint.recent_checkpoint.whole_ones(tmp_path / "checkpoints")]


REAL = """
name: tiny
core: {height: 32, width: 32, dim: 24, depth: 2, heads: 3, window: 2}
episodes: {episodes: 4, steps: 8, validation: 1, batch: 3}
batch: 4
micro_batch: 2
clip: 4
warm_up: 2
steps: 24
checkpoint_every: 5
validate_every: 12
device: cpu
"""


def torchrun(file, folder, *given):
    root = str(Path(__file__).resolve().parents[3])
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "hybridwm", "train"]
    return subprocess.Popen(
        [sys.executable, *command, file, "--out", folder, *given],
        env={**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finished(process):
    output, _ = process.communicate(timeout=500)
    assert process.returncode == 0, output
    return output


def has_begun(folder, step):
    """Whether the run's metrics have come to the step."""
    metrics = folder / "metrics.jsonl"
    return metrics.exists() and any(line["step"] >= step for line in read_metrics(metrics))


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("above", ["1000000000", "0"])
def test_the_command_on_two_processes_is_killed_and_goes_on(tmp_path, above):
    """`torchrun ... -m hybridwm train`: SIGKILL of one process ends the run; the same command ends it as if never."""
    file = tmp_path / "tiny.yaml"
    file.write_text(REAL)
    output = finished(torchrun(file, tmp_path / "straight", "--shard-above", above))
    assert output.count("load it by") == 1
    process = torchrun(file, tmp_path / "killed", "--shard-above", above)
    limit = time.time() + 300
    while time.time() < limit and not has_begun(tmp_path / "killed", 10):
        time.sleep(0.05)
    # the lock of the run folder says which process is the first
    os.kill(int((tmp_path / "killed" / ".lock").read_text().split()[1]), signal.SIGKILL)
    output, _ = process.communicate(timeout=100)
    assert process.returncode != 0 and "SIGKILL" in output
    assert not (tmp_path / "killed" / "summary.json").exists()
    finished(torchrun(file, tmp_path / "killed", "--shard-above", above))
    weights = [(tmp_path / name / "tiny.safetensors").read_bytes() for name in ("straight", "killed")]
    assert weights[0] == weights[1]
    steps = [line["step"] for line in read_metrics(tmp_path / "killed" / "metrics.jsonl") if "loss" in line]
    assert steps == [10, 20, 24]
    rollouts = [path.name for path in sorted((tmp_path / "killed" / "rollouts").iterdir())]
    assert rollouts == ["step-00000012.png", "step-00000024.png"]
