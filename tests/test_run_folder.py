import dataclasses
import json
import subprocess
import sys

import pytest

from hybridwm.configuration import load_yaml
from hybridwm.run_folder import RunFolder, read_metrics


@dataclasses.dataclass(frozen=True)
class Settings:
    seed: int = 0


def test_a_run_leaves_its_four_files(tmp_path):
    with RunFolder(tmp_path / "a" / "run", Settings(7)) as run:
        run.log(step=1, loss=float("nan"))
        assert not run.file("summary.json").exists()
        run.summarise(psnr=21.5)
    folder = tmp_path / "a" / "run"
    assert load_yaml(folder / "config.yaml", Settings) == Settings(7)
    assert json.loads((folder / "versions.json").read_text())["python"].count(".") == 2
    assert read_metrics(folder / "metrics.jsonl") == [{"step": 1, "loss": None}]
    assert json.loads((folder / "summary.json").read_text()) == {"psnr": 21.5}


def test_one_owner_and_free_again_after_a_kill(tmp_path):
    hold = (
        "import sys, time, pathlib, dataclasses\n"
        "from hybridwm.run_folder import RunFolder\n"
        "make = dataclasses.make_dataclass('S', [])\n"
        "with RunFolder(pathlib.Path(sys.argv[1]), make()):\n"
        "    print('held', flush=True); time.sleep(60)\n"
    )
    other = subprocess.Popen([sys.executable, "-c", hold, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    try:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(ValueError, match=f"process {other.pid} is writing to it"):
            RunFolder(tmp_path, Settings()).__enter__()
    finally:
        other.kill()
        other.wait()
    with RunFolder(tmp_path, Settings()):
        pass


def test_a_torn_last_line_is_dropped_and_the_rest_continued(tmp_path):
    with RunFolder(tmp_path, Settings()) as run:
        run.log(step=1)
    with open(tmp_path / "metrics.jsonl", "a") as stream:
        stream.write('{"step": 2, "lo')
    with RunFolder(tmp_path, Settings(), keep_metrics=True) as run:
        run.log(step=2)
    assert read_metrics(tmp_path / "metrics.jsonl") == [{"step": 1}, {"step": 2}]


def test_a_new_run_starts_its_metrics_and_summary_anew(tmp_path):
    with RunFolder(tmp_path, Settings()) as run:
        run.log(step=1)
        run.summarise(a=1)
    with RunFolder(tmp_path, Settings()):
        assert not (tmp_path / "summary.json").exists()
        assert not (tmp_path / "metrics.jsonl").exists()


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(ValueError, match="thesis.tex"):
        RunFolder(tmp_path, Settings()).__enter__()
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(ValueError, match="found a file"):
        RunFolder(tmp_path / "thesis.tex", Settings()).__enter__()
