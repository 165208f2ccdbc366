"""Recall, revisits, MIND's two and copying: what remembers scores, what forgets or replays does not."""

import math

import numpy as np
import pytest
import torch

from hybridwm.study import copying, guards, recall_score, returns, revisits
from hybridwm.study.mirrored_scores import generated_scene_consistency, long_context_memory
from hybridwm.study.trajectories import out_and_back


@pytest.fixture(scope="module")
def walk():
    return out_and_back(9_000_300, 14)


@pytest.fixture(scope="module")
def shifted():
    return returns.shifted_return(9_000_300, 28)


@pytest.fixture(scope="module")
def elsewhere():
    return out_and_back(9_000_301, 14).truth


def observed(episode) -> torch.Tensor:
    return torch.stack([view.image for view in episode.views])


def cameras(episode) -> list:
    return [*(view.camera for view in episode.views), *episode.cameras]


def noisy(frames: torch.Tensor) -> torch.Tensor:
    return (frames + 0.05 * torch.randn(frames.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)


def forgetful(walk, elsewhere) -> torch.Tensor:
    """Another room on the way back."""
    return torch.cat([walk.truth[:14], elsewhere[14:]])


def test_pairs_are_what_they_are_called(walk):
    found, others, short = recall_score.sample_pairs(cameras(walk))
    turn, metres = revisits.apart(cameras(walk), cameras(walk))
    assert len(found) >= 10 and len(others) == len(found) and len(short) == 20
    assert all(turn[i, j] < 0.1 and metres[i, j] < 0.01 for i, j in found)
    assert all(turn[i, j] > 5 or metres[i, j] > 0.2 for i, j in others)
    gaps = [np.diff(pairs)[:, 0].mean() for pairs in (found, others)]
    assert gaps[0] == pytest.approx(gaps[1], rel=0.3)
    again = recall_score.sample_pairs(cameras(walk))
    assert all(np.array_equal(a, b) for a, b in zip((found, others, short), again, strict=True))


def test_recall_of_the_truth_of_forgetting_and_of_freezing(walk, elsewhere):
    def score(frames):
        return recall_score.normalised_recall(torch.cat([observed(walk), frames]), cameras(walk))

    assert score(walk.truth) > 2 and score(noisy(walk.truth)) > 2
    assert abs(score(forgetful(walk, elsewhere))) < 0.7
    still = guards.frozen(walk.views, len(walk.truth))
    assert math.isnan(recall_score.normalised_recall(still, walk.cameras))  # all alike: no range


def test_without_revisits_there_is_no_recall(shifted):
    frames = torch.cat([observed(shifted), shifted.truth])
    assert math.isnan(recall_score.normalised_recall(frames, cameras(shifted)))
    with pytest.raises(ValueError, match="a camera for each"):
        recall_score.normalised_recall(frames, shifted.cameras)


def test_revisits_find_the_same_camera(walk, elsewhere):
    before = revisits.revisited(cameras(walk))
    assert before[-1] == len(walk.views) - 1  # home is the last observed view
    assert int((before >= 0).sum()) == 14 and bool((before[: len(walk.views)] == -1).all())
    true = revisits.revisit_errors(torch.cat([observed(walk), walk.truth]), cameras(walk))
    other = revisits.revisit_errors(torch.cat([observed(walk), forgetful(walk, elsewhere)]), cameras(walk))
    assert true.nanmean() < 1 and other.nanmean() > 1000
    assert torch.equal(true.isnan(), before < 0)


def test_mirrored_scores(elsewhere):
    episode = returns.mirrored(9_000_300, 28)
    assert generated_scene_consistency(episode.truth) < 20
    assert generated_scene_consistency(elsewhere) > 1000  # its cameras do not pair
    assert generated_scene_consistency(guards.frozen(episode.views, 28)) == 0  # hence: never without motion
    assert long_context_memory(episode.truth, episode.truth) == 0
    off = (episode.truth * 0.5).clamp(0, 1)
    assert long_context_memory(off + 0.1, off) == pytest.approx(25.5**2, rel=0.05)
    with pytest.raises(ValueError, match="even number"):
        generated_scene_consistency(episode.truth[1:])
    with pytest.raises(ValueError, match="like the truth"):
        long_context_memory(episode.truth[1:], episode.truth)


@pytest.mark.parametrize("name", ["walk", "shifted"])
def test_replay_is_copying_and_noise_is_not(name, request):
    episode = request.getfixturevalue(name)
    replay = guards.nearest_past_frame(episode.views, episode.cameras)
    share = {
        kind: copying.copied_share(frames, episode.truth, observed(episode))
        for kind, frames in {"truth": episode.truth, "noise": noisy(episode.truth), "replay": replay}.items()
    }
    assert share["replay"] > 0.95 and share["truth"] == share["noise"] == 0
    half = torch.cat([episode.truth[:14], replay[14:]])
    assert 0.35 < copying.copied_share(half, episode.truth, observed(episode)) < 0.65


def test_home_is_no_copy(walk):
    _, told = copying.copied_frames(walk.truth, walk.truth, observed(walk))
    assert not bool(told[-1])  # the true frame is the stored one
    assert math.isnan(copying.copied_share(walk.truth[-1:], walk.truth[-1:], observed(walk)))


def test_a_shifted_return_tells_replay_from_memory(shifted):
    others = torch.cat([observed(shifted), shifted.truth[:-1]])
    right, replay = shifted.truth[-1], guards.nearest_past_frame(shifted.views, shifted.cameras)[-1]
    assert copying.shifted_retrieval(noisy(right[None])[0], right, others) == 1
    assert copying.shifted_retrieval(replay, right, others) == 0
    assert math.isnan(copying.shifted_retrieval(right, right, others[:8]))
