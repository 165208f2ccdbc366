"""Walks of Doom and the arm for the study: cut where they should be, home again, and fair to those who cannot know."""

import numpy as np
import pytest
import torch

from hybridwm.study.retrieval import CANDIDATES, palette_distances
from hybridwm.study.world_episodes import cut, recorded_depth, seen_from, world_walks
from hybridwm.worlds.episodes import Episode
from render import Camera

SEED, SIZE = 9_000_003, 16


def recorded(frames=10, depth=True):
    rgb = torch.arange(frames, dtype=torch.uint8)[:, None, None, None].expand(frames, 4, 6, 3).contiguous()
    w2c = torch.eye(4).repeat(frames, 1, 1)
    w2c[:, 2, 3] = torch.arange(frames)
    K = torch.tensor([[5.0, 0, 3], [0, 5.0, 2], [0, 0, 1]])
    actions = torch.arange(frames - 1).float()[:, None].expand(-1, 5)
    names = ("a", "b", "c", "d", "e")
    far = w2c[:, 2, 3, None, None].expand(frames, 4, 6).contiguous() if depth else None
    return Episode(rgb, w2c, K, actions, depth=far, action_names=names)


def test_a_cut_keeps_actions_between_the_right_frames():
    moving = torch.zeros(10, 4, 6, dtype=torch.bool)
    moving[7] = True
    part = cut(recorded(), 2, 3, 4, moving)
    assert [round(float(view.image[0, 0, 0]) * 255) for view in part.views] == [2, 3, 4]
    assert part.start_actions[:, 0].tolist() == [2, 3] and part.actions[:, 0].tolist() == [4, 5, 6, 7]
    assert (part.truth[:, 0, 0, 0] * 255).round().tolist() == [5, 6, 7, 8]
    assert part.moving is not None and part.moving.flatten(1).any(1).tolist() == [False, False, True, False]
    assert float(part.oracle(part.cameras[1]).mean()) == 6 and float(part.oracle(part.views[0].camera).mean()) == 2
    assert part.first(3).moving.shape[0] == 3


def test_an_oracle_knows_its_own_cameras_only():
    K = torch.eye(3)
    cameras = [Camera(K, torch.eye(4), 6, 4)]
    other = torch.eye(4)
    other[0, 3] = 0.01
    oracle = recorded_depth(cameras, torch.ones(1, 4, 6))
    assert float(oracle(cameras[0]).mean()) == 1
    with pytest.raises(ValueError, match="whose depth was recorded; got another"):
        oracle(Camera(K, other, 6, 4))


@pytest.mark.parametrize(("first", "views", "steps"), [(0, 8, 3), (-1, 2, 2), (0, 0, 2)])
def test_a_cut_that_does_not_fit_is_refused(first, views, steps):
    with pytest.raises(ValueError, match="within 10 frames"):
        cut(recorded(), first, views, steps)


def test_what_has_no_depth_or_is_no_world_is_refused():
    with pytest.raises(ValueError, match="cameras and depth"):
        cut(recorded(depth=False), 0, 2, 2)
    with pytest.raises(ValueError, match="expected doom or arm"):
        world_walks("rooms")


@pytest.fixture(scope="module", params=["doom", "arm"])
def world(request):
    if request.param == "doom":
        pytest.importorskip("vizdoom", reason="vizdoom is not installed: pip install 'hybridwm[doom]'")
    else:
        pytest.importorskip("mujoco", reason="mujoco is not installed: pip install 'hybridwm[arm]'")
        from hybridwm.worlds.arm.env import ArmEnv

        try:
            ArmEnv(8).close()
        except RuntimeError as error:
            pytest.skip(str(error))
    return request.param


def test_out_and_back_comes_home_and_sees_what_is_new(world):
    from hybridwm.study.measure_worlds import seen_pixels

    episode = world_walks(world).out_and_back(SEED, 14, SIZE)
    assert len(episode.views) == 9 and len(episode.actions) == len(episode.cameras) == 28
    assert float((episode.cameras[-1].center - episode.views[-1].camera.center).norm()) < 0.03
    seen = seen_pixels(episode)
    still = torch.ones_like(seen) if episode.moving is None else ~episode.moving
    assert seen[-1][still[-1]].float().mean() > 0.9
    assert 0.05 < seen[13][still[13]].float().mean() < 0.95  # the far end shows both
    assert torch.equal(episode.oracle(episode.cameras[5]), episode.depth[5])


def test_a_stare_ends_on_what_was_seen_before_and_on_nothing_in_view(world):
    test = world_walks(world).stare(SEED, 8, SIZE)
    episode, still = test.episode, test.shown
    assert test.candidates.shape == (CANDIDATES, SIZE, SIZE, 3)
    assert torch.equal(test.candidates[0], episode.truth[-1])
    assert len(still) == 8 and float((still - still[0]).abs().mean()) < 0.02  # standing still
    others = (test.candidates[1:] - test.candidates[0]).abs().mean((1, 2, 3))
    assert float(others.min()) > 0.01  # no candidate is the right one again
    nearest = min(float((view.image - episode.truth[-1]).abs().mean()) for view in episode.views)
    assert nearest < 0.5 * float((still[-1] - episode.truth[-1]).abs().mean())  # it was seen, but not just now
    again = world_walks(world).stare(SEED, 8, SIZE)
    assert torch.equal(again.candidates, test.candidates)
    assert all(torch.equal(a.camera.w2c, b.camera.w2c) for a, b in zip(test.wrong, episode.views, strict=True))
    different = [float((a.image - b.image).abs().mean()) for a, b in zip(test.wrong, episode.views, strict=True)]
    assert np.mean(different) > 0.02


def test_dooms_distractors_are_painted_like_the_right_view():
    """They differ from what was in view by as much as it does: the palette tells nothing."""
    pytest.importorskip("vizdoom", reason="vizdoom is not installed: pip install 'hybridwm[doom]'")
    test = world_walks("doom").stare(SEED, 8, SIZE)
    away = palette_distances(test.shown, test.candidates)
    spread = palette_distances(test.shown, torch.rand(200, SIZE, SIZE, 3)).max()
    assert float((away - away[0]).abs().median()) < 0.3 * float(spread)


def test_a_wrong_memory_has_the_pictures_of_one_and_the_cameras_of_the_other():
    one, other = recorded(4).views(), recorded(8).views()[4:]
    wrong = seen_from(one, [view.camera for view in other])
    assert torch.equal(wrong[2].image, one[2].image) and torch.equal(wrong[2].camera.w2c, other[2].camera.w2c)
