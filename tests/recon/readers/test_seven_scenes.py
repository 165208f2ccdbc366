"""7-Scenes: poses c2w, depth in mm, and colour that comes from another camera."""

import pytest
import torch

from recon.readers import read_captured
from recon.readers.seven_scenes import COLOUR_FOCAL, DEPTH_FOCAL
from render import FormatError

from .conftest import CX, CY, FX, FY


@pytest.fixture
def folder(walk, save, rows, tmp_path):
    for index, shot in enumerate(walk):
        name = f"frame-{10 * index:06d}"
        save(tmp_path / f"{name}.color.png", shot.image)
        save(tmp_path / f"{name}.depth.png", shot.depth, 0.001)
        (tmp_path / f"{name}.pose.txt").write_text("\n".join(rows(row) for row in shot.c2w))
    (tmp_path / "camera-intrinsics.txt").write_text(f"{FX} 0 {CX - 0.5}\n0 {FY} {CY - 0.5}\n0 0 1\n")
    return tmp_path


def test_the_walk_comes_back(folder, check_walk):
    captured = read_captured(folder)
    assert captured.kind == "7scenes" and captured.names[1] == "frame-000010.color.png" and captured.notes == ()
    check_walk(captured)


def test_intrinsics_may_lie_one_folder_up(folder, check_walk):
    inner = folder / "seq-01"
    inner.mkdir()
    for path in list(folder.glob("frame-*")):
        path.rename(inner / path.name)
    check_walk(read_captured(inner))


def test_frames_without_colour_are_missing(folder, check_walk):
    (folder / "frame-000020.color.png").unlink()
    captured = read_captured(folder)
    assert captured.missing == ["frame-000020.color"]
    check_walk(captured, kept=(0, 1, 3, 4))


def test_all_ones_is_no_depth(folder, save):
    save(folder / "frame-000000.depth.png", torch.full((72, 96), 65.535), 0.001)
    assert (read_captured(folder).views[0].depth == 0).all()


def test_c2w_taken_for_w2c_would_not_do(folder, depth_error):
    """Control: inverted poses."""
    from hybridwm.bench.recon_readers import moved

    right = read_captured(folder).views
    wrong = [moved(view, view.camera.c2w) for view in right]
    assert depth_error(right[0], right[4]) < 0.005 < 0.02 < depth_error(wrong[0], wrong[4])


def test_colour_of_the_depth_cameras_sequences_is_brought_to_its_focal_length(folder, save, see_planes, psnr):
    """What is seen at 525 px comes out as at 585 px."""
    from render import Camera

    def seen(focal):
        K = torch.tensor([[focal, 0, 320.5], [0, focal, 240.5], [0, 0, 1]])
        return see_planes(Camera(K, torch.eye(4), 640, 480), (((0.05, 0.02, 1.0), 2.0),), shortest=0.5)[0]

    for path in folder.glob("frame-0000[1-4]0.*"):
        path.unlink()
    (folder / "camera-intrinsics.txt").unlink()
    (folder / "frame-000000.depth.png").unlink()
    save(folder / "frame-000000.color.png", seen(COLOUR_FOCAL))
    captured = read_captured(folder)
    view = captured.views[0]
    assert view.camera.K[0, 0] == DEPTH_FOCAL and any("not registered" in note for note in captured.notes)
    assert psnr(view.image, seen(DEPTH_FOCAL)) > 45 > 30 > psnr(seen(COLOUR_FOCAL), seen(DEPTH_FOCAL))


@pytest.mark.parametrize(
    "text",
    [
        "1 0 0 0\n0 1 0 0\n0 0 1 0",
        "1 0 0 0\n0 1 0 0\n0 0 1 nan\n0 0 0 1",
        "-inf -inf -inf -inf\n" * 4,
        "-1.#IND 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1",
        "1 0 0 0\n0 -1 0 0\n0 0 1 0\n0 0 0 1",
        "1 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 1 1",
        "",
    ],
)
def test_wrong_poses_are_refused(folder, text):
    (folder / "frame-000020.pose.txt").write_text(text)
    with pytest.raises(FormatError, match="frame-000020.pose.txt"):
        read_captured(folder)


def test_a_depth_image_that_is_none_is_refused(folder, save, walk):
    save(folder / "frame-000000.depth.png", walk[0].image)
    views = read_captured(folder).views
    with pytest.raises(FormatError, match="16 bits"):
        views[0]


def test_red_kitchen(shared_data):
    """Depth agrees with itself as well as has been measured for this sequence: 0.27 to 0.6 %."""
    from hybridwm.bench.recon_readers import depth_reprojection, over_pairs

    captured = read_captured(shared_data("multiview/7scenes_redkitchen_a"))
    assert len(captured) == 30 and captured.views[0].camera.K[0, 0] == 585
    median, within = over_pairs(captured.views, [(0, 1), (4, 5), (10, 11), (20, 21), (0, 3)], depth_reprojection)
    assert 0.002 < median < 0.006 and within > 0.97
