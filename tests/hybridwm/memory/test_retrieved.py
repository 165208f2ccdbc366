"""Retrieval by fields of view: the frame that looks at the target comes back, not the newest and not the opposite."""

import math

import pytest
import torch

from hybridwm.memory.past import Past, PastFrame
from hybridwm.memory.retrieved import RetrievedMemory
from recon import View
from render import Camera


def camera(x: float = 0.0, yaw: float = 0.0, z: float = 0.0, pitch: float = 0.0) -> Camera:
    """At (x, 0, z) metres, turned by yaw to the right and pitch down, degrees."""
    a, b = math.radians(yaw), math.radians(pitch)
    turn = torch.tensor([[math.cos(a), 0, -math.sin(a)], [0, 1, 0], [math.sin(a), 0, math.cos(a)]])
    nod = torch.tensor([[1, 0, 0], [0, math.cos(b), -math.sin(b)], [0, math.sin(b), math.cos(b)]])
    w2c = torch.eye(4)
    w2c[:3, :3] = nod @ turn
    w2c[:3, 3] = -w2c[:3, :3] @ torch.tensor([x, 0.0, z])
    return Camera.from_fov(64, 64, 77, w2c)


def seen(cameras: list[Camera], memory: RetrievedMemory | None = None, observed: int = 10**6) -> Past:
    """The past after a view from each camera, the i-th one all of colour i."""
    memory = memory or RetrievedMemory()
    state = memory.begin("cpu")
    for i, one in enumerate(cameras):
        view = View(torch.full((64, 64, 3), i / 255), one)
        state = memory.observe(state, view, observed=i < observed, step=i, recalled=None)
    return state


def picked(state: Past, target: Camera, memory: RetrievedMemory | None = None) -> list[int]:
    frames = (memory or RetrievedMemory()).recall(state, target, None).frames
    return [round(float(frame.image.mean()) * 255) for frame in frames]


TURN = [camera(yaw=-15.0 * i) for i in range(24)]
FLOOR = [camera(yaw=-345.0 + 2 * i, pitch=80) for i in range(12)]


@pytest.mark.parametrize("heading", [2, 7, 13, 20])
def test_the_frame_that_looks_at_the_target_comes_first(heading):
    target = camera(x=0.1, yaw=-15.0 * heading + 4)
    best = picked(seen([*TURN, *FLOOR]), target)
    assert best[0] == heading
    assert all(min(abs(i - heading), 24 - abs(i - heading)) <= 4 for i in best), "none that looks another way"


def test_control_the_newest_frames_do_not_show_it():
    """What the core sees anyway, and frames that look the other way, are of no use here."""
    target, newest = TURN[7], list(range(32, 36))
    assert not set(picked(seen([*TURN, *FLOOR]), target)) & set(newest)
    only = seen([TURN[7 + 12], *FLOOR])
    assert 0 not in picked(only, target)
    assert picked(seen(TURN[:4]), TURN[0]) == [], "all of it is in the recent window"


def test_the_opposite_side_of_what_the_target_sees_does_not_count():
    """A camera that faces the target from across looks at the same points, from behind."""
    facing, beside = camera(z=4.0, yaw=180), camera(x=0.5, yaw=10)
    assert picked(seen([facing, beside, *FLOOR]), camera())[0] == 1
    assert 0 not in picked(seen([facing, beside, *FLOOR]), camera())


def test_four_frames_complement_each_other():
    """Many frames look at the left half; the only one that looks at the right half is among the four all the same."""
    left, right = [camera(x=0.11 * i, yaw=-35) for i in range(12)], camera(yaw=40)
    best = picked(seen([*left, right, *FLOOR]), camera())
    assert 12 in best and len(best) <= 4


def test_near_duplicates_are_kept_once_and_the_observed_one_stays():
    same = [camera(x=0.01 * i) for i in range(9)]
    assert [frame.step for frame in seen(same).frames] == [0]
    state = seen([camera(), camera(x=1), camera(x=0.01)], observed=0)
    memory = RetrievedMemory()
    view = View(torch.ones(64, 64, 3), camera(x=0.02))
    after = memory.observe(state, view, observed=True, step=3, recalled=None)
    assert [frame.step for frame in after.frames] == [1, 3] and after.newest == 3
    again = memory.observe(after, View(torch.zeros(64, 64, 3), camera()), observed=False, step=4, recalled=None)
    assert [frame.step for frame in again.frames] == [1, 3] and again.newest == 4


def test_a_full_memory_thins_out_where_cameras_stand_closest_and_keeps_what_was_observed():
    memory = RetrievedMemory(budget=5)
    crowded = [camera(x=2.0), *(camera(x=10 + 0.15 * i) for i in range(4)), camera(x=20), camera(x=30)]
    steps = [frame.step for frame in seen(crowded, memory).frames]
    assert len(steps) == 5 and {0, 5, 6} <= set(steps)
    mixed = [
        PastFrame(i, i == 1, camera(x=x), torch.zeros(64, 64, 3, dtype=torch.uint8)) for i, x in ((0, 0), (1, 0.2))
    ]
    past = Past(tuple(mixed), 1).with_frame(PastFrame(2, False, camera(x=5), mixed[0].image), budget=2)
    assert [frame.step for frame in past.frames] == [1, 2]
