"""Action following and timing: known shifts, an off-by-one loader, a model that ignores its actions."""

import numpy as np
import pytest
import torch

from hybridwm.study import following


def panorama(seed: int = 0) -> torch.Tensor:
    values = torch.rand(1, 3, 8, 60, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(values, (32, 240), mode="bicubic")[0].permute(1, 2, 0).clamp(0, 1)


def look(headings: np.ndarray, width: int = 48) -> torch.Tensor:
    """A cylinder seen from inside: turning left by n pixels moves the content right by n."""
    image = panorama()
    return torch.stack([image[:, 100 - int(h) : 100 - int(h) + width] for h in headings])


@pytest.mark.parametrize("shift", [-11, -4, 0, 3, 10])
def test_horizontal_shift_is_measured(shift: int):
    before, after = look(np.array([0, shift]))
    assert following.horizontal_shift(before, after) == shift


def test_the_lag_is_zero_and_one_for_a_loader_that_is_off_by_one():
    yaw = np.random.default_rng(3).choice([-8.0, 0.0, 8.0], size=30)
    frames = look(np.clip(np.concatenate([[0], np.cumsum(yaw)]), -90, 90))
    flow = following.measured_flow(frames)
    assert following.best_lag(yaw, flow) == 0
    assert following.best_lag(yaw[1:], flow[:-1]) == 1  # action t + 1 read beside frame t
    assert following.best_lag(yaw[:-1], flow[1:]) == -1


def test_a_rollout_that_does_not_follow_has_no_lag():
    generator = np.random.default_rng(0)
    assert following.best_lag(generator.normal(size=12), np.zeros(12)) is None
    assert following.best_lag(generator.normal(size=4000), generator.normal(size=4000)) is None
    with pytest.raises(ValueError, match="longer rollout"):
        following.best_lag(np.zeros(4), np.zeros(4))


def test_action_following_counts():
    true, wrong = np.array([1.0, 1.0, 1.0, 2.0, np.nan]), np.array([2.0, 3.0, 1.0, 1.0, 5.0])
    assert following.action_following(true, wrong) == pytest.approx((2 + 0.5) / 4)
    same = np.random.default_rng(0).random(50)
    assert following.action_following(same, same) == 0.5  # a model that ignores its actions
    shuffled = np.random.default_rng(1).random((2, 4000))
    assert following.action_following(*shuffled) == pytest.approx(0.5, abs=0.03)


def test_salient_error_looks_only_where_the_truth_changes():
    last = torch.zeros(4, 4, 3)
    truth = last.clone()
    truth[0, 0] = 0.5
    frame = torch.ones(4, 4, 3)
    frame[0, 0] = 0.4
    assert following.salient_error(frame, truth, last) == pytest.approx(0.01, rel=1e-4)
    assert np.isnan(following.salient_error(frame, last, last))


def test_mirrored_actions_undo_each_other():
    actions = torch.tensor([[0.25, 0.0, 0.0, 0.0], [0.0, 0.0, 0.26, -0.26]])
    assert torch.equal(actions + following.mirrored(actions), torch.zeros_like(actions))
    assert following.is_no_op(torch.zeros(3, 4)) and not following.is_no_op(actions)
