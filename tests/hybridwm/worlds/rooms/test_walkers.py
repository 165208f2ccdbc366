"""Walks: collision-free, explained by their actions, mixed as promised, and functions of the seeds."""

import pytest
import torch

from hybridwm.actions.walker import ACTIONS, Walker
from hybridwm.worlds.rooms import clearance, is_free, make_room, stack_rooms, walk
from hybridwm.worlds.rooms.walkers import BEHAVIOURS, OUT_AND_BACK, RANDOM

NAMES = list(ACTIONS)


@pytest.fixture(scope="module")
def many():
    rooms = stack_rooms([make_room(s) for s in range(1000, 1032)])
    return rooms, walk(rooms, 128, 0)


def centers(w2c):
    return -(w2c[..., :3, :3].mT @ w2c[..., :3, 3:])[..., 0]


def test_shapes(many):
    _, path = many
    assert path.w2c.shape == (32, 129, 4, 4) and path.actions.shape == (32, 128, 4)
    assert path.index.shape == path.behaviour.shape == path.touch.shape == (32, 128)


def test_no_frame_touches_anything(many):
    rooms, path = many
    assert is_free(rooms, centers(path.w2c), 0.399).all()
    shift = torch.eye(4)
    shift[0, 3] = -0.30
    assert (clearance(rooms, centers(shift @ path.w2c)) > 0.05).all()  # the right eye


def test_every_action_explains_the_motion_that_follows(many):
    _, path = many
    again = Walker().move(path.w2c[:, :-1], path.actions)
    assert torch.allclose(again, path.w2c[:, 1:], atol=1e-5)
    table = torch.tensor(list(ACTIONS.values()))
    assert torch.equal(table[path.index], path.actions)
    still = (path.index == NAMES.index("stay"))[path.touch]
    assert path.touch.any() and still.all()  # a blocked step is recorded as what it was


def test_chance_is_at_most_thirty_percent_and_all_behaviours_occur(many):
    _, path = many
    shares = torch.bincount(path.behaviour.flatten(), minlength=len(BEHAVIOURS)) / path.behaviour.numel()
    assert 0.05 < float(shares[RANDOM]) <= 0.30
    assert (shares > 0.03).all()


def test_every_action_occurs_and_moving_is_common(many):
    _, path = many
    shares = torch.bincount(path.index.flatten(), minlength=9) / path.index.numel()
    assert (shares > 0.01).all()
    assert float(shares[NAMES.index("forward")]) > 0.18
    assert float(shares[NAMES.index("look_up")] + shares[NAMES.index("look_down")]) < 0.15
    assert float(shares[NAMES.index("stay")]) < 0.15


def test_out_and_back_comes_back(many):
    _, path = many
    found = 0
    for e in range(len(path.behaviour)):
        there = (path.behaviour[e] == OUT_AND_BACK).tolist()
        starts = [t for t in range(128) if there[t] and (t == 0 or not there[t - 1])]
        for t in starts:
            n = next(
                (k for k in (16, 24) if there[t : t + k] == [True] * k and not any(there[t + k : t + k + 1])),
                0,
            )
            if n and t + n < 128:
                assert torch.allclose(path.w2c[e, t + n], path.w2c[e, t], atol=1e-4)
                found += 1
    assert found > 5


def test_walks_depend_on_room_and_seed_alone(many):
    rooms, path = many
    again = walk(rooms[[7, 3]], 40, 0)
    assert torch.allclose(again.w2c, path.w2c[[7, 3], :41], atol=1e-5)
    assert torch.equal(again.index, path.index[[7, 3], :40])
    assert not torch.equal(walk(rooms[[7, 3]], 40, 1).index, again.index)


def test_walkers_go_through_doors():
    """Of rooms with an interior wall, a fair share of long walks see both sides."""
    seeds = [s for s in range(1100, 1140) if (make_room(s).box_materials == 6).any()][:16]
    rooms = stack_rooms([make_room(s) for s in seeds])
    where = centers(walk(rooms, 160, 0).w2c)[..., :2]
    crossed = 0
    for e in range(len(seeds)):
        wall = rooms.boxes[e][rooms.box_materials[e] == 6][0]
        axis = 0 if wall[3] < wall[4] else 1
        side = where[e, :, axis] > wall[axis]
        crossed += bool(side.any() and not side.all())
    assert crossed >= 8


def test_bad_input_is_refused(many):
    rooms, path = many
    with pytest.raises(ValueError, match="at least 1 step"):
        walk(rooms, 0, 0)
    stuck = path.w2c[:, 0].clone()
    stuck[0, :3, 3] = 100
    with pytest.raises(ValueError, match="free space"):
        walk(rooms, 2, 0, start=stuck)
