"""TUM RGB-D: times that nearly agree, xyzw, depth in 1/5000 m, five distortion terms."""

import numpy as np
import pytest
import torch

from recon.readers import associate, read_captured
from render import FormatError

TIMES = [100.0 + 0.1 * index for index in range(5)]
XYZW = [1, 2, 3, 0]


@pytest.fixture
def folder(walk, save, rows, tmp_path):
    """The walk as the benchmark stores it: depth 4 ms late, poses at 100 Hz around each image."""
    rgb, depth, poses = ["# color images", "# file"], ["# depth maps"], ["# ground truth trajectory"]
    for time, shot in zip(TIMES, walk, strict=True):
        save(tmp_path / f"rgb/{time:.6f}.png", shot.image)
        save(tmp_path / f"depth/{time + 0.004:.6f}.png", shot.depth, 1 / 5000)
        rgb.append(f"{time:.6f} rgb/{time:.6f}.png")
        depth.append(f"{time + 0.004:.6f} depth/{time + 0.004:.6f}.png")
        for late, push in ((-0.009, 5.0), (0.001, 0.0), (0.011, -5.0)):
            poses.append(f"{time + late:.6f} {rows(shot.c2w[:3, 3] + push)} {rows(shot.wxyz[XYZW])}")
    (tmp_path / "rgb.txt").write_text("\n".join(rgb))
    (tmp_path / "depth.txt").write_text("\n".join(depth))
    (tmp_path / "groundtruth.txt").write_text("\n".join(poses))
    (tmp_path / "calib.txt").write_text("fx fy cx cy k1 k2 p1 p2 k3\n90 86 45.2 37.2 0 0 0 0 0\n")
    return tmp_path


def test_the_walk_comes_back(folder, check_walk):
    captured = read_captured(folder)
    assert captured.kind == "tum" and captured.posed and captured.timestamps == pytest.approx(TIMES)
    check_walk(captured)


def test_without_lists_the_names_are_the_times(folder, check_walk):
    for name in ("rgb.txt", "depth.txt"):
        (folder / name).unlink()
    check_walk(read_captured(folder))


def test_depth_that_is_too_late_is_not_taken(folder):
    text = "\n".join(f"{time + 0.03:.6f} depth/{time + 0.004:.6f}.png" for time in TIMES)
    (folder / "depth.txt").write_text(text)
    assert read_captured(folder).views[0].depth is None


def test_images_without_a_pose_or_a_file_are_named(folder, check_walk):
    with (folder / "rgb.txt").open("a") as file:
        file.write("\n150.0 rgb/100.000000.png\n100.205 rgb/none.png")
    captured = read_captured(folder)
    assert captured.missing == ["rgb/none.png", "rgb/100.000000.png"]
    check_walk(captured)


def test_wxyz_would_not_do(folder, depth_error):
    """Control: quaternions in the other order."""
    right = read_captured(folder).views
    assert depth_error(right[0], right[4]) < 0.005
    lines = (folder / "groundtruth.txt").read_text().splitlines()
    words = [line.split() for line in lines if not line.startswith("#")]
    swapped = [[*row[:4], row[7], *row[4:7]] for row in words]
    (folder / "groundtruth.txt").write_text("\n".join(" ".join(row) for row in swapped))
    wrong = read_captured(folder).views
    assert depth_error(wrong[0], wrong[4]) > 0.03


@pytest.mark.parametrize("name", ["rgbd_dataset_freiburg1_xyz", "fr1_desk"])
def test_published_intrinsics_by_the_folders_name(folder, name):
    (folder / "calib.txt").unlink()
    with pytest.raises(FormatError, match="calib.txt"):
        read_captured(folder)
    with pytest.raises(FormatError, match="640 x 480"):  # these images are 96 x 72 of another shape than they seem
        read_captured(_cropped(folder, folder.rename(folder.with_name(name))))


def _cropped(_, folder):
    from PIL import Image

    for path in (folder / "rgb").iterdir():
        Image.open(path).crop((0, 0, 96, 60)).save(path)
    return folder


def test_scaled_images_take_the_published_intrinsics_scaled(folder):
    (folder / "calib.txt").unlink()
    captured = read_captured(folder.rename(folder.with_name("rgbd_dataset_freiburg3_office")))
    K = captured.cameras[0].K
    assert float(K[0, 0]) == pytest.approx(535.4 * 0.15, rel=1e-3) and "freiburg3" in captured.notes[0]


@pytest.mark.parametrize(
    "name, text",
    [
        ("rgb.txt", "100.0 ../secret.png"),
        ("rgb.txt", "100.0 /etc/passwd"),
        ("rgb.txt", "100.0"),
        ("rgb.txt", "nan rgb/1.png"),
        ("depth.txt", "100.0 ../secret.png"),
        ("groundtruth.txt", "100.0 0 0 nan 0 0 0 1"),
        ("groundtruth.txt", "100.0 0 0 0 0 0 0 0"),
        ("groundtruth.txt", "100.0 0 0 0 0 0 0 2"),
        ("groundtruth.txt", "100.0 0 0 0 0 0 1"),
        ("groundtruth.txt", "101.0 0 0 0 0 0 0 1\n100.0 0 0 0 0 0 0 1"),
        ("groundtruth.txt", ""),
        ("groundtruth.txt", "\0\0\0"),
    ],
)
def test_wrong_files_are_refused(folder, name, text):
    (folder / name).write_text(text)
    with pytest.raises(FormatError, match=name):
        read_captured(folder)


def test_association_takes_the_closest_pair_first_and_each_time_once():
    first, second = torch.tensor([1.0, 1.01, 5.0]).double(), torch.tensor([1.011, 4.0, 0.985]).double()
    assert associate(first, second, 0.02) == [(0, 2), (1, 0)]
    assert associate(first, second, 0.0005) == []
    assert associate(first[:0], second, 0.02) == []


def test_fr2_desk(shared_data):
    """The lens taken out, epipolar errors under the motion capture poses are halved."""
    from dataclasses import replace

    from hybridwm.bench.recon_readers import epipolar_error

    captured = read_captured(shared_data("multiview/tum_fr2_desk_10"))
    assert len(captured) == 10 and captured.calibrated and captured.missing == []
    views = captured.views
    frames = [views.frames[index] for index in (0, 5)]
    lens = replace(frames[0].lens, distortion=())
    bent = [replace(frame, lens=lens, pinhole=lens).load() for frame in frames]
    straight, _ = epipolar_error(views[0], views[5])
    assert straight < 0.9 and epipolar_error(*bent)[0] > 1.5 * straight
    assert np.isclose(float(captured.cameras[0].center.norm()), np.linalg.norm([-0.0607, -2.1082, 1.5029]), atol=1e-5)
