"""Signed distances to footprints, and what they permit."""

import math

import torch

from hybridwm.worlds.rooms import RoomsRig, clearance, is_free, make_room, sample_free_pose, stack_rooms
from hybridwm.worlds.rooms.collision import free_fraction, free_path
from hybridwm.worlds.rooms.layout import RoomBatch


def room_with(boxes=(), cylinders=(), balls=()) -> RoomBatch:
    """A bare room of 6 × 6 m with these things in it."""
    empty = [[0, 0, -99, -1, -1, -1, 0.0]], [[99, 99, -98, -99, -1.0]], [[99, 99, -99, -1.0]]
    b, c, s = (torch.tensor([list(x) or e]) for x, e in zip((boxes, cylinders, balls), empty, strict=True))
    index = [torch.zeros(x.shape[:2], dtype=torch.long) for x in (b, c, s)]
    material = torch.zeros(1, 6, 32)
    return RoomBatch((0,), torch.tensor([[6.0, 6.0, 2.5]]), b, index[0], c, index[1], s, index[2], material,
                     torch.zeros(1, 1, 6), torch.zeros(1, 3))  # fmt: skip


def at(*points):
    return torch.tensor([[[*p, 1.2] for p in points]])


def test_distances_as_numbers():
    assert torch.allclose(clearance(room_with(), at((0, 0), (2.5, 1), (-1, -2.8))), torch.tensor([[3.0, 0.5, 0.2]]))
    box = room_with(boxes=[[1.0, 0, 0.5, 0.5, 0.25, 0.5, 0.0]])
    assert torch.allclose(clearance(box, at((0, 0), (1, 1), (1, 0), (0.2, 0.65))),
                          torch.tensor([[0.5, 0.75, -0.25, 0.5]]), atol=1e-6)  # fmt: skip
    turned = room_with(boxes=[[1.0, 0, 0.5, 0.5, 0.25, 0.5, math.pi / 2]])
    assert torch.allclose(clearance(turned, at((0, 0))), torch.tensor([[0.75]]), atol=1e-6)
    rod = room_with(cylinders=[[0.0, 1.0, 0.0, 1.0, 0.3]], balls=[[-1.0, 0, 0.2, 0.2]])
    assert torch.allclose(clearance(rod, at((0, 0))), torch.tensor([[0.7]]), atol=1e-6)


def test_what_is_overhead_or_flat_does_not_stop():
    lintel = room_with(boxes=[[0.0, 0, 2.3, 0.5, 0.5, 0.2, 0.0]])
    rug = room_with(boxes=[[0.0, 0, 0.02, 0.5, 0.5, 0.02, 0.0]])
    assert is_free(lintel, at((0, 0))).all() and is_free(rug, at((0, 0))).all()


def test_free_fraction_stops_short():
    box = room_with(boxes=[[1.0, 0, 0.5, 0.3, 0.3, 0.5, 0.0]])
    start, end = torch.tensor([[0.0, 0, 1.2]]), torch.tensor([[0.5, 0, 1.2]])
    share = float(free_fraction(box, start, end))
    assert 0.6 - 1 / 32 <= share <= 0.6 + 1e-3  # 0.3 of 0.5 m: the box starts at 0.7, the disc is 0.4
    assert float(free_fraction(box, end - 0.25, end - 0.25)) == 1.0
    assert not free_path(box, start[:, None], end[:, None]).any()
    assert free_path(box, start[:, None], start[:, None] + 0.1).all()


def test_who_touches_may_leave_but_not_go_further():
    box = room_with(boxes=[[1.0, 0, 0.5, 0.3, 0.3, 0.5, 0.0]])
    inside = torch.tensor([[0.35, 0, 1.2]])
    assert float(free_fraction(box, inside, inside - torch.tensor([0.2, 0, 0]))) == 1.0
    assert float(free_fraction(box, inside, inside + torch.tensor([0.2, 0, 0]))) == 0.0


def test_sampled_poses_are_free_and_depend_on_the_room_alone(rooms):
    poses = sample_free_pose(rooms, 3)
    centers = -(poses[:, :3, :3].mT @ poses[:, :3, 3:])[..., 0]
    assert is_free(rooms, centers).all() and torch.allclose(centers[:, 2], torch.tensor(1.2), atol=1e-5)
    assert torch.equal(sample_free_pose(rooms[[4]], 3)[0], poses[4])
    assert not torch.equal(sample_free_pose(rooms, 4), poses)


def test_the_right_eye_is_never_in_a_wall():
    rooms = stack_rooms([make_room(s) for s in range(960, 980)])
    eyes = RoomsRig().stereo(sample_free_pose(rooms, 1)).center
    assert (clearance(rooms, eyes) > 0.05).all()
