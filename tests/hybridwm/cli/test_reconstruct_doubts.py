"""`hybridwm reconstruct` says what is wrong with its input: swapped eyes are named, not reconstructed inside out."""

import json

from hybridwm.cli import main
from hybridwm.cli.reconstruct_sequence import _doubts
from recon.scale_checks import ScaleStatus
from recon.scene import GaussianScene
from recon.sequences import Reconstruction


def test_swapped_eyes_are_named_and_nothing_is_written(pair, tmp_path, capsys):
    left, right, *rig = pair.options
    assert main(["reconstruct", right, left, *rig, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert "swapped eyes" in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_the_learned_matcher_measures_a_pair_too(pair, tmp_path):
    out = tmp_path / "out"
    assert main(["reconstruct", *pair.options, "--depth", "learned_stereo", "--frames", "0", "--out", str(out)]) == 0
    summary = json.loads((out / "summary.json").read_text())
    assert abs(summary["depth_metres"]["median"] / float(pair.depth.median()) - 1) < 0.1
    assert summary["measured_share"] > 0.6 and summary["notes"] == []


def test_a_pair_is_not_measured_by_one_eye(pair, tmp_path, capsys):
    assert main(["reconstruct", *pair.options, "--depth", "monocular", "--out", str(tmp_path / "out")]) == 2
    assert "a pair is measured by 'stereo'" in capsys.readouterr().err


def test_each_reason_is_said_once():
    empty = GaussianScene.empty()
    problems = {0: "no texture.", 2: "no texture.", 1: "dark."}
    built = Reconstruction(empty, [], [], "stereo", problems=problems)
    assert _doubts(built) == ["2 of 0 views: no texture.", "1 of 0 views: dark."]
    off = Reconstruction(empty, [], [], "stereo", scale=ScaleStatus(False, "depth is too large."))
    assert _doubts(off) == ["depth is too large."]


def test_a_right_calibration_alone_is_refused(pair, tmp_path, capsys):
    left, right, *_ = pair.options
    given = ["--right-calibration", "right.yaml", "--out", str(tmp_path / "out")]
    assert main(["reconstruct", left, right, *given]) == 2
    assert "--right-calibration goes with --calibration" in capsys.readouterr().err
