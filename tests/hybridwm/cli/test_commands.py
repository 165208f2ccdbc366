"""What each command leaves behind."""

import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
import torch
from PIL import Image

import recon
from hybridwm.cli import COMMANDS, main
from hybridwm.cli.beginnings import from_path
from hybridwm.cli.rollout import GROUNDED, Options
from hybridwm.core.config import CoreConfig
from hybridwm.memory import MEMORIES, make_memory
from hybridwm.training.config import EpisodesConfig, TrainConfig
from hybridwm.training.train import train
from hybridwm.worlds.lerobot import open_dataset
from hybridwm.worlds.named_episode import named_episode
from render.video import read_video


def test_help_lists_every_command_in_under_a_second():
    seconds = []
    for _ in range(3):
        begun = resource.getrusage(resource.RUSAGE_CHILDREN)
        result = subprocess.run(
            [sys.executable, "-m", "hybridwm", "--help"], capture_output=True, text=True, timeout=60
        )
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        # Processor time: what a busy machine does not change.
        seconds.append(ended.ru_utime + ended.ru_stime - begun.ru_utime - begun.ru_stime)
    assert result.returncode == 0
    assert all(f"\n  {name} " in result.stdout for name in COMMANDS)
    assert min(seconds) < 1.0


@pytest.mark.parametrize("command", [*COMMANDS, "bench render", "bench recon"])
def test_each_command_s_help_needs_no_torch(command):
    code = f"import sys; from hybridwm.cli import main; sys.argv[1:] = [*'{command}'.split(), '--help']\n"
    code += "try: main()\nfinally: assert 'torch' not in sys.modules"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    assert f"usage: hybridwm {command}" in result.stdout


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("hybridwm 0.")


def test_doctor_tries_every_rasterizer(capsys):
    assert main(["doctor", "--json"]) == 0
    findings = json.loads(capsys.readouterr().out)
    assert findings["rasterizers"]["torch"]["works"]
    assert findings["rasterizers"]["cpu"]["works"]
    gsplat = findings["rasterizers"]["gsplat"]
    assert gsplat["works"] == torch.cuda.is_available() or gsplat["why"]
    assert {"stereo", "truth", "multiview"} <= set(findings["depth_sources"])
    assert main(["doctor"]) == 0
    assert "rasterizers:\n  torch     works" in capsys.readouterr().out


def test_reconstruct_measures_the_room_in_metres(pair, reconstructed):
    summary = json.loads((reconstructed / "summary.json").read_text())
    scene = recon.load_scene(reconstructed / "scene")
    assert summary["gaussians"] == len(scene) > 1000
    assert summary["depth_metres"]["median"] == pytest.approx(float(pair.depth.median()), rel=0.15)
    frames, fps = read_video(reconstructed / "orbit.mp4")
    assert (len(frames), fps) == (3, 24)
    assert frames.float().std() > 20
    with Image.open(reconstructed / "depth.png") as picture:
        assert picture.height == 96
        assert picture.width > 96


def test_reconstruct_reads_a_middlebury_folder(shared_data, tmp_path):
    folder = shared_data("stereo_gt/motorcycle_q")
    assert main(["reconstruct", str(folder), "--out", str(tmp_path / "run"), "--frames", "0"]) == 0
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["measured_share"] > 0.7
    assert 2.0 < summary["depth_metres"]["median"] < 3.5


def test_render_films_a_run_folder_and_a_file(reconstructed, tmp_path):
    assert main(["render", str(reconstructed), "--out", str(tmp_path / "a.mp4"), "--frames", "2"]) == 0
    assert read_video(tmp_path / "a.mp4")[0].shape == (2, 96, 96, 3)
    scene = str(reconstructed / "scene" / "scene.ply")
    picture = tmp_path / "orbit.png"
    assert main(["render", scene, "--out", str(picture), "--path", "orbit", "--up=-y", "--width", "80"]) == 0
    with Image.open(picture) as image:
        assert image.size == (80, 60)
        assert max(high for _, high in image.getextrema()) > 50


def test_yaml_fills_options_and_the_command_line_overrides_it(tmp_path):
    file = tmp_path / "small.yaml"
    file.write_text("frames: 3\nsize: 16\nepisodes: 2\n")
    out = tmp_path / "run"
    assert main(["collect", "--config", str(file), "--episodes", "1", "--out", str(out)]) == 0
    assert [episode.rgb.shape for episode in open_dataset(out).episodes()] == [(3, 16, 16, 3)]
    assert "size: 16" in (out / "config.yaml").read_text()


