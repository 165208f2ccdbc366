from dataclasses import replace

import pytest
import torch

from recon.calibration import read_calibration
from recon.pipeline import reconstruct, reconstruct_pair
from render.formats import FormatError
from render.images import write_png
from render.rasterize import rasterize

CALIBRATION = """cam0=[40 0 31.5; 0 40 23.5; 0 0 1]
cam1=[40 0 33.5; 0 40 23.5; 0 0 1]
doffs=2
baseline=300
width=64
height=48
ndisp=20
"""


def without(key):
    return "\n".join(line for line in CALIBRATION.splitlines() if not line.startswith(key))


@pytest.fixture
def calibration(tmp_path):
    def write(text=CALIBRATION):
        path = tmp_path / "calib.txt"
        path.write_text(text)
        return path

    return write


def test_calibration_in_metres_and_our_pixel_centres(calibration):
    read = read_calibration(calibration())
    assert (read.focal, read.cx, read.cy, read.baseline) == (40, 32, 24, 0.3)
    assert (read.disparity_offset, read.width, read.height, read.max_disparity) == (2, 64, 48, 20)
    assert read_calibration(calibration(without("doffs"))).disparity_offset == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (without("baseline"), "expected baseline= .*give focal and baseline"),
        (without("cam0"), "expected cam0="),
        ("", "only no entries"),
        (CALIBRATION.replace("300", "0"), "baseline above 0 mm; got 0"),
        (CALIBRATION.replace("300", "nan"), "finite number in baseline; got 'nan'"),
        (CALIBRATION.replace("[40 0 31.5", "[-40 0 31.5"), "positive focal length"),
        (CALIBRATION.replace("0 0 1]", "0 0]"), "9 numbers in cam0; got 8"),
        (CALIBRATION.replace("width=64", "width=6.5"), "whole number of pixels in width"),
        (CALIBRATION.replace("width=64", "width=1e300"), "whole number of pixels in width"),
    ],
)
def test_bad_calibrations_are_named(calibration, text, message):
    with pytest.raises(FormatError, match=message):
        read_calibration(calibration(text))


def test_binary_and_missing_calibrations(tmp_path):
    (tmp_path / "calib.txt").write_bytes(bytes(range(256)) * 100)
    with pytest.raises(FormatError):
        read_calibration(tmp_path / "calib.txt")
    with pytest.raises(FileNotFoundError, match="no such calibration"):
        read_calibration(tmp_path / "other.txt")


@pytest.fixture
def pair(tmp_path, plane_view):
    view = plane_view()
    paths = tmp_path / "left.png", tmp_path / "right.png"
    for path, image in zip(paths, (view.image, view.right), strict=True):
        write_png(path, image)
    return view, *paths


def test_a_pair_of_files_becomes_a_scene(pair):
    true, left, right = pair
    scene, view = reconstruct_pair(left, right, focal=40.0, baseline=0.3)
    assert 0.6 * true.depth.numel() < len(scene) <= true.depth.numel()
    assert scene.observed.all()
    measured = view.depth > 0
    assert ((view.depth - true.depth).abs() / true.depth)[measured].median() < 0.03
    assert torch.allclose(view.camera.K[:2, 2], torch.tensor([32.0, 24.0]))
    output = rasterize(scene.gaussians, view.camera)
    assert (output.alpha > 0.5).float().mean() > 0.6


def test_a_calibration_is_used(pair, calibration):
    _, left, right = pair
    _, plain = reconstruct_pair(left, right, focal=40.0, baseline=0.3)
    _, view = reconstruct_pair(left, right, calibration=calibration())
    both = (plain.depth > 0) & (view.depth > 0)
    assert torch.allclose(12 / view.depth[both], 12 / plain.depth[both] + 2, atol=0.3)
    assert view.disparity_offset == 2
    _, again = reconstruct_pair(left, right, focal=40.0, baseline=0.3, doffs=2.0)
    assert torch.allclose(again.depth, view.depth, atol=1e-3)
    with pytest.raises(ValueError, match="within the calibration that was given; got doffs=2"):
        reconstruct_pair(left, right, calibration=calibration(), doffs=2.0)


def test_what_does_not_fit_together_is_said(pair, calibration, tmp_path):
    true, left, right = pair
    with pytest.raises(ValueError, match="got both"):
        reconstruct_pair(left, right, calibration=calibration(), focal=40.0)
    with pytest.raises(ValueError, match="got no baseline"):
        reconstruct_pair(left, right, focal=40.0)
    with pytest.raises(ValueError, match="focal must be a number of pixels above 0; got -1"):
        reconstruct_pair(left, right, focal=-1.0, baseline=0.3)
    with pytest.raises(ValueError, match="images of 640x48; got 64x48"):
        wide = calibration(CALIBRATION.replace("width=64", "width=640"))
        reconstruct_pair(left, right, calibration=wide)
    write_png(tmp_path / "small.png", true.right[:40])
    with pytest.raises(ValueError, match="one size; got .*left.png 64x48 and .*small.png 64x40"):
        reconstruct_pair(left, tmp_path / "small.png", focal=40.0, baseline=0.3)
    with pytest.raises(FileNotFoundError, match=r"none.png"):
        reconstruct_pair(left, tmp_path / "none.png", focal=40.0, baseline=0.3)


@pytest.mark.parametrize("depth", ["stereo", "truth", "multiview"])
def test_views_become_a_scene(plane_view, depth):
    views = []
    for i in range(3):
        w2c = torch.eye(4)
        w2c[0, 3] = -0.25 * i
        views.append(plane_view(w2c=w2c))
    scene = reconstruct(views, depth=depth)
    assert len(scene) > 1500
    output = rasterize(scene.gaussians, views[-1].camera)
    known = output.depth > 0
    assert known.float().mean() > 0.6
    assert ((output.depth - views[-1].depth).abs() / views[-1].depth)[known].median() < 0.03


def test_reconstruct_names_what_is_missing(plane_view):
    with pytest.raises(ValueError, match="at least one view"):
        reconstruct([])
    with pytest.raises(ValueError, match="depth source must be one of"):
        reconstruct([plane_view()], depth="sonar")


def test_degenerate_views_give_an_empty_scene(plane_view):
    view = plane_view()
    grey = torch.full_like(view.image, 0.5)
    with pytest.warns(UserWarning, match="no texture"):
        assert len(reconstruct([replace(view, image=grey, right=grey)])) == 0
    with pytest.warns(UserWarning, match="identical frames"):
        assert len(reconstruct([replace(view, right=view.image)])) == 0
    with pytest.warns(UserWarning, match="no other view"):
        assert len(reconstruct([view], depth="multiview")) == 0


def test_files_in_the_wrong_order_are_no_scene(pair):
    _, left, right = pair
    with pytest.warns(UserWarning, match=r"left.png: swapped eyes.*Exchange"):
        scene, view = reconstruct_pair(right, left, focal=40.0, baseline=0.3)
    assert len(scene) == 0 and (view.depth == 0).all()


def test_a_real_pair(shared_data, psnr):
    folder = shared_data("stereo_gt/motorcycle_q")
    scene, view = reconstruct_pair(folder / "im0.png", folder / "im1.png", calibration=folder / "calib.txt")
    measured = view.depth > 0
    assert measured.float().mean() > 0.8
    # 193.001 mm * 999.421 px / (7 ... 65 px + 32.778 px)
    assert view.depth[measured].min() > 1.8 and view.depth.max() < 6.0
    output = rasterize(scene.gaussians, view.camera)
    known = output.alpha > 0.5
    assert known.float().mean() > 0.85
    assert psnr(output.rgb, view.image, known) > 24
