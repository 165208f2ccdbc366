"""transforms.json: OpenGL axes, intrinsics for all or for each, lenses, images that are not there."""

import json
import math
import shutil

import numpy as np
import pytest
import torch

from recon.readers import read_captured
from render import FormatError

from .conftest import CX, CY, FX, FY, HEIGHT, OPENGL, WIDTH

SHARED = {"fl_x": FX, "fl_y": FY, "cx": CX, "cy": CY, "w": float(WIDTH), "h": float(HEIGHT)}


@pytest.fixture
def write(walk, save, tmp_path):
    """write(shared, each, frames): the walk as transforms.json, shared entries and those of each frame given."""

    def make(shared=SHARED, each=(), change=lambda frame, index: None):
        frames = []
        for index, shot in enumerate(walk):
            save(tmp_path / f"images/{index}.png", shot.image)
            save(tmp_path / f"depth/{index}.png", shot.depth, 0.001)
            frame = {"file_path": f"images/{index}.png", "transform_matrix": (shot.c2w @ OPENGL).tolist()}
            frame |= dict(each)
            change(frame, index)
            frames.append(frame)
        (tmp_path / "transforms.json").write_text(json.dumps({**shared, "frames": frames}))
        return tmp_path

    return make


def with_depth(frame, index):
    frame["depth_file_path"] = f"depth/{index}.png"


def test_the_walk_comes_back(write, check_walk):
    folder = write(change=with_depth)
    check_walk(read_captured(folder))
    check_walk(read_captured(folder / "transforms.json"))


def test_intrinsics_of_each_frame_come_first(write, check_walk):
    check_walk(read_captured(write({"fl_x": 1.0, "fl_y": 1.0}, SHARED)), depth=False)


def test_the_angle_of_view_stands_in_for_the_focal_length(write):
    angles = {"camera_angle_x": 2 * math.atan(0.5 * WIDTH / FX), "camera_angle_y": 2 * math.atan(0.5 * HEIGHT / FY)}
    K = read_captured(write(angles)).cameras[0].K
    assert torch.allclose(K, torch.tensor([[FX, 0, 48], [0, FY, 36], [0, 0, 1]]), atol=1e-4)
    K = read_captured(write({"camera_angle_x": angles["camera_angle_x"]})).cameras[0].K
    assert float(K[1, 1]) == pytest.approx(FX)  # square pixels, as in NeRF's synthetic scenes


def test_images_smaller_than_the_calibration(write):
    double = {key: 2 * value for key, value in SHARED.items()}
    K = read_captured(write(double)).cameras[0].K
    assert torch.allclose(K, torch.tensor([[FX, 0, CX], [0, FY, CY], [0, 0, 1]]), atol=1e-4)


def test_names_without_their_suffix(write, check_walk):
    check_walk(read_captured(write(change=lambda f, i: f.update(file_path=f"./images/{i}"))), depth=False)


def test_missing_images_are_named_in_their_order(write, check_walk):
    def change(frame, index):
        if index in (1, 3):
            frame["file_path"] = f"images/gone_{index}.png"

    captured = read_captured(write(change=change))
    assert captured.missing == ["images/gone_1.png", "images/gone_3.png"]
    check_walk(captured, depth=False, kept=(0, 2, 4))


def test_all_images_missing_is_an_error_that_names_some(write):
    folder = write()
    shutil.rmtree(folder / "images")
    with pytest.raises(FileNotFoundError, match="all 5 are missing .*images/0.png"):
        read_captured(folder)


def test_opencv_axes_would_not_do(write, walk, depth_error):
    """Control: the same depth with the flip left out."""
    right = read_captured(write(change=with_depth)).views
    assert depth_error(right[0], right[4]) < 0.005

    def unflipped(frame, index):
        with_depth(frame, index)
        frame["transform_matrix"] = walk[index].c2w.tolist()

    wrong = read_captured(write(change=unflipped)).views
    assert depth_error(wrong[0], wrong[4]) > 0.03


