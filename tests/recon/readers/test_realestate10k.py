"""RealEstate10K: intrinsics as parts of the image, w2c, frames named by their times."""

import numpy as np
import pytest
import torch

from recon.readers import read_camera_path, read_captured
from render import FormatError

from .conftest import CX, CY, FX, FY, HEIGHT, WIDTH

TIMES = [33_000 * index + 1_000_000 for index in range(5)]
URL = "https://www.youtube.com/watch?v=none"


@pytest.fixture
def folder(walk, save, rows, tmp_path):
    lines = [URL]
    for time, shot in zip(TIMES, walk, strict=True):
        save(tmp_path / f"images/{time}.png", shot.image)
        parts = [FX / WIDTH, FY / HEIGHT, CX / WIDTH, CY / HEIGHT, 0, 0]
        lines.append(f"{time} {rows(parts)} {rows(np.linalg.inv(shot.c2w)[:3])}")
    (tmp_path / "0123abcd.txt").write_text("\n".join(lines))
    return tmp_path


def test_the_walk_comes_back(folder, check_walk):
    captured = read_captured(folder)
    assert captured.kind == "realestate10k" and captured.timestamps[1] == pytest.approx(1.033)
    check_walk(captured, depth=False)
    check_walk(read_captured(folder / "0123abcd.txt"), depth=False)


@pytest.mark.parametrize("place", ["0123abcd", "frames/0123abcd", "."])
def test_frames_may_lie_in_the_clips_folder(folder, place, check_walk):
    (folder / "frames").mkdir()
    for path in (folder / "images").iterdir():
        (folder / place).mkdir(exist_ok=True)
        path.rename(folder / place / path.name)
    check_walk(read_captured(folder), depth=False)


def test_frames_that_are_not_there_are_missing(folder, check_walk):
    (folder / f"images/{TIMES[2]}.png").unlink()
    captured = read_captured(folder)
    assert captured.missing == [str(TIMES[2])]
    check_walk(captured, depth=False, kept=(0, 1, 3, 4))


def test_cameras_without_images(folder, walk):
    path = read_camera_path(folder / "0123abcd.txt")
    assert path.url == URL and path.microseconds == TIMES
    camera = path.cameras(2 * WIDTH, 2 * HEIGHT)
    assert len(camera) == 5 and camera.width == 2 * WIDTH
    assert torch.allclose(camera.K[3, :2], 2 * walk[3].camera.K[:2], atol=1e-3)
    assert torch.allclose(camera.w2c[3], walk[3].camera.w2c, atol=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "",
        lambda text: URL,
        lambda text: text[:-30],
        lambda text: text.replace("1.0", "nan", 1),
        lambda text: text.replace(" 0.0 0.0 ", " 0.0 ", 1),
        lambda text: text.replace(" ", " -", 2),
        lambda text: text + "\n" + "9" * 100_000,
    ],
)
def test_wrong_files_are_refused(folder, change):
    path = folder / "0123abcd.txt"
    path.write_text(change(path.read_text()))
    with pytest.raises(FormatError, match="0123abcd.txt"):
        read_captured(path)


def test_a_recorded_camera_file(shared_data):
    """16 cameras, a centred principal point, and steps along a smooth path (a c2w reading breaks that)."""
    folder = shared_data("trajectories/re10k_camera_txt")
    path = read_camera_path(folder / "0bf152ef84195293.txt")
    camera = path.cameras(640, 360)
    assert len(path) == 16 and path.url.startswith("https://www.youtube.com")
    assert torch.allclose(camera.K[0], torch.tensor([[303.88, 0, 320], [0, 303.88, 180], [0, 0, 1]]), atol=0.01)
    first = torch.tensor([0.780003667, 0.059620168, -0.622928321, 0.726968666])
    assert torch.allclose(camera.w2c[0, 0], first, atol=1e-6)
    with pytest.raises(FileNotFoundError, match="all 16 are missing"):
        read_captured(folder)
