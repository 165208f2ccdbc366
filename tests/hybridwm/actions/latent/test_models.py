"""Matching finds motion whatever the colours; a code is followed as motion: none for none, twice for twice."""

import pytest
import torch

from hybridwm.actions.latent.config import SIDE, LatentConfig
from hybridwm.actions.latent.forward import ForwardModel, _grid, followed
from hybridwm.actions.latent.inverse import InverseModel, divergence, drawn, rounded
from hybridwm.actions.latent.matching import REACH, matched, small


@pytest.fixture
def frames():
    return torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("x", "y"), [(3, 0), (0, -2), (-4, 1)])
def test_parts_are_found_where_they_were(frames, x, y):
    moved = frames.roll((y, x), (2, 3))  # content goes x to the right: it was x to the left
    found = matched(frames, moved)[:, :2, 2:-2, 2:-2] * REACH
    assert torch.allclose(found, torch.tensor([-float(x), -float(y)])[None, :, None, None].expand_as(found), atol=0.05)


def test_matching_does_not_see_colours(frames):
    moved = frames.roll(2, 3)
    assert torch.allclose(matched(frames, moved), matched(1 - frames[:, [2, 0, 1]], 1 - moved[:, [2, 0, 1]]), atol=1e-4)
    assert not torch.allclose(matched(frames, moved), matched(frames, moved.roll(3, 3)), atol=0.1)


def test_frames_of_any_size_become_small():
    wide = torch.rand(1, 48, 96, 3)
    assert small(wide).shape == (1, 3, SIDE, SIDE)
    assert torch.allclose(small(torch.full((1, 40, 56, 3), 0.25)), torch.tensor(0.25))


def test_nothing_done_moves_nothing(frames):
    model = ForwardModel(LatentConfig(dim=4, channels=8))
    nothing, something = (model(frames, torch.full((2, 4), code)) for code in (0.0, 3.0))
    assert nothing.flow.abs().max() == 0
    assert torch.allclose(nothing.moved, frames, atol=1e-5)
    assert something.flow.abs().max() > 1e-3


def test_a_field_is_followed_and_not_added_up():
    """A quarter turn about the middle of the image goes round, where the field itself goes straight."""
    grid = _grid()
    x, y = grid[0].unbind(-1)
    quarter = torch.pi / 2 * torch.stack([-y, x])[None]
    whence = grid + followed(quarter, grid, 7).movedim(1, -1)
    true = torch.stack([y, -x], -1)[None]  # backwards
    inside = torch.hypot(x, y) < 0.8
    assert (whence - true)[0][inside].norm(dim=-1).max() < 0.03
    assert (grid - quarter.movedim(1, -1) - true)[0][inside].norm(dim=-1).max() > 0.3  # the control


def test_twice_the_code_is_the_motion_twice():
    grid = _grid()
    field = 0.1 * torch.randn(1, 2, 3, 3, generator=torch.Generator().manual_seed(1))
    field = torch.nn.functional.interpolate(field, SIDE, mode="bicubic", align_corners=False)
    once, twice = followed(field, grid, 4), followed(2 * field, grid, 5)
    again = once + torch.nn.functional.grid_sample(
        once, grid + once.movedim(1, -1), padding_mode="border", align_corners=False
    )
    assert torch.allclose(twice, again, atol=1e-5)


def test_a_code_is_a_bell_and_tells_few_nats(frames):
    model = InverseModel(LatentConfig(dim=4))
    mean, spread = model(frames, frames, matched(frames, frames))
    assert mean.shape == spread.shape == (2, 4)
    assert torch.equal(drawn(mean, spread, torch.zeros(2, 4)), mean)
    assert torch.allclose(divergence(torch.zeros(2, 4), torch.zeros(2, 4)), torch.zeros(2))
    assert divergence(torch.ones(2, 4), torch.full((2, 4), -4.0)).min() > 5


def test_rounding_takes_away_what_noise_hid():
    grid = torch.tensor([0.5, 0.9, 0.0])
    codes = torch.tensor([[0.7, 0.3, 0.123], [0.8, -0.2, 7.0]])
    assert torch.equal(rounded(codes, grid), torch.tensor([[0.5, 0.0, 0.123], [1.0, 0.0, 7.0]]))


@pytest.mark.parametrize("wrong", [{"dim": 0}, {"squarings": 9}, {"channels": 2}])
def test_sizes_that_make_no_model_are_refused(wrong):
    with pytest.raises(ValueError, match="LatentConfig: expected"):
        LatentConfig(**wrong)
