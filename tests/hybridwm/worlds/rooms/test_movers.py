"""Things that move: seen where they are, hidden by what is before them, told apart, and turned as they roll."""

import math

import pytest
import torch

from hybridwm.worlds.rooms import RoomsRig, make_room, raycast, stack_rooms
from hybridwm.worlds.rooms.movers import Shapes, mover_ids, with_movers
from hybridwm.worlds.rooms.physics import turning
from hybridwm.worlds.rooms.scenarios.stage import set_stage
from render.geometry import unproject


@pytest.fixture(scope="module")
def stage():
    stage = set_stage(900, 0, pieces=0)
    for _ in range(3):
        stage.mover(stage.checked(0.3))
    return stage


def show(stage, shapes, size=48):
    rooms = stack_rooms([stage.room()])
    repeated = rooms[[0] * len(shapes)]
    moving = with_movers(repeated, shapes, stage.mover_materials().expand(len(shapes), -1, -1))
    camera = RoomsRig(size=size).camera(stage.start(-1).expand(len(shapes), 1, 4, 4))
    seen = raycast(moving, camera, materials=True)
    return seen, mover_ids(repeated, seen.material)[:, 0], camera


def test_a_ball_is_where_it_is_and_its_pixels_are_its_own(stage):
    where = [(*stage.at(2.5, left), 0.3) for left in (0.8, 0.0, -0.8)]
    seen, ids, camera = show(stage, [Shapes(balls=[(*p, 0.3, 1)]) for p in where])
    points = unproject(seen.depth, camera)[:, 0]
    columns = []
    for e, place in enumerate(where):
        on = ids[e] == 2
        assert set(ids[e].unique().tolist()) == {0, 2} and int(on.sum()) > 20
        away = (points[e][on] - torch.tensor(place)).norm(dim=-1)
        assert torch.allclose(away, torch.full_like(away, 0.3), atol=1e-3)
        columns.append(float(on.nonzero()[:, 1].float().mean()))
    assert columns == sorted(columns)  # what is to the left is seen on the left


def test_what_is_before_hides_what_is_behind(stage):
    ball = Shapes(balls=[(*stage.at(3.0, 0.0), 0.3, 0.25, 0)])
    wall = Shapes(boxes=[(*stage.at(2.0, 0.0), 0.6, 0.02, 1.0, 0.6, stage.yaw, 1)])
    _, ids, _ = show(stage, [ball, wall, ball + wall])
    assert (ids[0] == 1).any() and (ids[1] == 2).any()
    assert torch.equal(ids[2], ids[1])


def test_padding_shows_nothing_and_no_mover_is_no_change(stage):
    seen, ids, camera = show(stage, [Shapes(), Shapes(balls=[(*stage.at(2.0, 0.0), 0.3, 0.2, 0)])])
    plain = raycast(stack_rooms([stage.room()]), camera[:1])
    assert torch.equal(seen.rgb[0], plain.rgb[0]) and torch.equal(seen.depth[0], plain.depth[0])
    assert not ids[0].any() and plain.material is None


def test_a_ball_rolls_by_turning(stage):
    """A whole turn looks the same, half a turn does not; and a turn changes no depth."""
    place = (*stage.at(2.0, 0.0), 0.3, 0.3, 0)
    across = torch.tensor([*stage.along(0.0, 1.0), 0.0])
    turns = [turning(across * angle) for angle in (0.0, math.pi / 4, 2 * math.pi)]
    seen, ids, _ = show(stage, [Shapes(balls=[place], turns=[t]) for t in turns])
    on = ids[0] == 1
    assert float((seen.rgb[0] - seen.rgb[2])[0][on].abs().mean()) < 0.01
    assert float((seen.rgb[0] - seen.rgb[1])[0][on].abs().mean()) > 0.05
    assert torch.equal(seen.depth[0], seen.depth[1])


def test_a_point_of_the_ball_keeps_its_colour_as_it_turns(stage):
    """Rolled by 30 degrees towards the camera, the surface point that was in front has moved down the image."""
    place = torch.tensor([*stage.at(1.8, 0.0), 0.5])
    axis = torch.tensor([*stage.along(0.0, -1.0), 0.0])  # rolling towards the walker
    turn = turning(axis * math.pi / 6)
    looks, points = [], []
    for t in (torch.eye(3), turn):
        seen, ids, camera = show(stage, [Shapes(balls=[(*place.tolist(), 0.45, 0)], turns=[t])], size=128)
        on = ids[0] == 1
        looks.append(seen.rgb[0, 0][on])
        points.append((unproject(seen.depth, camera)[0, 0][on] - place) @ t)  # in the ball's own axes
    gap = torch.cdist(points[0], points[1])
    near, which = gap.min(1)
    same = near < 0.01
    assert int(same.sum()) > 300
    hue = [torch.nn.functional.normalize(c, dim=-1) for c in (looks[0][same], looks[1][which[same]])]
    assert float((hue[0] * hue[1]).sum(-1).median()) > 0.99


def test_a_door_hangs_at_its_hinge(stage):
    shapes = []
    for yaw in (0.0, math.pi / 2):
        shapes.append(Shapes())
        shapes[-1].door(*stage.at(2.5, 0.4), stage.yaw - math.pi / 2 + yaw, 0.8, 1.6, 0)
    _, ids, _ = show(stage, shapes)
    wide = [int((mask == 1).any(0).sum()) for mask in ids]
    assert wide[0] > 2 * wide[1] > 0  # closed: seen from the front; open: along its edge


def test_numbers_that_do_not_fit_are_refused(stage):
    rooms = stack_rooms([stage.room(), make_room(3)])
    with pytest.raises(ValueError, match="with_movers: expected shapes"):
        with_movers(rooms, [Shapes()], torch.zeros(2, 1, rooms.materials.shape[-1]))
