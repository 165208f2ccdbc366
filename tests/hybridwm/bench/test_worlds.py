"""The benchmark of worlds steps through one and counts what it did."""

import pytest

from hybridwm.bench import worlds


def test_a_world_is_stepped_and_counted():
    found = worlds.pace("rooms", 16, 0.2)
    assert found.steps > 0 and found.seconds >= 0.2
    assert {"rgb", "depth", "camera"} <= set(found.keys)


def test_one_eye_shows_no_right_image():
    assert "right" in worlds.pace("rooms", 16, 0.01).keys
    assert "right" not in worlds.pace("rooms-one-eye", 16, 0.01).keys


def test_unknown_worlds_are_named(capsys):
    with pytest.raises(SystemExit):
        worlds.main(["doom", "moon"])
    assert "expected some of rooms, rooms-one-eye, doom, arm; got moon" in capsys.readouterr().err
