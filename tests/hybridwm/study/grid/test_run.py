"""A whole study by the command: goes on where it was killed, in the same bytes; shards make the same table."""

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hybridwm.cli import main
from hybridwm.run_folder import read_metrics
from hybridwm.study.grid.config import read_shard
from hybridwm.study.grid.table import read

STUDY = """
scenes: 2
workers: 1
videos: 1
arms:
  video only: {memory: recent}
  true depth: {memory: splat, depth: truth}
trajectories:
  out: {route: out_and_back, steps: 8}
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("study") / "study.yaml"
    path.write_text(STUDY)
    return path


@pytest.fixture(scope="module")
def whole(file) -> Path:
    """A study that nothing stopped."""
    assert main(["study", str(file), "--out", str(file.parent / "whole"), "--yes"]) == 0
    return file.parent / "whole"


def test_a_row_for_each_frame_and_rollout(whole):
    results = read(whole / "results.parquet")
    arms = ["frozen frame", "nearest past frame", "pure warp", "video only", "true depth"]
    assert results.num_rows == 2 * len(arms) * (1 + 8)
    assert list(dict.fromkeys(results["arm"].to_pylist())) == arms
    rollouts = results.filter([step == -1 for step in results["step"].to_pylist()])
    assert rollouts["f_score"].to_pylist()[:4] == [None] * 4 and rollouts["f_score"][4].as_py() > 0.3
    assert read(whole / "timings.parquet").num_rows == 10
    assert (whole / "rollouts" / "out-00.mp4").is_file() and (whole / "report.html").stat().st_size > 10_000
    summary = json.loads((whole / "summary.json").read_text())
    assert summary["weights_sha256"] and summary["seconds"] > 0


def killed(file: Path, out: Path, kills: int, longest: float) -> None:
    """Starts the study again and again, each time killed at a random moment; then lets it end."""
    rng = random.Random(0)
    command = [sys.executable, "-m", "hybridwm", "study", str(file), "--out", str(out), "--yes"]
    for _ in range(kills):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(rng.uniform(0.0, longest))
        process.kill()
        process.wait()
    assert subprocess.run(command, stdout=subprocess.DEVNULL).returncode == 0


def test_a_killed_study_ends_in_the_same_bytes(file, whole):
    killed(file, file.parent / "killed", 2, 20.0)
    assert (file.parent / "killed" / "results.parquet").read_bytes() == (whole / "results.parquet").read_bytes()


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_twenty_kills(file, whole):
    killed(file, file.parent / "killed-often", 20, 25.0)
    assert (file.parent / "killed-often" / "results.parquet").read_bytes() == (whole / "results.parquet").read_bytes()


def test_shards_make_the_same_table_and_nothing_is_measured_twice(file, whole):
    out = file.parent / "sharded"
    for shard in ("0/2", "1/2"):
        assert main(["study", str(file), "--out", str(out), "--yes", "--shard", shard]) == 0
    assert main(["study", str(file), "--out", str(out), "--yes"]) == 0
    assert (out / "results.parquet").read_bytes() == (whole / "results.parquet").read_bytes()
    own = out / "metrics.jsonl"
    assert not own.exists() or not any("measured" in line for line in read_metrics(own))


def test_what_changes_an_arm_is_measured_again_and_the_rest_is_kept(file, whole, capsys):
    changed = file.with_name("changed.yaml")
    changed.write_text(STUDY.replace("depth: truth", "depth: constant(2)"))
    capsys.readouterr()
    assert main(["study", str(changed), "--out", str(whole), "--yes", "--scenes", "1"]) == 0
    assert "1 cells are there already" in " ".join(capsys.readouterr().out.split())


def test_shards_are_read():
    assert read_shard("1/4") == (1, 4)
    for wrong in ("4/4", "-1/4", "1", "a/b", "0/0"):
        with pytest.raises(ValueError, match="expected i/N"):
            read_shard(wrong)


def test_without_a_terminal_it_says_what_to_pass(file, capsys):
    assert main(["study", str(file), "--out", str(file.parent / "asked")]) == 2
    assert "--yes" in capsys.readouterr().err
