"""Rooms are functions of their seeds; style and layout are apart; everything stands inside."""

import numpy as np
import pytest
import torch

from hybridwm.worlds.rooms import is_free
from hybridwm.worlds.rooms.layout import make_room, stack_rooms
from hybridwm.worlds.rooms.materials import COLUMNS

TENSORS = ("size", "boxes", "box_materials", "cylinders", "balls", "materials", "lights", "ambient")


def same(a, b, names=TENSORS):
    return all(torch.equal(getattr(a, n), getattr(b, n)) for n in names)


def test_same_seed_same_room_and_others_differ():
    assert same(make_room(5), make_room(5))
    first = make_room(0)
    for seed in range(1, 12):
        other = make_room(seed)
        assert not torch.equal(first.size, other.size)
        assert not torch.equal(first.materials[:6], other.materials[:6])
        assert not torch.equal(first.ambient, other.ambient)


def test_style_and_layout_seeds_are_apart():
    base = make_room(3, style_seed=3, layout_seed=3)
    assert same(base, make_room(3))
    restyled = make_room(3, style_seed=4)
    assert same(base, restyled, ("size", "boxes", "box_materials", "cylinders", "balls"))
    assert not torch.equal(base.materials, restyled.materials)
    rebuilt = make_room(3, layout_seed=4)
    assert not torch.equal(base.size, rebuilt.size)
    # materials of faces, interior wall, frames and furniture, and lights as shares of the size, are the style's
    assert torch.equal(base.materials[:16], rebuilt.materials[:16])
    assert torch.equal(base.ambient, rebuilt.ambient) and torch.equal(base.lights[:, 3:], rebuilt.lights[:, 3:])
    share = torch.tensor([0.5, 0.5, 1.0])
    a, b = (r.lights[:, :3] / (r.size * share) for r in (base, rebuilt))
    assert torch.allclose(a, b, atol=1e-5)


def test_marks_take_their_colours_from_the_palette_of_the_style():
    columns = [COLUMNS.index(f"{k}_{c}") for k in "abc" for c in "rgb"]
    palettes = []
    for layout in range(6):
        marks = make_room(0, layout_seed=layout).materials[16:][:, columns].reshape(-1, 3)
        palettes.append({tuple(np.round(c, 4)) for c in marks.tolist()})
    assert len(set.union(*palettes)) <= 5


@pytest.mark.parametrize("seed", range(0, 40, 4))
def test_things_stand_inside(seed):
    room = make_room(seed)
    half = room.size[:2] / 2
    assert ((room.size[:2] >= 5) & (room.size[:2] <= 7)).all()
    boxes = room.boxes
    c, s = boxes[:, 6].cos().abs(), boxes[:, 6].sin().abs()
    reach = torch.stack([c * boxes[:, 3] + s * boxes[:, 4], s * boxes[:, 3] + c * boxes[:, 4]], -1)
    assert (boxes[:, :2].abs() + reach <= half + 0.02).all()
    assert (boxes[:, 2] - boxes[:, 5] >= -1e-4).all() and (boxes[:, 2] + boxes[:, 5] <= room.size[2] + 1e-4).all()
    assert (boxes[:, 3:6] > 0).all()
    for table, radius in ((room.cylinders, 4), (room.balls, 3)):
        assert (table[:, :2].abs() + table[:, radius:] <= half + 1e-4).all()
    assert int(room.box_materials.max()) < len(room.materials)
    assert len(room.materials) - 16 >= 4  # at least a mark a wall


def test_doors_let_a_walker_through():
    doors = 0
    for seed in range(20):
        room = make_room(seed)
        walls = room.boxes[room.box_materials == 6]
        if not len(walls):
            continue
        left, right = sorted(walls[walls[:, 2] - walls[:, 5] < 0.1].tolist(), key=lambda b: b[0] + b[1])[:2]
        along = 0 if left[3] > left[4] else 1
        gap = (right[along] - right[3 + along]) - (left[along] + left[3 + along])
        assert gap - 0.12 >= 1.1  # the frame takes 6 cm on each side
        middle = [left[0], left[1], 1.2]
        middle[along] = (left[along] + left[3 + along] + right[along] - right[3 + along]) / 2
        assert is_free(stack_rooms([room]), torch.tensor([middle]), 0.5).all(), f"seed {seed}: a thing in the door"
        doors += 1
    assert 8 <= doors <= 19


def test_stack_pads_and_indexes():
    rooms = stack_rooms([make_room(s) for s in (1, 2, 3)])
    assert len(rooms) == 3 and rooms.boxes.shape[0] == 3
    assert (rooms.boxes[..., 3] < 0).any() or rooms.boxes.shape[1] == make_room(1).boxes.shape[0]
    assert rooms[1:].seeds == (2, 3) and rooms[[2, 0]].seeds == (3, 1)
    assert torch.equal(rooms[[2, 0]].size[0], rooms.size[2])


def test_bad_seeds_are_refused():
    with pytest.raises(ValueError, match="seeds >= 0"):
        make_room(-1)
    with pytest.raises(ValueError, match="at least one room"):
        stack_rooms([])
