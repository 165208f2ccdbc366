"""KITTI: projections of rectified cameras, pairs, poses of camera 0; and a Middlebury pair."""

import numpy as np
import pytest
import torch

from recon.readers import read_captured, read_kitti_calibration
from render import FormatError

from .conftest import CX, CY, WIDTH

FOCAL, BASELINE, AHEAD = 90.0, 0.5, 0.06  # AHEAD: metres from camera 0 to camera 2
# P2 of a real sequence (odometry 00) and its neighbour.
REAL = """P0: 7.188560e+02 0 6.071928e+02 0 0 7.188560e+02 1.852157e+02 0 0 0 1 0
P1: 7.188560e+02 0 6.071928e+02 -3.861448e+02 0 7.188560e+02 1.852157e+02 0 0 0 1 0
P2: 7.188560e+02 0 6.071928e+02 4.538225e+01 0 7.188560e+02 1.852157e+02 -1.130887e-01 0 0 1 3.779761e-03
P3: 7.188560e+02 0 6.071928e+02 -3.372877e+02 0 7.188560e+02 1.852157e+02 2.369057e+00 0 0 1 4.915215e-03
Tr: 4.2e-04 -9.9e-01 -8.0e-03 -1.1e-02 -7.2e-03 8.0e-03 -9.9e-01 -5.4e-02 9.9e-01 4.8e-04 -7.2e-03 -2.9e-01
"""


def projection(offset):
    return np.array([[FOCAL, 0, CX - 0.5, FOCAL * offset], [0, FOCAL, CY - 0.5, 0], [0, 0, 1, 0]])


@pytest.fixture
def folder(see_planes, save, rows, walk, tmp_path):
    """Two eyes of a walk: camera 2 lies 6 cm to the left of camera 0, camera 3 half a metre right of camera 2."""
    from render import Camera

    planes = (((0.25, 0.1, 1.0), 2.6), ((0.9, -0.2, 1.0), 3.1))
    K = torch.tensor([[FOCAL, 0, CX], [0, FOCAL, CY], [0, 0, 1]])
    folder = tmp_path / "sequences/07"
    for index, shot in enumerate(walk):
        camera = Camera(K, torch.from_numpy(np.linalg.inv(shot.c2w)).float(), WIDTH, 72).moved_right(-AHEAD)
        save(folder / f"image_2/{index:06d}.png", see_planes(camera, planes, 3, 0.3)[0])
        save(folder / f"image_3/{index:06d}.png", see_planes(camera.moved_right(BASELINE), planes, 3, 0.3)[0])
    offsets = {0: 0.0, 2: AHEAD, 3: AHEAD - BASELINE}
    (folder / "calib.txt").write_text("\n".join(f"P{k}: {rows(projection(v))}" for k, v in offsets.items()))
    (folder / "times.txt").write_text("0.0\n0.1\n0.2\n0.3\n0.4\n")
    (tmp_path / "poses").mkdir()
    (tmp_path / "poses/07.txt").write_text("\n".join(rows(shot.c2w[:3]) for shot in walk))
    return folder


def test_pairs_and_poses(folder, walk):
    captured = read_captured(folder)
    assert captured.kind == "kitti" and captured.posed and captured.timestamps == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    for view, shot in zip(captured.views, walk, strict=True):
        left = shot.c2w[:3, :3] @ [-AHEAD, 0, 0] + shot.c2w[:3, 3]
        assert np.allclose(view.camera.center, left, atol=1e-5)
        assert view.baseline == pytest.approx(BASELINE) and view.right.shape == view.image.shape
        assert (float(view.camera.K[0, 2]), float(view.camera.K[1, 2])) == pytest.approx((CX, CY), abs=1e-4)


def test_the_pair_measures_true_depth(folder, walk, see_planes):
    from recon import depth_source

    view = read_captured(folder).views[0]
    depth, confidence = depth_source("stereo")([view])
    _, truth = see_planes(view.camera, (((0.25, 0.1, 1.0), 2.6), ((0.9, -0.2, 1.0), 3.1)))
    known = depth > 0
    assert known.float().mean() > 0.3 and ((depth - truth).abs() / truth)[known].median() < 0.02


def test_without_poses_all_stand_at_the_origin(folder):
    (folder.parent.parent / "poses/07.txt").unlink()
    captured = read_captured(folder)
    assert not captured.posed and torch.equal(captured.cameras[3].w2c, torch.eye(4))


def test_a_real_calibration(tmp_path):
    (tmp_path / "calib.txt").write_text(REAL)
    colour, grey = (read_kitti_calibration(tmp_path / "calib.txt", *pair) for pair in ((2, 3), (0, 1)))
    assert colour.baseline == pytest.approx(0.5323, abs=1e-4) and grey.baseline == pytest.approx(0.53716, abs=1e-4)
    assert (colour.focal, colour.cx, colour.cy) == pytest.approx((718.856, 607.6928, 185.7157))
    raw = "\n".join(line.replace("P", "P_rect_0", 1) for line in REAL.splitlines()[:4])
    (tmp_path / "raw.txt").write_text("calib_time: 09-Jan-2012 13:57:47\ncorner_dist: 9.950000e-02\n" + raw)
    assert read_kitti_calibration(tmp_path / "raw.txt") == colour


@pytest.mark.parametrize(
    "text",
    [
        "",
        "P2: 1 2 3",
        REAL.replace("P3", "P9"),
        REAL.replace("-3.372877e+02", "3.372877e+02"),
        REAL.replace("4.538225e+01", "nan"),
        REAL.replace("P2: 7.188560e+02 0", "P2: 7.188560e+02 5"),
        REAL.replace("P2: 7", "P2: -7"),
    ],
)
def test_wrong_calibrations_are_refused(text, tmp_path):
    (tmp_path / "calib.txt").write_text(text)
    with pytest.raises(FormatError, match="calib.txt"):
        read_kitti_calibration(tmp_path / "calib.txt")


@pytest.mark.parametrize("name", ["times.txt", "../../poses/07.txt"])
def test_counts_that_differ_are_refused(folder, name):
    path = folder / name
    path.write_text("\n".join(path.read_text().splitlines()[:-1]))
    with pytest.raises(FormatError, match="5 "):
        read_captured(folder)


def test_a_middlebury_pair(shared_data):
    view = read_captured(shared_data("stereo_gt/motorcycle_q")).views[0]
    assert view.baseline == pytest.approx(0.193001) and view.disparity_offset == pytest.approx(32.778)
    assert view.image.shape == (497, 741, 3) and float(view.camera.K[0, 0]) == pytest.approx(999.421)
