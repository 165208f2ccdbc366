import pytest

from hybridwm.worlds.rooms import make_room, sample_free_pose, stack_rooms


@pytest.fixture(scope="module")
def rooms():
    """Six rooms that no other test trains or tunes on."""
    return stack_rooms([make_room(seed) for seed in range(900, 906)])


@pytest.fixture(scope="module")
def poses(rooms):
    return sample_free_pose(rooms, 0)
