import json

import pytest

from hybridwm.bench.terminal import show
from hybridwm.cli import main
from hybridwm.cli.bench_render import Options
from hybridwm.configuration import load_yaml
from hybridwm.run_folder import read_metrics

TINY = ["bench", "render", "--sizes", "100@24x16", "400@32", "--threads", "1", "2", "--repeats", "2"]
TIMES_ONLY = ["--no-memory", "--no-first-call", "--no-fit"]


def test_a_tiny_run_leaves_figures_metrics_and_a_plot(tmp_path, capsys):
    out = tmp_path / "bench"
    assert main([*TINY, *TIMES_ONLY, "--backends", "cpu", "torch", "--out", str(out)]) == 0
    summary = json.loads((out / "summary.json").read_text())
    contenders = ["cpu, 1 thread", "cpu, 2 threads", "torch, 1 thread"]
    assert [(cell["size"], cell["contender"]) for cell in summary["cells"]] == [
        (size, contender) for size in ("100@24x16", "400@32") for contender in contenders
    ]
    for cell in summary["cells"]:
        assert all(ms > 0 for ms in cell["milliseconds"].values())
        assert set(cell["over"]) == set(contenders) - {cell["contender"]}
        assert cell["largest_colour_difference"] < 1e-4
        assert cell["rounds"] == 2
    assert summary["left_out"] == []
    assert summary["machine"]["packages"]["torch"]
    assert [line["kind"] for line in read_metrics(out / "metrics.jsonl")] == ["times"] * 6
    assert (out / "times.svg").read_text().startswith("<svg ")
    assert load_yaml(out / "config.yaml", Options).repeats == 2
    printed = capsys.readouterr().out
    assert "splats@pixels" in printed
    assert "400@32" in printed
    assert str(out / "summary.json") in printed


def test_a_slow_oracle_is_left_out_and_named(tmp_path, capsys):
    out = tmp_path / "bench"
    given = ["--backends", "cpu", "torch", "--oracle-seconds", "0", "--out", str(out)]
    assert main([*TINY, *TIMES_ONLY, *given]) == 0
    summary = json.loads((out / "summary.json").read_text())
    # The smallest size tells how long the others would take.
    assert [(each["size"], each["contender"]) for each in summary["left_out"]] == [("400@32", "torch, 1 thread")]
    assert "left out: torch, 1 thread at 400@32, a round would take about" in capsys.readouterr().out


def test_memory_is_in_the_cells(tmp_path):
    out = tmp_path / "bench"
    given = ["--backends", "cpu", "--sizes", "400@32", "--threads", "1", "--repeats", "1"]
    assert main(["bench", "render", *given, "--no-first-call", "--no-fit", "--out", str(out)]) == 0
    (cell,) = json.loads((out / "summary.json").read_text())["cells"]
    assert set(cell["megabytes"]) == {"render", "step", "kept"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--sizes", "100@"], "bench.sizes: expected splats@pixels, as in 100k@256 or 1M@640x480; got '100@'."),
        (["--threads", "0"], "bench.threads: expected 1 to 1024 each; got 0."),
        (["--repeats", "0"], "bench.repeats: expected 1 to 10000; got 0."),
        (["--oracle-seconds", "nan"], "bench.oracle-seconds: expected 0 to 86400; got nan."),
        (["--beside", "nowhere"], "nowhere: expected a folder with nbsplat.py, a rasterizer to measure beside ours"),
    ],
)
def test_bad_input_is_one_line(given, message, tmp_path, capsys):
    assert main(["bench", "render", *given, "--out", str(tmp_path / "bench")]) == 2
    assert message in capsys.readouterr().err


