"""Procedural rooms: no OpenGL, no downloads; textured, lit and different for every seed."""

from .collision import clearance, is_free, sample_free_pose
from .layout import Room, RoomBatch, make_room, stack_rooms
from .raycast import Raycast, raycast
from .rig import RoomsRig
from .walkers import Walk, walk

__all__ = ["Raycast", "Room", "RoomBatch", "RoomsRig", "Walk", "clearance", "is_free", "make_room", "raycast",
           "sample_free_pose", "stack_rooms", "walk"]  # fmt: skip
