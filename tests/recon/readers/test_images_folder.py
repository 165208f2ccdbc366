"""Folders of images and videos: order, calibration, and cameras that say they are guessed."""

import os

import pytest
import torch

from recon.readers import read_captured
from render import FormatError
from render.images import to_uint8
from render.video import write_mp4


@pytest.fixture
def folder(walk, save, tmp_path):
    for index, shot in zip((1, 2, 10, 9, 11), walk, strict=True):
        save(tmp_path / f"img_{index}.png", shot.image)
    return tmp_path


def test_numbers_in_names_are_ordered_as_numbers(folder):
    assert read_captured(folder).names == ["img_1.png", "img_2.png", "img_9.png", "img_10.png", "img_11.png"]


def test_what_is_no_file_is_passed_over(folder):
    os.mkfifo(folder / "img_3.png")  # opening it would wait for ever
    (folder / "img_4.png").mkdir()
    assert len(read_captured(folder)) == 5


def test_without_a_calibration_the_camera_is_said_to_be_guessed(folder):
    captured = read_captured(folder)
    assert not captured.posed and not captured.calibrated and "guess" in captured.notes[0]
    assert torch.equal(captured.cameras[0].w2c, torch.eye(4))
    assert captured.cameras[0].K[0, 2] == 48 and captured.cameras[0].K[1, 2] == 36


@pytest.mark.parametrize("text", ["90 0 45.2\n0 86 37.2\n0 0 1\n", "fx fy cx cy\n90 86 45.2 37.2\n", "90,86,45.2,37.2"])
def test_a_calibration_beside_the_images_is_theirs(folder, text, walk):
    (folder / "calib.txt").write_text(text)
    captured = read_captured(folder)
    assert captured.calibrated and not captured.posed
    # In the file the first pixel's centre is (0, 0), so it holds half a pixel less.
    assert torch.allclose(captured.cameras[0].K, walk[0].camera.K, atol=1e-4)


@pytest.mark.parametrize(
    "text", ["", "90 86", "90 1 45\n0 86 37\n0 0 1", "nan 86 45 37", "-90 86 45 37", "0 86 45 37", "1e9 86 45 37"]
)
def test_a_calibration_that_is_none_is_refused(folder, text):
    (folder / "calib.txt").write_text(text)
    with pytest.raises(FormatError, match="calib.txt"):
        read_captured(folder)


def test_a_calibration_of_other_images_is_refused(folder, save, walk):
    (folder / "calib.txt").write_text("90 86 45.2 37.2")
    save(folder / "img_99.png", walk[0].image[:, :60])
    with pytest.raises(FormatError, match="img_99.png.*96 x 72"):
        read_captured(folder)


@pytest.fixture
def film(walk, tmp_path):
    frames = torch.stack([torch.from_numpy(to_uint8(shot.image)) for shot in walk] * 4)
    write_mp4(tmp_path / "walk.mp4", frames, 10)
    return tmp_path / "walk.mp4"


def test_a_video_is_its_frames(film, walk, psnr):
    captured = read_captured(film)
    assert captured.kind == "video" and len(captured) == 20 and not captured.calibrated
    assert captured.timestamps[7] == pytest.approx(0.7)
    assert all(psnr(captured.views[index].image, walk[index % 5].image) > 30 for index in range(20))


def test_a_video_is_thinned_while_it_is_decoded(film):
    few, whole = read_captured(film, every=3, max_views=4), read_captured(film)
    assert few.names == ["walk.mp4#0", "walk.mp4#3", "walk.mp4#6", "walk.mp4#9"]
    assert few.timestamps == pytest.approx([0, 0.3, 0.6, 0.9])
    assert torch.equal(few.views[3].image, whole.views[9].image)


def test_a_video_that_decodes_short_is_an_error_however_few_are_kept(film):
    from render.video import read_video

    data = film.read_bytes()
    start = data.index(b"mdat")
    for seed in range(40):
        generator = torch.Generator().manual_seed(seed)
        bad = bytearray(data)
        for at in torch.randint(start + 8, len(data), (30,), generator=generator):
            bad[at] = int(torch.randint(256, (1,), generator=generator))
        film.write_bytes(bad)
        try:
            frames, _ = read_video(film)
        except FormatError:
            with pytest.raises(FormatError):
                read_captured(film, max_views=1)
        else:
            assert len(frames) == 20
    film.write_bytes(data[: start + 200])
    with pytest.raises(FormatError, match="walk.mp4"):
        read_captured(film, max_views=1)