def test_the_table_says_what_was_measured(capsys):
    from rich.console import Console

    def cell(name, threads, forward, backward, over):
        return {
            "size": "100k@256",
            "name": name,
            "threads": threads,
            "contender": f"{name}, {threads} thread{'s' if threads > 1 else ''}",
            "milliseconds": {"render": 9.0, "forward": forward, "backward": backward},
            "over": {key: {"render": 1.0, "forward": a, "backward": b} for key, (a, b) in over.items()},
            "megabytes": {"render": 20.0, "step": 41.5},
        }

    cells = [
        cell("cpu", 1, 10.0, 20.0, {"torch, 2 threads": (0.01, 0.02), "nbsplat, 1 thread": (1.04, 0.93)}),
        cell("nbsplat", 1, 9.6, 21.5, {"torch, 2 threads": (0.0096, 0.0215), "cpu, 1 thread": (0.96, 1.07)}),
        cell("torch", 2, 1000.0, 1000.0, {"cpu, 1 thread": (100.0, 50.0), "nbsplat, 1 thread": (104.0, 46.5)}),
    ]
    fit = {"start_held_out": 25.0, "end_held_out": 41.5, "steps": 120, "seconds": 3.25}
    first = {"cold": {"total": 12.0}, "warm": {"total": 0.5}}
    summary = {"cells": cells, "left_out": [], "fit": fit, "first_call": first}
    show(Console(width=80), summary)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["100k@256", "cpu", "1", "9.0", "10.0", "20.0", "41.5", "66.7"]
    ratios = " ".join(next(line for line in lines if "nbsplat, 1 thread" in line).split())
    assert ratios == "100k@256 cpu, 1 thread nbsplat, 1 thread 1.00 1.04 0.93"
    assert lines[-2] == "first call: 12.0 s with nothing compiled, 0.50 s from the cache"
    assert lines[-1] == "fit: held-out view 25.0 to 41.5 dB in 120 steps, 3.2 s"


def test_a_subject_has_to_be_named(capsys):
    assert main(["bench"]) == 2
    assert capsys.readouterr().err == "hybridwm bench: expected one of render, core, recon; got nothing.\n"
    assert main(["bench", "--help"]) == 0
    assert "recon " in capsys.readouterr().out


def test_reconstruction_without_data_is_refused_by_what_is_missing(tmp_path, capsys):
    out = ["--out", str(tmp_path / "bench")]
    assert main(["bench", "recon", "--areas", "stereo", *out]) == 2
    assert "stereo need DATA" in capsys.readouterr().err
    assert main(["bench", "recon", str(tmp_path / "nowhere"), *out]) == 2
    assert "expected a folder with stereo_gt/ and multiview/" in capsys.readouterr().err
    assert not (tmp_path / "bench").exists()


def test_readers_are_measured_into_a_run_folder(shared_data, tmp_path, capsys):
    data, out = tmp_path / "data", tmp_path / "bench"
    (data / "trajectories").mkdir(parents=True)
    (data / "trajectories" / "evo_tum_kitti").symlink_to(shared_data("trajectories/evo_tum_kitti"))
    assert main(["bench", "recon", str(data), "--areas", "readers", "--out", str(out)]) == 0
    figures = json.loads((out / "summary.json").read_text())["figures"]["readers"]
    assert figures["evo_tum_kitti: KITTI 00 ORB, rigid (m)"] == pytest.approx(1.303450, abs=1e-6)
    assert (out / "table.md").read_text().startswith("| measure | ours |")
    assert len(read_metrics(out / "metrics.jsonl")) == len(figures) == 3


def test_a_core_is_measured_into_a_run_folder(small_weights, tmp_path, monkeypatch, capsys):
    from hybridwm.bench import core_noise

    monkeypatch.setattr(core_noise, "SCENES", 4)
    monkeypatch.setattr(core_noise, "PLACES", (0,))
    monkeypatch.setattr(core_noise, "LEVELS", (0.0, 0.02, 0.2, 1.0))
    out = tmp_path / "bench"
    given = ["--weights", str(small_weights), "--areas", "noise", "--quick", "--workers", "1", "--out", str(out)]
    assert main(["bench", "core", *given]) == 0
    figures = json.loads((out / "summary.json").read_text())["figures"]["noise"]
    assert figures["edit to the future: change before"] < 1e-5
    assert len({line["seed"] for line in read_metrics(out / "metrics.jsonl")}) == 4
    assert "| change by an edit to the future | " in (out / "table.md").read_text()
    assert f"noise: {len(figures)} figures in" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--weights", "nowhere"], "nowhere"),
        (["--twin", "nowhere"], "nowhere"),
        (["--workers", "0"], "expected 1 to 64 workers; got 0."),
    ],
)
def test_a_core_that_cannot_be_measured_is_one_line(given, message, tmp_path, capsys):
    assert main(["bench", "core", *given, "--out", str(tmp_path / "bench")]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "bench").exists()
