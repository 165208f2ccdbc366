"""Views are read when they are asked for, and no more of them are kept than fits."""

import pytest
import torch

from recon.readers import READERS, captured, read_captured


@pytest.fixture
def folder(walk, save, tmp_path):
    for index, shot in enumerate(walk):
        save(tmp_path / f"images/{index}.png", shot.image)
    return tmp_path


def test_each_kind_of_thing_is_chosen_by_what_lies_there(folder):
    assert read_captured(folder).kind == "images"


def test_views_behave_like_a_list(folder):
    views = read_captured(folder).views
    assert len(views) == 5 and len(list(views)) == 5
    assert views[-1] is views[4]
    assert [view is views[index] for view, index in zip(views[1:4:2], (1, 3), strict=True)] == [True, True]
    with pytest.raises(IndexError):
        views[5]


def test_every_and_max_views_thin_the_sequence(folder):
    assert read_captured(folder, every=2).names == ["0.png", "2.png", "4.png"]
    few = read_captured(folder, every=2, max_views=2)
    assert few.names == ["0.png", "2.png"] and len(few.views) == len(few.cameras) == 2
    assert torch.equal(few.views[1].image, read_captured(folder).views[2].image)


def test_no_more_is_kept_than_the_cache_holds(folder, monkeypatch):
    monkeypatch.setattr(captured, "CACHE_BYTES", 2.5 * 96 * 72 * 3 * 4)
    views = read_captured(folder).views
    first = views[0]
    assert views[1] is not None and views[0] is first  # the one used last stays longest
    list(views)
    assert len(views._kept) == 2 and views[0] is not first


def test_cameras_need_no_image(folder, monkeypatch):
    recording = read_captured(folder)
    monkeypatch.setattr(captured, "read_image", lambda path: pytest.fail("an image was read"))
    assert len(recording.cameras) == 5


def test_nothing_that_fits_names_what_was_looked_for(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        read_captured(tmp_path)
    for sign in ("transforms.json", "frame-*.pose.txt", "poses.txt", "rgb.txt", "cameras and images", "im0.png"):
        assert sign in str(error.value)


def test_arguments_that_make_no_sense(folder):
    with pytest.raises(ValueError, match=f"kind must be auto, {', '.join(READERS)}; got 'blender'"):
        read_captured(folder, kind="blender")
    for wrong in ({"every": 0}, {"max_views": 0}):
        with pytest.raises(ValueError, match="at least 1"):
            read_captured(folder, **wrong)
    with pytest.raises(FileNotFoundError, match="no such file or folder"):
        read_captured(folder / "nothing")


@pytest.mark.parametrize("kind", [kind for kind in READERS if kind != "video"])
def test_each_reader_says_what_it_misses_in_an_empty_folder(kind, tmp_path):
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        read_captured(tmp_path, kind=kind)


def test_an_image_that_is_damaged_is_found_when_it_is_read(folder):
    path = folder / "images/2.png"
    path.write_bytes(path.read_bytes()[:2000])
    views = read_captured(folder).views
    assert views[1] is not None
    from render import FormatError

    with pytest.raises(FormatError, match="2.png"):
        views[2]
