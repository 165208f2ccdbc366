import pytest
import torch

from hybridwm.core import flow
from hybridwm.core.sampler import CONTEXT, euler, level_of, noise, step_down


def test_mix_and_velocity_are_one_line():
    g = torch.Generator().manual_seed(0)
    clean, eps = (torch.randn(2, 3, 1, 4, 4, generator=g) for _ in range(2))
    t = torch.rand(2, 3, generator=g) * 0.9 + 0.1
    noisy = flow.mix(clean, eps, t)
    assert torch.allclose(flow.velocity(noisy, clean, t), eps - clean, atol=1e-4)
    assert torch.equal(flow.mix(clean, eps, torch.zeros(2, 3)), clean)


def test_each_frame_has_its_own_level():
    g = torch.Generator().manual_seed(0)
    t = flow.target_times((64, 8), g)
    assert t.min() > 0 and t.max() <= 1
    assert 0.2 < (t == 1).float().mean() < 0.3
    assert (t[:, 0] != t[:, 1]).float().mean() > 0.8
    c = flow.context_times((64, 8), g)
    assert c.median() < 0.1 and c.max() > 0.5


def test_a_shortcut_is_two_steps_of_half_the_size():
    """Against the two Euler steps themselves; the level is passed on, one finer."""
    g = torch.Generator().manual_seed(2)
    noisy = torch.randn(2, 3, 1, 4, 4, generator=g)
    t = torch.tensor([[1.0, 0.5, 0.75], [1.0, 0.5, 0.25]])
    level = torch.tensor([[1, 1, 2], [0, 1, 2]])

    def denoise(x, t, level):
        return 0.3 * x + t[..., None, None, None] + 0.1 * level[..., None, None, None]

    target = flow.shortcut_target(denoise, noisy, t, level)
    half = 0.5 ** (level + 1.0)
    midway = step_down(noisy, denoise(noisy, t, level + 1), t, t - half)
    end = midway - half[..., None, None, None] * flow.velocity(midway, denoise(midway, t - half, level + 1), t - half)
    one = noisy - 2 * half[..., None, None, None] * flow.velocity(noisy, target, t)
    assert torch.allclose(one, end, atol=1e-5)


def test_with_a_perfect_denoiser_the_shortcut_target_is_the_truth():
    g = torch.Generator().manual_seed(3)
    clean, eps = (torch.randn(1, 2, 1, 4, 4, generator=g) for _ in range(2))
    t = torch.tensor([[1.0, 0.5]])
    target = flow.shortcut_target(lambda *_: clean, flow.mix(clean, eps, t), t, torch.tensor([[0, 1]]))
    assert torch.allclose(target, clean, atol=1e-5)


def test_shortcut_times_lie_on_the_grid_of_their_level():
    t, level = flow.shortcut_times((500, 4), 6, torch.Generator().manual_seed(0))
    assert level.min() == 0 and level.max() == 4
    n = t * 2.0**level
    assert torch.equal(n, n.round()) and n.min() >= 1 and t.max() == 1
    assert (level == level[:, :1]).all() and 0.5 < (t == 1).float().mean() < 0.8


@pytest.mark.parametrize(("steps", "level"), [(1, 0), (2, 1), (4, 2), (16, 4), (3, 5), (32, 5), (64, 5)])
def test_levels_of_a_sampler(steps, level):
    """Powers of two have a level of their own; others, and steps finer than the last level's, take the flow's."""
    assert level_of(steps, 6) == level


def test_loss_weighs_by_the_square_of_time_down_to_a_half():
    clean = torch.zeros(1, 3, 1, 2, 2)
    predicted = torch.ones_like(clean)
    total, error = flow.loss(predicted, clean, torch.tensor([[1.0, 0.5, 0.01]]))
    assert torch.equal(error, torch.ones(1, 3))
    assert total.item() == pytest.approx((1 + 4 + 4) / 3)


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_euler_lands_on_the_clean_frame(steps):
    """With a perfect denoiser every number of steps gives the clean frame, and each step sees the right noise level."""
    g = torch.Generator().manual_seed(1)
    clean, eps = (torch.randn(1, 1, 3, 4, 4, generator=g) for _ in range(2))
    seen = []

    def denoise(x, t):
        seen.append(float(t))
        assert torch.allclose(x, flow.mix(clean, eps, t), atol=1e-5)
        return clean

    assert torch.equal(euler(denoise, eps, steps), clean)
    assert seen == pytest.approx([1 - i / steps for i in range(steps)])


def test_euler_refuses_no_steps():
    with pytest.raises(ValueError, match="solver_steps >= 1; got 0"):
        euler(lambda x, t: x, torch.zeros(1, 1, 3, 2, 2), 0)


def test_noise_is_a_function_of_seed_step_and_solver_step():
    shape = (2, 5)
    base = noise(3, 7, 0, shape)
    assert torch.equal(base, noise(3, 7, 0, shape))
    others = [
        noise(4, 7, 0, shape),
        noise(3, 8, 0, shape),
        noise(3, 7, 1, shape),
        noise(3, 7, CONTEXT, shape),
        noise(7, 3, 0, shape),
    ]
    assert all(not torch.equal(base, other) for other in others)
