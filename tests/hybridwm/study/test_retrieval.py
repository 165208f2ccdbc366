"""Retrieval finds the right view through blur and noise; shuffled images and palettes stay at chance."""

import pytest
import torch

from hybridwm.study import retrieval


def scenes(seed: int, count: int = 16) -> torch.Tensor:
    """Views that share one palette and differ in where it is: blocks of four colours."""
    generator = torch.Generator().manual_seed(seed)
    colours = torch.rand(4, 3, generator=generator)
    layout = torch.stack([torch.randperm(64, generator=generator) % 4 for _ in range(count)])
    return colours[layout.reshape(count, 8, 8)].repeat_interleave(4, 1).repeat_interleave(4, 2)


def share(query, trials: int = 160) -> float:
    return sum(retrieval.retrieved(query(scenes(seed), seed)) for seed in range(trials)) / trials


def test_a_noisy_shifted_copy_is_retrieved():
    def query(candidates, seed):
        grain = torch.randn(candidates[0].shape, generator=torch.Generator().manual_seed(seed))
        noisy = candidates[0] + 0.1 * grain
        return retrieval.view_distances(noisy.roll(1, dims=1), candidates)

    assert share(query) > 0.97


def test_shuffled_images_are_retrieved_by_chance():
    def query(candidates, seed):
        order = torch.randperm(16, generator=torch.Generator().manual_seed(seed))
        return retrieval.view_distances(candidates[order[0]], candidates)

    assert share(query) == pytest.approx(1 / 16, abs=0.05)


def test_the_palette_does_not_tell_scenes_apart_that_share_it():
    def query(candidates, seed):
        shown = scenes(seed, count=20)[16:]  # other views of the same palette
        return retrieval.palette_distances(shown, candidates)

    assert share(query) <= 0.15


def test_the_palette_tells_scenes_apart_that_do_not_share_it():
    def query(candidates, seed):
        mixed = torch.cat([scenes(seed, 1), *(scenes(1000 + seed * 16 + i, 1) for i in range(15))])
        return retrieval.palette_distances(scenes(seed, 3)[1:], mixed)

    assert share(query, 40) > 0.9


def test_palettes_sum_to_one():
    assert torch.allclose(retrieval.palette(scenes(0)).sum(1), torch.ones(16))


def test_ties_share_the_credit():
    assert retrieval.retrieved(torch.tensor([1.0, 1.0, 2.0])) == 0.5
    assert retrieval.retrieved(torch.tensor([1.0, 0.5])) == 0
    with pytest.raises(ValueError, match="index"):
        retrieval.retrieved(torch.tensor([1.0]), right=3)
