"""Flow against that of true depth and cameras; what blur, contrast and standing still do to it and to plain change."""

import numpy as np
import pytest
import torch

from hybridwm.study import metrics
from hybridwm.study.optical_motion import flow_between, flows, mean_flow
from hybridwm.study.retrieval import blurred
from hybridwm.study.trajectories import random_walk
from render.camera import pixel_grid
from render.geometry import project, unproject


@pytest.fixture(scope="module")
def walk():
    return random_walk(9_000_200, 18)


@pytest.fixture(scope="module")
def frames(walk) -> torch.Tensor:
    return torch.stack([view.image for view in walk.views])


def test_flow_is_that_of_the_true_depth_and_cameras(walk, frames):
    near, lengths = [], []
    for view, after, flow in zip(walk.views[:-1], walk.views[1:], flows(frames), strict=True):
        pixels, z = project(unproject(view.depth, view.camera), after.camera)
        seen = (z > 0) & (pixels >= 0).all(-1) & (pixels < 64).all(-1)
        true = pixels - pixel_grid(64, 64)
        near.append(float(((flow - true).norm(dim=-1)[seen] < 2).float().mean()))
        lengths.append([float(flow.norm(dim=-1).mean()), float(true.norm(dim=-1)[seen].mean())])
    assert np.mean(near) > 0.92
    measured, geometric = np.array(lengths).T
    assert np.corrcoef(measured, geometric)[0, 1] > 0.98
    assert measured.mean() / geometric.mean() == pytest.approx(1.0, abs=0.1)


def test_blur_hides_change_and_not_motion(frames):
    soft = blurred(frames)
    assert mean_flow(soft).mean() / mean_flow(frames).mean() == pytest.approx(1.0, abs=0.04)
    assert metrics.motion(soft) / metrics.motion(frames) < 0.92  # what the flag would have taken for less motion


def test_standing_still_is_none_and_half_the_time_is_half(frames):
    assert not mean_flow(frames[:1].expand(3, -1, -1, -1)).any()
    assert not mean_flow(torch.full((2, 64, 64, 3), 0.5)).any()  # a blank wall is found everywhere
    stuttering = mean_flow(frames.repeat_interleave(2, dim=0))
    assert not stuttering[::2].any() and np.allclose(stuttering[1::2], mean_flow(frames))


@pytest.mark.parametrize("size", [(16, 16), (24, 40), (96, 64)])
def test_a_known_shift_at_any_size(size):
    height, width = size
    picture = torch.nn.functional.interpolate(
        torch.rand(1, 3, 12, 16, generator=torch.Generator().manual_seed(1)), (height, width + 8), mode="bicubic"
    )[0].permute(1, 2, 0).clamp(0, 1)  # fmt: skip
    flow = flow_between(picture[:, 4:-4], picture[:, :-8])  # the content moves to the right by 4
    middle = flow[height // 4 : -height // 4, width // 4 : -width // 4]
    assert torch.allclose(middle.median(0).values.median(0).values, torch.tensor([4.0, 0.0]), atol=0.3)


def test_it_says_what_it_needs(frames):
    with pytest.raises(ValueError, match="at least two frames"):
        flows(frames[:1])
    with pytest.raises(ValueError, match="finite"):
        mean_flow(torch.full((2, 16, 16, 3), torch.nan))