def test_rollout_knows_every_memory_and_which_of_them_need_depth():
    """The names stand twice, because the command's help does without torch."""
    named = get_args(get_type_hints(Options)["memory"])
    assert named == MEMORIES
    assert tuple(sorted(GROUNDED)) == tuple(sorted(n for n in MEMORIES if make_memory(n, eyes=2).grounded))


@pytest.mark.parametrize("memory", ["splat", "routed", "retrieved", "loopy", "recent"])
def test_rollout_in_a_room(small_weights, tmp_path, memory):
    out = tmp_path / "run"
    given = ["--weights", str(small_weights), "--memory", memory, "--actions", "w-2,jw-1", "--out", str(out)]
    assert main(["rollout", *given, "--views", "2"]) == 0
    summary = json.loads((out / "summary.json").read_text())
    assert summary["frames"] == 3
    assert summary["psnr"]["mean"] > 3
    assert len(list((out / "frames").iterdir())) == 3
    assert len((out / "metrics.jsonl").read_text().splitlines()) == 3
    assert read_video(out / "rollout.mp4")[0].shape[0] == 3
    if memory in GROUNDED:
        assert summary["gaussians"] == len(recon.load_scene(out / "scene"))
        assert 0 < summary["observed_gaussians"] <= summary["gaussians"]
        assert set(summary["seconds_per_frame"]) == {"render", "denoise", "depth", "fuse"}
    else:
        assert summary["gaussians"] is None
        assert not (out / "scene").exists()


def test_rollout_goes_on_from_a_reconstruction(small_weights, reconstructed, tmp_path):
    out = tmp_path / "run"
    given = ["--weights", str(small_weights), "--actions", "w-1,l-1", "--out", str(out)]
    assert main(["rollout", *given, "--start", str(reconstructed)]) == 0
    assert json.loads((out / "summary.json").read_text())["psnr"] is None
    # The reconstruction's world has +y down: a step forward goes along +z and keeps its height.
    centre = recon.load_cameras(out / "scene").center
    assert centre[0].tolist() == pytest.approx([0, 0, 0], abs=1e-6)
    assert centre[1, 2] > 0.1
    assert abs(float(centre[1, 1])) < 1e-5


def trained(folder: Path, **core) -> Path:
    config = TrainConfig(
        core=CoreConfig(height=32, width=32, eyes=1, dim=24, depth=2, heads=3, window=2, **core),
        episodes=EpisodesConfig(episodes=2, validation=1, steps=8),
        steps=1,
        batch=2,
        clip=4,
        device="cpu",
    )
    return train(config, folder)


def test_rollout_tells_a_core_its_vectors_in_a_room_and_refuses_what_has_none(tmp_path, capsys):
    weights = trained(tmp_path / "weights", vectors=(("odometry", 4), ("clearance", 1)))
    assert main(["collect", "--frames", "3", "--size", "32", "--episodes", "1", "--out", str(tmp_path / "walks")]) == 0
    episode = tmp_path / "walks"
    given = ["rollout", "--weights", str(weights), "--memory", "recent", "--actions", "w-1"]
    assert main([*given, "--out", str(tmp_path / "room")]) == 0
    assert json.loads((tmp_path / "room" / "summary.json").read_text())["frames"] == 1
    capsys.readouterr()
    assert main([*given, "--start", str(episode), "--out", str(tmp_path / "refused")]) == 2
    assert "these weights are told odometry, clearance with every view" in capsys.readouterr().err
    assert not (tmp_path / "refused").exists()


def test_rollout_of_an_rgbd_core_begins_with_an_episode_s_depth(tmp_path):
    weights = trained(tmp_path / "weights", eye_channels=4)
    assert main(["collect", "--frames", "3", "--size", "64", "--episodes", "1", "--out", str(tmp_path / "walks")]) == 0
    episode = tmp_path / "walks"
    given = ["rollout", "--weights", str(weights), "--depth", "rgbd", "--actions", "w-1", "--start", str(episode)]
    assert main([*given, "--out", str(tmp_path / "run")]) == 0
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["observed_gaussians"] > 0
    begun = from_path(episode, 32, 32, 2, depth=True).views[-1]
    whole = named_episode(episode).views()[-1].depth
    assert begun.depth is not None and whole is not None and begun.depth.shape == (32, 32)
    assert set(begun.depth.unique().tolist()) <= set(whole.unique().tolist())
    assert from_path(episode, 32, 32, 2).views[-1].depth is None
