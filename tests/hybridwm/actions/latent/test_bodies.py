"""Maps between actions and codes: exact where codes are linear, heedful of noise, undone exactly."""

import pytest
import torch

from hybridwm.actions.latent.bodies import fit_map


def made(noise, count=80, seed=0):
    stream = torch.Generator().manual_seed(seed)
    actions = torch.randn(count, 3, generator=stream)
    mixing = torch.randn(3, 6, generator=stream)
    codes = actions @ mixing + torch.randn(count, 6, generator=stream) * noise
    return actions, codes, mixing


def test_a_linear_space_is_found_exactly():
    actions, codes, mixing = made(torch.zeros(6))
    mapped = fit_map(actions, codes)
    assert torch.allclose(mapped.encoder, mixing, atol=1e-4)
    assert torch.allclose(mapped.decode(codes), actions, atol=1e-3)


def test_decoding_undoes_encoding_and_trusts_what_is_without_noise():
    noise = torch.tensor([0.01, 0.01, 0.01, 3.0, 3.0, 3.0])
    actions, codes, _ = made(noise)
    mapped = fit_map(actions, codes)
    assert torch.allclose(mapped.encoder @ mapped.decoder, torch.eye(3), atol=1e-4)
    fresh, told, _ = made(noise)
    wrong = (mapped.decode(told) - fresh).norm() / fresh.norm()
    plain = (told @ torch.linalg.pinv(mapped.encoder) - fresh).norm() / fresh.norm()
    assert wrong < 0.1 < plain  # the control: a decoder that trusts every number alike


def test_nothing_is_the_code_of_nothing():
    mapped = fit_map(*made(torch.full((6,), 0.1))[:2])
    assert mapped.encode(torch.zeros(3)).abs().max() == 0


@pytest.mark.parametrize("count", [2, 3])
def test_too_few_pairs_are_refused(count):
    actions, codes, _ = made(torch.zeros(6), count)
    with pytest.raises(ValueError, match="fit_map: expected as many actions as codes"):
        fit_map(actions, codes)


def test_a_motion_that_is_never_shown_is_refused():
    actions, codes, _ = made(torch.zeros(6))
    actions[:, 1] = 0
    with pytest.raises(ValueError, match="every kind of motion"):
        fit_map(actions, codes)
