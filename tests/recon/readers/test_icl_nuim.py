"""ICL-NUIM: a negative fy is a left-handed world, mirrored so that images stay as they are."""

import numpy as np
import pytest
import torch

from recon.readers import read_captured
from render import Camera, FormatError
from render.conventions import MIRRORED_Y, w2c_from_left_handed
from render.transforms import transform_points

from .conftest import CX, CY, FX, FY

MIRROR = np.diag([1.0, -1.0, 1.0, 1.0])


@pytest.fixture
def folder(walk, save, rows, tmp_path):
    """The walk as POV-Ray would have it: y up in the camera and in the world, fy < 0."""
    poses = []
    for index, shot in enumerate(walk):
        save(tmp_path / f"color/{index + 1}.png", shot.image)
        save(tmp_path / f"depth/{index + 1}.png", shot.depth, 1 / 5000)
        # A turn by q is, seen in a mirror across y, one by (w, -x, y, -z).
        poses.append(f"{rows((MIRROR @ shot.c2w)[:3, 3])} {rows((shot.wxyz * [1, -1, 1, -1])[[1, 2, 3, 0]])}")
    (tmp_path / "pose.txt").write_text("\n".join(poses))
    (tmp_path / "calib.txt").write_text(f"{FX} {-FY} {CX - 0.5} {CY - 0.5}")
    return tmp_path


def test_the_walk_comes_back_right_handed(folder, check_walk):
    captured = read_captured(folder)
    assert captured.kind == "icl_nuim" and torch.equal(captured.world_from_file, MIRRORED_Y.float())
    check_walk(captured)


def test_numbered_poses_go_to_the_images_of_that_number(folder, check_walk):
    lines = (folder / "pose.txt").read_text().splitlines()
    (folder / "pose.txt").unlink()
    numbered = [f"{index + 1} {line}" for index, line in enumerate(lines) if index != 2]
    (folder / "livingRoom0.gt.freiburg").write_text("\n".join(numbered))
    captured = read_captured(folder)
    assert captured.missing == ["3.png"]
    check_walk(captured, kept=(0, 1, 3, 4))


def test_with_positive_fy_nothing_is_mirrored(folder, walk, depth_error):
    """Control: the same poses, the sign passed over."""
    right = read_captured(folder).views
    (folder / "calib.txt").write_text(f"{FX} {FY} {CX - 0.5} {CY - 0.5}")
    captured = read_captured(folder)
    assert torch.equal(captured.world_from_file, torch.eye(4))
    assert depth_error(right[0], right[4]) < 0.005 < 0.02 < depth_error(captured.views[0], captured.views[4])


def test_the_mirror_keeps_pixels_and_is_its_own_inverse():
    generator = torch.Generator().manual_seed(0)
    w2c = torch.eye(4, dtype=torch.float64)
    w2c[:3, :3] = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64))[0]
    w2c[:3, :3] *= torch.linalg.det(w2c[:3, :3])
    w2c[:3, 3] = torch.randn(3, generator=generator)
    points = torch.randn(9, 3, generator=generator, dtype=torch.float64)
    there = transform_points(w2c, points)
    here = transform_points(w2c_from_left_handed(w2c), transform_points(MIRRORED_Y, points))
    assert torch.allclose(here[:, 0] / here[:, 2], there[:, 0] / there[:, 2])
    assert torch.allclose(480 * here[:, 1] / here[:, 2], -480 * there[:, 1] / there[:, 2])
    assert torch.linalg.det(w2c_from_left_handed(w2c)[:3, :3]) == pytest.approx(1)
    assert torch.allclose(w2c_from_left_handed(w2c_from_left_handed(w2c)), w2c)


def test_images_of_another_size_need_a_calibration(folder):
    (folder / "calib.txt").unlink()
    with pytest.raises(FormatError, match="640 x 480"):
        read_captured(folder)


@pytest.mark.parametrize("text", ["0 0 0 0 0 0 1", "0 0 nan 0 0 0 1\n" * 5, "0 0 0 1 1 1 1\n" * 5, "1 2\n" * 5])
def test_wrong_poses_are_refused(folder, text):
    (folder / "pose.txt").write_text(text)
    with pytest.raises(FormatError, match="pose.txt"):
        read_captured(folder)


def test_living_room(shared_data):
    """Depth reprojects within 2 % of itself between views that overlap; 10 % and more with the sign passed over."""
    from hybridwm.bench.recon_readers import depth_reprojection, moved

    captured = read_captured(shared_data("multiview/icl_nuim_livingroom_5"))
    assert len(captured) == 5
    for camera in captured.cameras:
        assert isinstance(camera, Camera) and camera.K[1, 1] == 480 and (camera.K[0, 2], camera.K[1, 2]) == (320, 240)
    views = list(captured.views)
    pairs = [(1, 3), (3, 1), (2, 4), (0, 2), (0, 4), (2, 0)]
    right = sorted(depth_reprojection(views[a], views[b])[0] for a, b in pairs)
    assert right[len(pairs) // 2] < 0.02
    passed_over = [moved(view, w2c_from_left_handed(view.camera.w2c)) for view in views]
    wrong = sorted(depth_reprojection(passed_over[a], passed_over[b])[0] for a, b in pairs)
    assert wrong[len(pairs) // 2] > 5 * right[len(pairs) // 2]
