"""Each measure against numbers worked out by hand, and against controls that must fail."""

import math

import numpy as np
import pytest
import torch

from hybridwm.study import drift, metrics


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def test_psnr_of_a_known_error():
    truth = torch.full((1, 4, 5, 3), 100 / 255)
    frames = torch.full((1, 4, 5, 3), 110 / 255)
    assert metrics.psnr(frames, truth) == pytest.approx(10 * math.log10(255**2 / 100))


def test_psnr_quantizes_to_eight_bits():
    truth = torch.full((1, 4, 4, 3), 100 / 255)
    assert metrics.psnr(truth + 0.4 / 255, truth) == metrics.PSNR_CEILING
    assert metrics.psnr(truth + 0.6 / 255, truth) == pytest.approx(20 * math.log10(255))


def test_psnr_averages_errors_and_not_decibels():
    truth = torch.zeros(2, 4, 4, 3)
    frames = torch.stack([torch.full((4, 4, 3), 1 / 255), torch.full((4, 4, 3), 100 / 255)])
    assert metrics.psnr(frames, truth) == pytest.approx(10 * math.log10(255**2 / ((1 + 100**2) / 2)))


def test_psnr_in_a_mask_counts_only_its_pixels():
    truth = torch.zeros(1, 2, 2, 3)
    frames = truth.clone()
    frames[0, 0, 0] = 30 / 255
    mask = torch.zeros(1, 2, 2, dtype=torch.bool)
    mask[0, 0] = True
    error = metrics.squared_error(frames, truth, mask)
    assert (error.total, error.count) == (pytest.approx(900 * 3), 6)
    assert metrics.psnr(frames, truth, ~mask) == metrics.PSNR_CEILING
    assert math.isnan(metrics.psnr(frames, truth, torch.zeros_like(mask)))


def test_squared_errors_pool():
    a, b = metrics.SquaredError(10.0, 5), metrics.SquaredError(20.0, 5)
    assert (a + b).psnr == pytest.approx(10 * math.log10(255**2 / 3))


def test_shapes_that_differ_are_refused():
    with pytest.raises(ValueError, match="expected frames shaped like truth"):
        metrics.psnr(torch.zeros(1, 4, 4, 3), torch.zeros(1, 4, 5, 3))


def test_ssim_against_a_plain_loop():
    x, y = noise(1, 13, 14, 3), noise(1, 13, 14, 3, seed=1)
    window = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    window = np.outer(window, window) / np.outer(window, window).sum()
    scores = []
    for channel in range(3):
        a, b = x[0, :, :, channel].double().numpy(), y[0, :, :, channel].double().numpy()
        for row in range(3):
            for column in range(4):
                p, q = a[row : row + 11, column : column + 11], b[row : row + 11, column : column + 11]
                mean_p, mean_q = (window * p).sum(), (window * q).sum()
                var_p, var_q = (window * (p - mean_p) ** 2).sum(), (window * (q - mean_q) ** 2).sum()
                cov = (window * (p - mean_p) * (q - mean_q)).sum()
                scores.append(
                    (2 * mean_p * mean_q + 1e-4)
                    * (2 * cov + 9e-4)
                    / ((mean_p**2 + mean_q**2 + 1e-4) * (var_p + var_q + 9e-4))
                )
    assert metrics.ssim(x, y) == pytest.approx(np.mean(scores), abs=1e-9)
    assert metrics.ssim(x, x) == pytest.approx(1.0)


def test_ssim_agrees_with_kornia_inside():
    kornia_metrics = pytest.importorskip("kornia.metrics")
    x, y = noise(2, 32, 40, 3), noise(2, 32, 40, 3, seed=1)
    both = [v.permute(0, 3, 1, 2) for v in (x, y)]
    theirs = kornia_metrics.ssim(*both, 11)[:, :, 5:-5, 5:-5].mean()
    assert metrics.ssim(x, y) == pytest.approx(float(theirs), abs=1e-5)


def test_gradient_energy_of_a_ramp_and_of_blur():
    ramp = (torch.arange(8.0) / 10)[None, None, :, None].expand(1, 6, 8, 3)
    assert metrics.gradient_energy(ramp) == pytest.approx(0.01)
    sharp = noise(2, 16, 16, 3)
    blurred = torch.nn.functional.avg_pool2d(sharp.permute(0, 3, 1, 2), 3, 1, 1).permute(0, 2, 3, 1)
    assert metrics.gradient_energy_ratio(blurred, sharp) < 0.6
    assert metrics.gradient_energy_ratio(sharp, sharp) == 1


def test_a_frozen_rollout_is_flagged():
    truth = noise(6, 8, 8, 3)
    frozen = truth[:1].expand(6, -1, -1, -1)
    assert metrics.motion_ratio(frozen, truth) == 0
    assert not metrics.moves_like_truth(metrics.motion_ratio(frozen, truth))
    assert metrics.moves_like_truth(metrics.motion_ratio(truth, truth))
    assert math.isnan(metrics.motion_ratio(truth, frozen))


def test_frechet_distance_of_known_gaussians():
    generator = np.random.default_rng(0)
    a = generator.normal(size=(200_000, 2))
    b = generator.normal(size=(200_000, 2)) * [2, 1] + [3, 0]
    assert drift.frechet_distance(a, b) == pytest.approx(9 + (2 - 1) ** 2, rel=0.02)
    assert drift.frechet_distance(a, a) == pytest.approx(0, abs=1e-6)


def test_random_features_are_a_fixed_function():
    frames = noise(5, 16, 16, 3)
    features = drift.random_features(frames)
    assert features.shape == (2 * 4, 24)
    drift._network.cache_clear()
    assert np.array_equal(drift.random_features(frames), features)


def test_drift_is_seen_in_frames_that_turn_to_noise():
    truth = torch.nn.functional.avg_pool2d(noise(3, 40, 32, 32), 7, 1, 3).permute(1, 2, 3, 0)
    level = torch.linspace(0.02, 0.4, 40)[:, None, None, None]
    grain = torch.randn(truth.shape, generator=torch.Generator().manual_seed(1))
    drifting, steady = (truth + level * grain).clamp(0, 1), truth + 0.02 * grain
    assert drift.drift_ratio(drifting, truth) > 2
    assert drift.drift_ratio(steady, truth) < 2
    with pytest.raises(ValueError, match="longer rollout"):
        drift.drift_ratio(truth[:20], truth[:20])
