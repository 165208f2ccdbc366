"""A walk through a room as views, with true depth."""

import pytest
import torch

from hybridwm.worlds.rooms.layout import make_room, stack_rooms
from hybridwm.worlds.rooms.raycast import raycast
from hybridwm.worlds.rooms.rig import RoomsRig
from hybridwm.worlds.rooms.walkers import walk
from recon import View

SEED = 9_000_003


@pytest.fixture(scope="session")
def room_views():
    """room_views(size, count): the views of both eyes along a walk, each with its true depth."""

    def make(size: int, count: int) -> list[View]:
        rig, rooms = RoomsRig(size=size), stack_rooms([make_room(SEED)], torch.device("cpu"))
        path = walk(rooms, count, seed=1)
        views = []
        for i in range(count):
            seen = raycast(rooms, rig.stereo(path.w2c[:, i]))
            views.append(
                View(
                    seen.rgb[0, 0],
                    rig.camera(path.w2c[0, i]),
                    depth=seen.depth[0, 0],
                    confidence=torch.ones(size, size),
                    right=seen.rgb[0, 1],
                    baseline=rig.baseline,
                )
            )
        return views

    return make
