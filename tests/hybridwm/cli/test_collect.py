import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from hybridwm.cli import main
from hybridwm.run_folder import read_metrics
from hybridwm.worlds import collection
from hybridwm.worlds.lerobot import open_dataset

sys.path.insert(0, str(Path(__file__).parent))
from collecting import noise  # noqa: E402

FRAMES, SIZE = 4, 16
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")


def content(folder):
    """What was collected: the bytes of every file below meta, data and videos."""
    files = [file for name in ("meta", "data", "videos") for file in (folder / name).rglob("*") if file.is_file()]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


@pytest.fixture
def quick(monkeypatch):
    """Rooms without ray casting."""
    monkeypatch.setattr(collection, "play", lambda world, seeds, *rest: [noise(seed, *rest[:2]) for seed in seeds])


def test_it_goes_on_where_it_stopped_and_tells_what_is_there(tmp_path, capsys, quick):
    small = ["collect", "--frames", "3", "--size", "16", "--seed", "5"]
    assert main([*small, "--episodes", "2", "--out", str(tmp_path / "a")]) == 0
    first = tmp_path / "a" / "data/chunk-000/file-000.parquet"
    written = first.stat().st_mtime_ns
    assert main([*small, "--episodes", "3", "--out", str(tmp_path / "a")]) == 0
    assert "3 episodes of rooms" in capsys.readouterr().out
    assert first.stat().st_mtime_ns == written
    assert [episode.seed for episode in open_dataset(tmp_path / "a").episodes()] == [5, 6, 7]
    assert json.loads((tmp_path / "a" / "summary.json").read_text())["episodes"] == 3
    assert [line["seed"] for line in read_metrics(tmp_path / "a" / "metrics.jsonl")] == [5, 6, 7]
    assert main([*small, "--episodes", "3", "--size", "24", "--out", str(tmp_path / "a")]) == 2
    assert "expected what was begun there" in capsys.readouterr().err


def test_episodes_depend_on_their_seed_alone_not_on_shards_or_batches(tmp_path):
    small = ["collect", "rooms", "--frames", "3", "--size", "16", "--episodes", "3"]
    assert main([*small, "--out", str(tmp_path / "a")]) == 0
    assert main([*small, "--batch", "3", "--out", str(tmp_path / "b")]) == 0
    assert content(tmp_path / "a") == content(tmp_path / "b")
    for i in range(2):
        assert main([*small, "--shard", f"{i}/2", "--out", str(tmp_path / "c")]) == 0
    whole = list(open_dataset(tmp_path / "a").episodes())
    shards = [list(open_dataset(tmp_path / "c" / f"shard-{i}-of-2").episodes()) for i in range(2)]
    assert [[episode.seed for episode in shard] for shard in shards] == [[0, 2], [1]]
    for one in (episode for shard in shards for episode in shard):
        for name in ("rgb", "right", "depth", "w2c", "actions"):
            assert torch.equal(getattr(one, name), getattr(whole[one.seed], name))


def test_a_world_without_its_library_gives_one_line_with_the_command(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(collection.NEEDS, "doom", ("no_such_library", "doom"))
    assert main(["collect", "doom", "--episodes", "1", "--out", str(tmp_path / "run")]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "pip install 'hybridwm[doom]'" in said
    assert not (tmp_path / "run").exists()


def test_a_world_that_fails_is_told_and_what_was_made_stays(tmp_path, capsys, monkeypatch):
    def play(world, seeds, frames, size, device):
        if seeds == [2]:
            raise ValueError("seed 2: expected a floor; got none. Build one.")
        return [noise(seed, frames, size) for seed in seeds]

    monkeypatch.setattr(collection, "play", play)
    assert main(["collect", "--frames", "3", "--size", "16", "--episodes", "4", "--out", str(tmp_path)]) == 2
    assert "seed 2: expected a floor" in capsys.readouterr().err
    assert len(open_dataset(tmp_path)) == 2
    assert not (tmp_path / "summary.json").exists()


class Forks:
    """Runs of `collect` that start in milliseconds, in processes of their own."""

    def __init__(self):
        program = [sys.executable, str(Path(__file__).with_name("collecting.py"))]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[3])}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.server = subprocess.Popen(program, text=True, env=environment, **pipes)
        assert self.server.stdout.readline() == "ready\n"

    def begin(self, folder, episodes):
        given = f"collect --episodes {episodes} --frames {FRAMES} --size {SIZE} --out {folder}\n"
        self.server.stdin.write(given)
        self.server.stdin.flush()
        return int(self.server.stdout.readline())

    def end(self):
        return int(self.server.stdout.readline())

    def close(self):
        self.server.stdin.close()
        self.server.wait()


