"""Depth of levels built here by hand: rooms with steps, lintels, pits and doors, against answers by arithmetic."""

from types import SimpleNamespace as Made

import numpy as np
import pytest

from hybridwm.worlds.doom.geometry import cast, free_place, read_level

AHEAD = np.zeros(1)


def lines(*corners):
    ends = [*corners[1:], corners[0]]
    return [Made(x1=a[0], y1=a[1], x2=b[0], y2=b[1]) for a, b in zip(corners, ends, strict=True)]


def sector(floor, ceiling, *corners):
    return Made(floor_height=floor, ceiling_height=ceiling, lines=lines(*corners))


def shared(*sectors):
    """Lines between two sectors are one line to the engine, whichever way round."""
    known = {}
    for s in sectors:
        s.lines = [known.setdefault(frozenset([(o.x1, o.y1), (o.x2, o.y2)]), o) for o in s.lines]
    return read_level(sectors)


ROOM = sector(0, 100, (0, 0), (400, 0), (400, 200), (0, 200))


def near_and_far(floor, ceiling):
    """A room to x = 400, and another one behind it to x = 800, with its own heights."""
    room = sector(0, 100, (0, 0), (400, 0), (400, 200), (0, 200))
    return shared(room, sector(floor, ceiling, (400, 0), (800, 0), (800, 200), (400, 200)))


def test_walls_floor_and_ceiling_of_a_room():
    level = read_level([ROOM])
    down = np.array([-0.5, -0.1, 0.0, 0.1, 0.5])
    depth = cast(level, np.array([100.0, 100, 40]), 0.0, np.array([0.0, 1.0, -1.0]), down)
    assert depth[:, 0] == pytest.approx([120, 300, 300, 300, 80])
    assert depth[2, 1:] == pytest.approx([100, 100])  # to the side walls, along the axis
    turned = cast(level, np.array([100.0, 150, 40]), np.pi / 2, np.array([0.0, -1.0]), AHEAD)
    assert turned[0] == pytest.approx([50, 50])  # +y is to the left of +x: the angle grows counter-clockwise


@pytest.mark.parametrize(
    ("floor", "ceiling", "down", "expected"),
    [
        (0, 100, 0.0, 700),  # no border between equal rooms
        (30, 100, 0.05, 300),  # the riser of a step: 25 high there, below 30
        (30, 100, 0.02, 500),  # over the step onto its floor, 10 below the eye
        (0, 60, -0.1, 300),  # the lintel: 70 high there, above 60
        (0, 60, -0.05, 400),  # under the lintel to the ceiling behind, 20 above the eye
        (-50, 100, 0.14, 40 / 0.14),  # the floor before a pit
        (-50, 100, 0.2, 200),
        (-50, 100, 0.128, 700),  # over the edge, to the far wall below the eye's level
        (60, 100, 0.0, 300),  # a riser higher than the eye
        (100, 100, -0.1, 300),  # a door that is shut
    ],
)
def test_steps_lintels_pits_and_doors(floor, ceiling, down, expected):
    depth = cast(near_and_far(floor, ceiling), np.array([100.0, 100, 40]), 0.0, AHEAD, np.array([down]))
    assert depth[0, 0] == pytest.approx(expected)


def test_doors_move_with_the_heights_of_now():
    level = near_and_far(0, 0)
    eye = np.array([100.0, 100, 40])
    assert cast(level, eye, 0.0, AHEAD, AHEAD)[0, 0] == pytest.approx(300)
    opened = level.with_heights([Made(floor_height=0, ceiling_height=h) for h in (100, 100)])
    assert cast(opened, eye, 0.0, AHEAD, AHEAD)[0, 0] == pytest.approx(700)


def test_a_pillar_hides_and_columns_beside_it_do_not():
    pillar = lines((200, 90), (220, 90), (220, 110), (200, 110))
    level = read_level([Made(floor_height=0, ceiling_height=100, lines=[*ROOM.lines, *pillar])])
    depth = cast(level, np.array([100.0, 100, 40]), 0.0, np.array([-0.3, -0.05, 0.05, 0.3]), AHEAD)
    assert depth[0] == pytest.approx([300, 100, 100, 300])
    open_to_nothing = cast(level, np.array([100.0, 100, 40]), 0.0, np.array([-0.3]), np.array([5.0]))
    assert open_to_nothing[0, 0] == pytest.approx(8)


def test_free_places_keep_their_distance():
    level, rng = near_and_far(30, 100), np.random.default_rng(0)
    places = np.array([free_place(level, rng, 40.0) for _ in range(100)])
    assert np.all((places[:, 1] >= 40) & (places[:, 1] <= 160))
    assert np.all((np.abs(places[:, 0] - 400) >= 40) & (places[:, 0] >= 40) & (places[:, 0] <= 760))
    assert len(np.unique(places[:, 0] < 400)) == 2
    with pytest.raises(RuntimeError, match="expected free space"):
        free_place(level, rng, 150.0)
