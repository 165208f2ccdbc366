"""Loopy's slots: they tile the past, and each shows its own middle frame."""

import pytest
import torch

from hybridwm.memory.loopy import LoopyMemory, segments
from recon import View
from render import Camera
from render.geometry import project


@pytest.mark.parametrize(
    ("stride", "ratio", "count", "reach"), [(4, 2, 5, 124), (1, 1, 1, 1), (3, 1, 4, 12), (2, 3, 3, 26)]
)
def test_slots_tile_the_past_with_no_gap_and_no_overlap(stride, ratio, count, reach):
    slots = segments(stride, ratio, count)
    assert len(slots) == stride * count
    covered = [frame for first, last in slots for frame in range(first, last + 1)]
    assert sorted(covered) == list(range(-reach, 0))
    assert [last - first + 1 for first, last in slots] == [ratio ** (i // stride) for i in range(stride * count)]


def test_what_is_no_segmentation_is_refused():
    with pytest.raises(ValueError, match="expected stride, ratio and count of at least 1; got 4, 0, 5"):
        segments(4, 0, 5)


def view(shade: int) -> View:
    return View(torch.full((64, 64, 3), shade / 255), Camera.from_fov(64, 64, 77))


def test_a_slot_shows_its_middle_frame_and_slots_before_the_beginning_are_absent():
    memory, state, counts = LoopyMemory(), LoopyMemory().begin("cpu"), []
    for step in range(200):
        state = memory.observe(state, view(step), observed=step < 9, step=step, recalled=None)
        counts.append(len(memory.recall(state, view(0).camera, None).frames))
    frames = memory.recall(state, view(0).camera, None).frames
    steps = [round(float(frame.image.mean()) * 255) for frame in frames]
    for step, (first, last) in zip(steps, memory.slots, strict=True):
        assert 200 + first <= step <= 200 + last and abs((step - 200) - (first + last) / 2) <= 0.5
    assert steps[:4] == [199, 198, 197, 196] and steps[-1] == 200 - 117
    assert counts[:4] == [1, 2, 3, 4] and counts == sorted(counts) and counts[123] == 20
    assert len(state.frames) == 124, "older frames are gone"


def test_twenty_slots_are_about_as_many_tokens_as_four_frames():
    memory = LoopyMemory()
    state = memory.observe(memory.begin("cpu"), view(3), observed=True, step=0, recalled=None)
    (frame,) = memory.recall(state, view(0).camera, None).frames
    assert frame.image.shape == (32, 24, 3)
    assert 20 * (32 // 8) * (24 // 8) == 240


def test_the_small_frame_s_camera_sees_the_same_things():
    memory, camera = LoopyMemory(), Camera.from_fov(64, 64, 77)
    ramp = torch.linspace(0, 1, 64)[None, :, None].expand(64, 64, 3).contiguous()
    state = memory.observe(memory.begin("cpu"), View(ramp, camera), observed=True, step=0, recalled=None)
    (frame,) = memory.recall(state, camera, None).frames
    point = torch.tensor([[0.9, -0.4, 2.0]])
    (u, v), (small_u, small_v) = project(point, camera)[0][0], project(point, frame.camera)[0][0]
    assert float(small_u / u) == pytest.approx(24 / 64) and float(small_v / v) == pytest.approx(32 / 64)
    assert float(frame.image[int(small_v), int(small_u), 0]) == pytest.approx(float(ramp[int(v), int(u), 0]), abs=0.04)