def kills(folder, count, seed):
    """Kills a collection `count` times at random moments, checks what is there after each, then lets it end."""
    chance, forks, done, survived = random.Random(seed), Forks(), 0, 0
    metrics = folder / "a" / "metrics.jsonl"
    try:
        for kill in range(count):
            child = forks.begin(folder / "a", 100_000)
            limit = time.monotonic() + 60
            # some before the first new episode, most among several
            wanted = done + chance.choice([0, 1, 1, 2, 3])
            while time.monotonic() < limit and (len(read_metrics(metrics)) if metrics.exists() else 0) < wanted:
                time.sleep(0.002)
            time.sleep(chance.random() * 0.05)
            os.kill(child, signal.SIGKILL)
            assert forks.end() == signal.SIGKILL
            told = read_metrics(metrics) if metrics.exists() else []
            survived += bool(list((folder / "a" / ".writing").glob("*")))
            if not told:
                continue
            dataset = open_dataset(folder / "a")
            assert [line["episode"] for line in told] == [line["seed"] for line in told]
            assert len({line["episode"] for line in told}) == len(told)
            assert len(dataset) >= len(told), f"kill {kill}: an acknowledged episode is lost"
            for index in range(max(0, done - 1), len(dataset)):
                read, expected = dataset.episode(index), noise(index, FRAMES, SIZE)
                assert torch.equal(read.rgb, expected.rgb) and torch.equal(read.actions, expected.actions)
            done = len(told)
        total = len(open_dataset(folder / "a")) + 2
        for name in ("a", "straight"):
            forks.begin(folder / name, total)
            assert forks.end() == 0
    finally:
        forks.close()
    assert content(folder / "a") == content(folder / "straight")
    for index, one in enumerate(open_dataset(folder / "a").episodes()):
        assert torch.equal(one.rgb, noise(index, FRAMES, SIZE).rgb)
    return total, survived


@needs_fork
def test_ten_kills_lose_no_acknowledged_episode_and_end_in_the_same_bytes(tmp_path):
    total, _ = kills(tmp_path, 10, seed=1)
    assert total > 10


@needs_fork
@pytest.mark.long
@pytest.mark.timeout(3600)
def test_five_hundred_kills(tmp_path):
    total, survived = kills(tmp_path, 500, seed=2)
    print(f"{total} episodes, {survived} kills in the middle of writing a file")
    assert survived > 20


@needs_fork
def test_two_workers_make_the_same_bytes_and_end_with_a_killed_command(tmp_path):
    given = [sys.executable, "-m", "hybridwm", "collect", "--frames", "2", "--size", "16", "--workers", "2"]
    given += ["--out", str(tmp_path / "a"), "--episodes"]
    running = subprocess.Popen([*given, "5000"], stderr=subprocess.DEVNULL)
    limit = time.monotonic() + 60
    while time.monotonic() < limit and not len(list(tmp_path.glob("a/data/*/*"))) > 2:
        time.sleep(0.02)
    workers = children(running.pid)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    assert len(workers) >= 2
    while time.monotonic() < limit and any(alive(worker) for worker in workers):
        time.sleep(0.02)
    assert not any(alive(worker) for worker in workers)
    told = len(read_metrics(tmp_path / "a" / "metrics.jsonl"))
    assert len(open_dataset(tmp_path / "a")) >= told > 0
    small = ["collect", "--frames", "2", "--size", "16", "--episodes", str(told)]
    assert main([*small, "--out", str(tmp_path / "b")]) == 0
    for index in range(told):
        name = f"data/chunk-000/file-{index:03d}.parquet"
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def children(pid):
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(entry.read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue
        if parent == pid:
            found.append(int(entry.parent.name))
    return found


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
