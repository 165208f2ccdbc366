import os

import pytest

from render import files
from render.files import atomic_folder, atomic_write


def test_a_file_appears_whole(tmp_path):
    target = tmp_path / "new" / "scene.ply"
    with atomic_write(target) as temporary:
        assert temporary.parent == target.parent and temporary.suffix == ".ply"
        temporary.write_bytes(b"one")
        assert not target.exists()
    assert target.read_bytes() == b"one" and os.listdir(target.parent) == ["scene.ply"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_the_old_file_survives_a_failed_write(tmp_path, error):
    target = tmp_path / "scene.ply"
    target.write_bytes(b"old")
    with pytest.raises(type(error)), atomic_write(target) as temporary:
        temporary.write_bytes(b"half")
        raise error
    assert target.read_bytes() == b"old" and os.listdir(tmp_path) == ["scene.ply"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_the_old_file_survives_a_failing_system_call(tmp_path, monkeypatch, call):
    target = tmp_path / "scene.ply"
    target.write_bytes(b"old")

    def fail(*arguments):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OSError), atomic_write(target) as temporary:
        temporary.write_bytes(b"new")
    assert target.read_bytes() == b"old" and os.listdir(tmp_path) == ["scene.ply"]


@pytest.mark.parametrize("exchange", [True, False])
def test_a_folder_is_replaced_as_a_whole(tmp_path, monkeypatch, exchange):
    if not exchange:  # as on systems that cannot swap two folders in one step
        monkeypatch.setattr(files.ctypes, "CDLL", lambda name: object())
    target = tmp_path / "scene"
    for name in ("first", "second"):
        with atomic_folder(target) as temporary:
            (temporary / "nested").mkdir()
            (temporary / "nested" / name).write_text(name)
    assert os.listdir(target / "nested") == ["second"] and os.listdir(tmp_path) == ["scene"]
    with pytest.raises(RuntimeError), atomic_folder(target) as temporary:
        (temporary / "third").write_text("half")
        raise RuntimeError
    assert os.listdir(target) == ["nested"] and os.listdir(tmp_path) == ["scene"]
