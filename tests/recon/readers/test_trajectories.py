"""Trajectories of TUM and KITTI: evo's errors to the last digit that it states, and controls that miss them."""

import numpy as np
import pytest
import torch

from recon.readers import Trajectory, read_trajectory
from render import FormatError


@pytest.fixture
def written(walk, rows, tmp_path):
    """The walk as (TUM's file, KITTI's file)."""
    tum = [f"{index / 10} {rows(shot.c2w[:3, 3])} {rows(shot.wxyz[[1, 2, 3, 0]])}" for index, shot in enumerate(walk)]
    (tmp_path / "tum.txt").write_text("# time tx ty tz qx qy qz qw\n" + "\n".join(tum) + "\n\n")
    (tmp_path / "kitti.txt").write_text("\n".join(rows(shot.c2w[:3]) for shot in walk))
    return tmp_path / "tum.txt", tmp_path / "kitti.txt"


def test_both_formats_hold_the_walk(written, walk):
    truth = torch.from_numpy(np.stack([shot.c2w for shot in walk]))
    for path in written:
        trajectory = read_trajectory(path)
        assert len(trajectory) == 5 and torch.allclose(trajectory.c2w, truth, atol=1e-12)
    assert read_trajectory(written[0]).timestamps.tolist() == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])


@pytest.mark.parametrize(
    "text", ["", "1 2 3", "0 " * 12, "1 0 0 0 0 0 0 1\n2 0 0 0 0 0 0 1 5", "1 0 0 inf 0 0 0 1", "1 0 0 0 0 0 0 x"]
)
def test_wrong_files_are_refused(text, tmp_path):
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(FormatError, match="a.txt"):
        read_trajectory(tmp_path / "a.txt")


def test_evos_figures(shared_data):
    from hybridwm.bench.recon_readers import trajectory_error

    folder = shared_data("trajectories/evo_tum_kitti")

    def of(name):
        return read_trajectory(folder / f"{name}.txt")

    truth, estimate = of("freiburg1_xyz-groundtruth"), of("freiburg1_xyz-rgbdslam")
    assert trajectory_error(truth, estimate, "rigid") == pytest.approx(0.013470, abs=1e-6)
    assert trajectory_error(truth, of("freiburg1_xyz-ORB_kf_mono"), "similarity") == pytest.approx(0.009755, abs=1e-6)
    assert trajectory_error(of("KITTI_00_gt"), of("KITTI_00_ORB"), "rigid") == pytest.approx(1.303450, abs=1e-6)
    late = Trajectory(estimate.timestamps + 0.1, estimate.c2w)  # control
    assert trajectory_error(truth, late, "rigid") > 0.018


def test_rotations_are_read_in_the_right_order(shared_data):
    """Relative turns agree with the truth's; with wxyz read as xyzw they would not."""
    from recon.alignment import rotation_degrees
    from recon.readers import associate
    from render.conventions import wxyz_from_xyzw
    from render.transforms import matrix_from_quats, quats_from_matrix

    folder = shared_data("trajectories/evo_tum_kitti")
    truth = read_trajectory(folder / "freiburg1_xyz-groundtruth.txt")
    estimate = read_trajectory(folder / "freiburg1_xyz-rgbdslam.txt")
    pairs = torch.tensor(associate(truth.timestamps, estimate.timestamps))
    a, b = truth.c2w[pairs[:, 0], :3, :3], estimate.c2w[pairs[:, 1], :3, :3]

    def turned(of):
        return of[:-20].mT @ of[20:]

    assert rotation_degrees(turned(a).mT @ turned(b)).median() < 1.5
    swapped = matrix_from_quats(wxyz_from_xyzw(quats_from_matrix(b)))
    wrong = rotation_degrees(turned(a).mT @ turned(swapped)).median()
    assert wrong > 5