def test_lenses_are_undone(write):
    lens = {"camera_model": "OPENCV", "k1": 0.1, "k2": -0.05, "p1": 0.001, "p2": -0.002}
    for values in (lens, {"camera_model": "OPENCV_FISHEYE", "k1": 0.05}, {"is_fisheye": True, "k1": 0.05}):
        captured = read_captured(write({**SHARED, **values}))
        frame = captured.views.frames[0]
        assert frame.lens.fisheye == (values is not lens) and frame.lens.distortion[0] == values["k1"]
        assert frame.pinhole != frame.lens


@pytest.mark.parametrize(
    "wrong",
    [
        {"camera_model": "EQUIRECTANGULAR"},
        {"fl_x": 0.0, "fl_y": 0.0},
        {"fl_x": -3.0},
        {"fl_x": "90"},
        {"fl_x": math.nan},
        {"k1": math.inf},
        {"k4": 0.1},
        {"cx": True},
        {"w": 10.0},
        {"h": 0.0},
        {"w": 1e30},
        {"camera_model": ["OPENCV"]},
    ],
)
def test_wrong_cameras_are_refused(write, wrong):
    with pytest.raises(FormatError):
        read_captured(write({**SHARED, **wrong}))


@pytest.mark.parametrize(
    "wrong",
    [
        {"file_path": "../secret.png"},
        {"file_path": "/etc/passwd"},
        {"file_path": "..\\secret.png"},
        {"file_path": "images/../../secret.png"},
        {"file_path": ""},
        {"file_path": "a\0b"},
        {"file_path": 7},
        {"depth_file_path": "../secret.png"},
        {"transform_matrix": [[1, 2], [3, 4]]},
        {"transform_matrix": "identity"},
        {"transform_matrix": np.zeros((4, 4)).tolist()},
        {"transform_matrix": np.diag([1.0, 1.0, -1.0, 1.0]).tolist()},
        {"transform_matrix": np.full((4, 4), math.nan).tolist()},
        {"transform_matrix": [[1, 0, 0, 1e400], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]},
        {"transform_matrix": (2 * np.eye(4)).tolist()},
    ],
)
def test_wrong_frames_are_refused(write, wrong, tmp_path):
    with pytest.raises(FormatError):
        read_captured(write(change=lambda frame, index: frame.update(wrong) if index == 2 else None))


def test_links_out_of_the_folder_are_not_followed(write, tmp_path_factory, save, walk):
    outside = save(tmp_path_factory.mktemp("outside") / "secret.png", walk[0].image)
    folder = write()
    (folder / "images/2.png").unlink()
    (folder / "images/2.png").symlink_to(outside)
    with pytest.raises(FormatError, match="files inside"):
        read_captured(folder)


def test_fox(shared_data, tmp_path):
    """The recorded file lists what is there; the published one also lists 17 images that are not."""
    source = shared_data("multiview/fox_train")
    captured = read_captured(source, max_views=2)
    assert len(read_captured(source)) == 12 and captured.missing == []
    assert captured.views[0].image.shape == (1920, 1080, 3)

    from hybridwm.bench.recon_readers import epipolar_error, wrong_axes

    a, b = captured.views
    error, share = epipolar_error(a, b)
    assert 0.2 < error < 0.8 and share > 0.8
    assert epipolar_error(wrong_axes(a), wrong_axes(b))[1] < 0.3  # control

    (tmp_path / "images").mkdir()
    for image in (source / "images").iterdir():
        shutil.copy(image, tmp_path / "images")
    root = json.loads((source / "transforms.json").read_text())
    gone = [f"images/{index:04d}.jpg" for index in range(200, 217)]
    for at, name in enumerate(gone):
        root["frames"].insert(2 * at % 12, {**root["frames"][0], "file_path": name})
    (tmp_path / "transforms.json").write_text(json.dumps(root))
    padded = read_captured(tmp_path)
    assert sorted(padded.missing) == gone and padded.names == read_captured(source).names
