import json

import hybridwm as hw
from hybridwm.cli import main
from hybridwm.run_folder import read_metrics

TINY = """
name: tiny
core: {height: 16, width: 16, dim: 16, depth: 2, heads: 2, window: 2}
episodes: {episodes: 2, steps: 6, validation: 1, batch: 3}
batch: 1
clip: 3
warm_up: 1
checkpoint_every: 2
validate_every: 100
device: cpu
"""


def test_train_from_yaml_goes_on_and_leaves_weights(tmp_path, capfd):
    file, out = tmp_path / "tiny.yaml", tmp_path / "run"
    file.write_text(TINY)
    assert main(["train", str(file), "--steps", "2", "--out", str(out)]) == 0
    summary = json.loads((out / "summary.json").read_text())
    assert summary["steps"] == 2
    assert summary["weights"] == "tiny.safetensors"
    assert hw.load(out, memory="recent").core.config.width == 16
    assert "name: tiny" in (out / "config.yaml").read_text()
    before = read_metrics(out / "metrics.jsonl")

    assert main(["train", str(file), "--steps", "2", "--threads", "1", "--out", str(out)]) == 0
    assert read_metrics(out / "metrics.jsonl") == before  # there was nothing left to do

    capfd.readouterr()
    assert main(["train", str(file), "--steps", "2", "--seed", "5", "--out", str(out)]) == 2
    assert "expected the run that it holds, got another seed" in capfd.readouterr().err
    assert json.loads((out / "summary.json").read_text())["weights"] == "tiny.safetensors"


def test_what_a_run_begins_with_is_trained_first_by_the_same_command(tmp_path, capfd):
    (tmp_path / "first.yaml").write_text(TINY.replace("name: tiny", "name: first\nsteps: 2"))
    file, out = tmp_path / "tiny.yaml", tmp_path / "run"
    file.write_text(TINY + "initial: first.yaml\nsteps: 1\nseed: 3\n")
    assert main(["train", str(file), "--out", str(out), "--threads", "1"]) == 0
    card = json.loads((out / "tiny.json").read_text())["card"]
    assert card["initial"] == str(out / "begin")
    assert json.loads((out / "begin" / "summary.json").read_text())["steps"] == 2
    assert not (out / "begin" / "data").exists() and len(list((out / "data").iterdir())) == 1  # walks are shared

    # as by two commands, with the same walks
    first, second = tmp_path / "one", tmp_path / "two"
    shared = ["--data", str(out / "data"), "--threads", "1"]
    assert main(["train", str(tmp_path / "first.yaml"), "--out", str(first), *shared]) == 0
    assert main(["train", str(file), "--initial", str(first), "--out", str(second), *shared]) == 0
    assert (second / "tiny.safetensors").read_bytes() == (out / "tiny.safetensors").read_bytes()

    before = read_metrics(out / "metrics.jsonl")
    assert main(["train", str(file), "--out", str(out), "--threads", "1"]) == 0
    assert read_metrics(out / "metrics.jsonl") == before  # both were there
    capfd.readouterr()
    (tmp_path / "again.yaml").write_text(TINY + "initial: tiny.yaml\n")
    assert main(["train", str(tmp_path / "again.yaml"), "--out", str(tmp_path / "no")]) == 2
    assert "expected a run that begins with weights; got initial first.yaml" in capfd.readouterr().err
    assert not (tmp_path / "no").exists()
