"""Depth-routed frames: past pixels where the scene says they are, nearer to the truth than the scene's own colours."""

from dataclasses import replace

import pytest
import torch

from hybridwm.memory import make_memory
from hybridwm.memory.past import Past, PastFrame
from hybridwm.memory.routed import RoutedMemory, RoutedState, warped
from recon import View
from render import Camera, RenderOutput

HELD_BACK = (3, 6, 9)  # views that no memory is shown


def psnr(render: RenderOutput, truth: torch.Tensor, where: torch.Tensor) -> float:
    colour = render.rgb / render.alpha.clamp(min=1e-3)[..., None]
    return float(-10 * (colour - truth)[where].square().mean().log10())


@pytest.fixture(scope="module")
def walked(room_views):
    views = room_views(64, 12)
    memory = make_memory("routed", eyes=2)
    assert isinstance(memory, RoutedMemory)
    state = memory.begin("cpu")
    for i, view in enumerate(views):
        if i not in HELD_BACK:
            recalled = memory.recall(state, view.camera, view.baseline)
            state = memory.observe(state, view, observed=True, step=i, recalled=recalled)
    return memory, state, views


def shuffled(state: RoutedState) -> RoutedState:
    """The same past, its frames with each other's cameras."""
    frames = state.past.frames
    cameras = [frame.camera for frame in frames]
    mixed = tuple(
        replace(frame, camera=cameras[(i + len(frames) // 2) % len(frames)]) for i, frame in enumerate(frames)
    )
    return replace(state, past=replace(state.past, frames=mixed))


@pytest.mark.parametrize("eye", [0, 1])
def test_warped_frames_are_nearer_to_the_truth_than_the_scene_s_render(walked, eye):
    memory, state, views = walked
    for i in HELD_BACK:
        recalled = memory.recall(state, views[i].camera, views[i].baseline)
        ours, scene = recalled.renders[eye], recalled.beneath.renders[eye]
        truth = views[i].image if eye == 0 else views[i].right
        both = (ours.alpha > 0.5) & (scene.alpha > 0.5)
        assert both.float().mean() > 0.8 * (scene.alpha > 0.5).float().mean()
        assert psnr(ours, truth, both) > psnr(scene, truth, both) + 1
        assert torch.equal(ours.alpha, (ours.depth > 0).float())
        assert ours.features is not None and torch.equal(ours.features[..., 0], ours.alpha), "all of it was observed"
        assert float(ours.rgb[ours.alpha == 0].abs().sum()) == 0


def test_control_with_shuffled_cameras_the_past_explains_little_and_shows_worse(walked):
    memory, state, views = walked
    wrong = shuffled(state)
    for i in HELD_BACK:
        right = memory.recall(state, views[i].camera, views[i].baseline).renders[0]
        other = memory.recall(wrong, views[i].camera, views[i].baseline).renders[0]
        assert other.alpha.mean() < 0.6 * right.alpha.mean()
        where = other.alpha > 0.5
        assert psnr(other, views[i].image, where) < psnr(right, views[i].image, right.alpha > 0.5) - 5


def test_from_a_kept_camera_its_own_pixels_come_back(walked):
    memory, state, views = walked
    shown = memory.recall(state, views[5].camera, views[5].baseline).renders[0]
    where = shown.alpha > 0.5
    assert where.float().mean() > 0.8
    assert (shown.rgb - views[5].image)[where].abs().median() < 1.5 / 255


def plane(size: int = 32, depth: float = 2.0) -> tuple[RenderOutput, Camera]:
    flat = torch.full((size, size), depth)
    return RenderOutput(torch.zeros(size, size, 3), torch.ones(size, size), flat), Camera.from_fov(size, size, 77)


def test_bilinear_sampling_hits_pixel_centres():
    """A frame seen from the very camera comes back bit for bit; half a pixel off it would be blurred."""
    render, camera = plane()
    image = torch.rand(32, 32, 3, generator=torch.Generator().manual_seed(0))
    view = View(image, camera, depth=render.depth, confidence=torch.ones(32, 32))
    shown = warped([PastFrame.of(view, 0, True)], render, camera)
    assert (shown.rgb - (image * 255).round() / 255).abs().max() < 1e-4 and bool((shown.alpha == 1).all())
    moved = warped([PastFrame.of(replace(view, camera=camera.moved_right(0.05)), 0, True)], render, camera)
    assert (moved.rgb - image).abs().mean() > 0.05


def test_what_a_frame_measured_nearer_or_not_at_all_is_not_shown():
    render, camera = plane()
    depth = render.depth.clone()
    depth[:, :10], depth[:, 10:20] = 1.0, 0.0  # something stands before the plane; nothing was measured
    view = View(torch.ones(32, 32, 3), camera, depth=depth, confidence=torch.ones(32, 32))
    shown = warped([PastFrame.of(view, 0, True)], render, camera)
    assert float(shown.alpha[:, :20].sum()) == 0 and bool((shown.alpha[:, 20:] == 1).all())


def test_observed_frames_stand_before_imagined_ones():
    render, camera = plane()
    sure = torch.ones(32, 32)
    imagined = PastFrame.of(View(torch.ones(32, 32, 3), camera, depth=render.depth, confidence=sure), 1, False)
    half = render.depth.clone()
    half[:16] = 0
    observed = PastFrame.of(View(torch.zeros(32, 32, 3), camera, depth=half, confidence=sure), 0, True)
    memory = make_memory("routed", eyes=1)
    assert isinstance(memory, RoutedMemory)
    chosen = memory._chosen(Past((imagined, observed), 1), [render], [camera])
    assert [frame.observed for frame in chosen] == [True, False]
    shown = warped(chosen, render, camera)
    assert float(shown.rgb[16:].max()) == 0 and float(shown.rgb[:16].min()) == 1
    assert shown.features is not None
    assert bool((shown.features[16:] == 1).all()) and bool((shown.features[:16] == 0).all())
