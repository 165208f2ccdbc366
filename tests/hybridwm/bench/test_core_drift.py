"""Four bounds at once: the truth keeps them, and what freezes, flickers, loops or fades breaks one."""

import numpy as np
import pytest
import torch

from hybridwm.bench.core_drift import GUARDS
from hybridwm.study.drift import (
    BOUNDS,
    WINDOW,
    Look,
    Moments,
    drift_of,
    fd_r,
    frechet_distance,
    growth,
    pooled_distance,
)
from recon.view import View
from render.camera import Camera

STEPS, VIEWS, SIZE = 64, 8, 24


def world(seed: int) -> torch.Tensor:
    """A camera that glides along a wall of coloured patches, never back: [VIEWS + STEPS, SIZE, SIZE, 3]."""
    generator = torch.Generator().manual_seed(seed)
    wall = torch.rand(1, 3, SIZE // 4, (SIZE + 3 * (VIEWS + STEPS)) // 4 + 2, generator=generator)
    wall = torch.nn.functional.interpolate(wall, scale_factor=4.0, mode="bilinear")[0].permute(1, 2, 0)
    return torch.stack([wall[:, 3 * t : 3 * t + SIZE] for t in range(VIEWS + STEPS)])


def drifted(looks):
    return drift_of(looks, resamples=100)


@pytest.fixture(scope="module")
def walks():
    """(views, truth, truth with a little noise) of four scenes."""
    camera, found = Camera.from_fov(SIZE, SIZE, 77.0, torch.eye(4)), []
    for seed in range(4):
        frames = world(seed)
        noise = 0.02 * torch.randn(frames.shape, generator=torch.Generator().manual_seed(99 + seed))
        found.append(([View(f, camera) for f in frames[:VIEWS]], frames[VIEWS:], (frames + noise).clamp(0, 1)[VIEWS:]))
    return found


def test_a_model_that_is_nearly_right_keeps_all_bounds(walks):
    drift = drifted([Look.of(shown, truth) for _, truth, shown in walks])
    assert drift.failed == ()
    assert set(drift.figures) == set(BOUNDS)
    assert all(figure.low <= figure.value <= figure.high for figure in drift.figures.values())


@pytest.mark.parametrize(
    ("guard", "bound"),
    [
        ("frozen frame", "motion ratio"),
        ("noise", "gradient energy ratio"),
        ("looping", "likeness to the beginning above the truth's"),
    ],
)
def test_every_guard_breaks_its_bound(walks, guard, bound):
    looks = [Look.of(GUARDS[guard](views, STEPS, seed), truth) for seed, (views, truth, _) in enumerate(walks)]
    assert bound in drifted(looks).failed


def test_fading_breaks_the_ratio_of_distances(walks):
    left = torch.linspace(1, 0.3, STEPS)[:, None, None, None]
    drift = drifted([Look.of(left * shown + (1 - left) * 0.5, truth) for _, truth, shown in walks])
    assert "FD_r ratio" in drift.failed
    assert drift.last.value > 2 * drift.first.value


def test_looping_is_sharp_moves_and_shows_nothing_new(walks):
    views = walks[0][0]
    frames = GUARDS["looping"](views, STEPS, 0)
    known = torch.stack([view.image for view in views])
    assert all(bool((known == frame).all((1, 2, 3)).any()) for frame in frames)
    assert bool((frames[1:] != frames[:-1]).any(3).any(2).any(1).all())


def test_distances_of_pooled_sums_are_those_of_pooled_features():
    rng = np.random.default_rng(0)
    scenes = [(rng.normal(i, 1 + i, (50 + i, 5)), rng.normal(0, 2, (40, 5))) for i in range(3)]
    own, true = (Moments.join([Moments.of(scene[i]) for scene in scenes]) for i in range(2))
    chosen = np.array([[0, 1, 2], [2, 2, 1]])
    expected = [frechet_distance(*(np.concatenate([scenes[k][i] for k in draw]) for i in range(2))) for draw in chosen]
    assert pooled_distance(own, true, chosen) == pytest.approx(expected, rel=1e-9)


def test_one_scene_is_the_ratio_of_its_own_distances(walks):
    _, truth, shown = walks[0]
    ratio = fd_r(shown[-WINDOW:], truth[-WINDOW:]) / fd_r(shown[:WINDOW], truth[:WINDOW])
    assert float(growth([Look.of(shown, truth)])(np.array([0]))) == pytest.approx(ratio)


def test_a_perfect_beginning_does_not_excuse_the_end(walks):
    looks = [Look.of(torch.cat([truth[:WINDOW], shown[WINDOW:]]), truth) for _, truth, shown in walks]
    assert "FD_r ratio" in drifted(looks).failed


def test_short_or_unequal_rollouts_are_refused(walks):
    _, truth, shown = walks[0]
    for length in (2 * WINDOW - 1, STEPS - 1):
        with pytest.raises(ValueError, match="expected frames and truth of one length >= 32"):
            Look.of(shown[:length], truth)
