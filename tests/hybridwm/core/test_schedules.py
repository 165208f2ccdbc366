"""The schedules of diffusion forcing: which frame is how noisy when, and that the loop is one of them."""

import pytest
import torch
from small_core import SMALL, core, remembered

from hybridwm.core.conditioning import Recalled, to_images, to_video
from hybridwm.core.schedules import schedule_times
from hybridwm.core.video_core import VideoCore
from render import Camera


def test_times_of_the_three_schedules():
    assert schedule_times("full_sequence", 3, 2).tolist() == [[1, 1, 1], [0.5, 0.5, 0.5], [0, 0, 0]]
    assert schedule_times("autoregressive", 2, 2).tolist() == [[1, 1], [0.5, 1], [0, 1], [0, 0.5], [0, 0]]
    assert schedule_times("pyramid", 3, 2).tolist() == [[1, 1, 1], [0.5, 1, 1], [0, 0.5, 1], [0, 0, 0.5], [0, 0, 0]]
    with pytest.raises(ValueError, match="expected one of autoregressive, pyramid, full_sequence; got 'all'"):
        schedule_times("all", 3, 2)


def walked(made: VideoCore, count: int):
    context = remembered(made)
    g = torch.Generator().manual_seed(4)
    cameras, w2c = [], context.camera.w2c
    for _ in range(count):
        w2c = w2c.clone()
        w2c[2, 3] -= 0.1
        cameras.append(Camera(context.camera.K, w2c, SMALL.width, SMALL.height))
    return context, cameras, 0.1 * torch.randn(count, 4, generator=g)


def looped(made: VideoCore, context, cameras, actions, solver_steps):
    frames = []
    for camera, action in zip(cameras, actions, strict=True):
        frame = made.imagine(context, Recalled(), camera, action, solver_steps=solver_steps)
        frame = to_video(*to_images(frame))
        context = made.remember(context, frame, camera, action)
        frames.append(frame)
    return torch.stack(frames)


@pytest.mark.parametrize("solver_steps", [1, 2])
def test_autoregressive_sampling_is_the_step_loop(solver_steps):
    """Five frames over a window of three: what the loop makes with pages, the schedule makes in one clip."""
    made = core()
    context, cameras, actions = walked(made, 5)
    frames = made.sample(context, [Recalled()] * 5, cameras, actions, solver_steps=solver_steps)
    expected = looped(made, context, cameras, actions, solver_steps)
    # rounding to 256 levels may turn a difference of 1e-6 into one level, which later frames then see
    difference = (frames - expected).abs()
    assert difference[0].max() <= 2 / 255 + 1e-6
    assert difference.mean() < 1e-3 and (difference > 1e-3).float().mean() < 0.05
    # the control: actions that differ in one frame
    other = actions.clone()
    other[0] += 0.2
    assert (looped(made, context, cameras, other, solver_steps) - frames).abs().mean() > 5e-3


@pytest.mark.parametrize("schedule", ["pyramid", "full_sequence"])
def test_other_schedules_are_causal_and_differ(schedule):
    made = core()
    context, cameras, actions = walked(made, 4)
    frames = made.sample(context, [Recalled()] * 4, cameras, actions, schedule=schedule, solver_steps=2)
    other = actions.clone()
    other[2] += 1
    changed = made.sample(context, [Recalled()] * 4, cameras, other, schedule=schedule, solver_steps=2)
    assert torch.equal(frames[:2], changed[:2]) and not torch.equal(frames[2:], changed[2:])
    one_by_one = made.sample(context, [Recalled()] * 4, cameras, actions, solver_steps=2)
    # the first frame sees the context alone in all of them; rounding may turn 1e-6 into one of 256 levels
    assert (frames[0] - one_by_one[0]).abs().max() <= 2 / 255 + 1e-6
    assert (frames[0] - one_by_one[0]).abs().mean() < 1e-4
    assert (frames[1:] - one_by_one[1:]).abs().max() > 1e-3


def test_a_later_frame_sees_an_earlier_one_as_noisy_as_it_is():
    """Full sequence: the noise of frame 0 at the beginning is all that frame 1 sees of it in the first pass."""
    made = core()
    context, cameras, actions = walked(made, 2)
    seen = []
    forward = made.network.forward
    made.network.forward = lambda noisy, told, *a, **k: seen.append((noisy, told.t)) or forward(noisy, told, *a, **k)
    made.sample(context, [Recalled()] * 2, cameras, actions, schedule="full_sequence", solver_steps=2)
    noisy, t = seen[0]
    assert torch.equal(noisy[:, 0], noisy[:, 1]) and t.tolist() == [[1, 1, 1]]  # the copy, then both targets
    noisy, t = seen[1]
    assert torch.equal(noisy[:, 0], noisy[:, 1]) and t.tolist() == [[0.5, 0.5, 0.5]]


def test_lengths_must_agree():
    made = core()
    context, cameras, actions = walked(made, 2)
    with pytest.raises(ValueError, match="as many recalled as cameras and actions; got 1, 2 and 2"):
        made.sample(context, [Recalled()], cameras, actions)
