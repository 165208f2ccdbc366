"""Walks begin as they should, come back where they were, and never touch anything."""

import pytest
import torch

from hybridwm.study import trajectories, visibility
from hybridwm.worlds.rooms.collision import is_free
from hybridwm.worlds.rooms.layout import make_room, stack_rooms
from hybridwm.worlds.rooms.rig import RoomsRig

SMALL = RoomsRig(size=16)
SEED = 10_000_003


@pytest.fixture(scope="module")
def there_and_back() -> trajectories.Episode:
    return trajectories.out_and_back(SEED, 14, SMALL)


def centers(episode: trajectories.Episode) -> torch.Tensor:
    cameras = [*(view.camera for view in episode.views), *episode.cameras]
    return torch.stack([camera.center for camera in cameras])


def test_the_second_half_mirrors_the_first(there_and_back):
    path = torch.stack([there_and_back.views[-1].camera.w2c, *(c.w2c for c in there_and_back.cameras)])
    assert torch.allclose(path, path.flip(0), atol=1e-5)
    assert torch.allclose(there_and_back.truth[-1], there_and_back.views[-1].image, atol=1e-3)
    assert len(there_and_back.actions) == len(there_and_back.cameras) == 28


def test_it_sees_known_and_unknown_ground(there_and_back):
    episode = there_and_back
    depths, cameras = [view.depth for view in episode.views], [view.camera for view in episode.views]
    seen = torch.stack([
        visibility.seen_before(depth, camera, depths, cameras)
        for depth, camera in zip(episode.depth, episode.cameras, strict=True)
    ])  # fmt: skip
    assert seen[-1].float().mean() > 0.99  # home again: all of it was seen
    assert 0.1 < seen[13].float().mean() < 0.95  # the far end shows both


def test_walks_are_free_and_repeatable(there_and_back):
    rooms = stack_rooms([make_room(SEED)])
    walk = trajectories.random_walk(SEED, 30, SMALL)
    for episode in (there_and_back, walk):
        assert bool(is_free(rooms, centers(episode)[None]).all())
    again = trajectories.random_walk(SEED, 30, SMALL)
    assert torch.equal(walk.truth, again.truth) and torch.equal(walk.start_actions, again.start_actions)


def test_a_random_walk_always_moves():
    walk = trajectories.random_walk(SEED, 60, SMALL)
    assert bool((walk.start_actions.abs().sum(-1) > 0).all())


def test_a_window_keeps_actions_between_the_right_frames():
    walk = trajectories.random_walk(SEED, 30, SMALL)
    part = walk.window(5, 8, 10)
    assert len(part.views) == 8 and len(part.cameras) == 10 and part.start_actions.shape == (7, 4)
    assert torch.equal(part.actions, walk.start_actions[12:22])
    assert torch.equal(part.truth[0], walk.views[13].image)
    assert torch.equal(part.oracle(part.cameras[0]), part.depth[0])
    with pytest.raises(ValueError, match="do record more"):
        walk.window(5, 8, 100)


def test_the_stare_test_hides_the_answer():
    test = trajectories.stare(SEED, 12, SMALL)
    episode = test.episode
    assert len(episode.views) == 24 and len(episode.cameras) == 20 and len(test.candidates) == 16
    assert torch.allclose(test.candidates[0], episode.truth[-1], atol=1e-5)
    distances = (test.candidates[1:] - test.candidates[0]).abs().mean((1, 2, 3))
    assert bool((distances > 0.01).all())  # no distractor is the same view
    forward = [camera.w2c[2, :3] for camera in (episode.views[-1].camera, episode.cameras[-1])]
    assert float(forward[0] @ forward[1]) < 0.3  # another heading than the last one observed
    down = torch.stack([camera.w2c[2, 2] for camera in episode.cameras])
    assert bool((down[3:16] < -0.85).all()) and abs(float(down[-1])) < 1e-4  # at the floor, and up again
    assert not torch.allclose(test.wrong[0].image, episode.views[0].image, atol=0.05)


def test_visibility_knows_occluders():
    from render.camera import Camera

    camera = Camera.from_fov(8, 6, 60.0)
    moved = camera.moved_right(0.5)
    wall = torch.full((6, 8), 3.0)
    near = wall.clone()
    near[:, :4] = 1.0  # something stands before the left half
    assert bool(visibility.seen_before(wall, camera, [wall], [camera]).all())
    assert not bool(visibility.seen_before(wall, camera, [near], [camera])[:, :3].any())
    assert bool(visibility.seen_before(wall, camera, [near], [camera])[:, 5:].all())
    beside = visibility.seen_before(wall, camera, [wall], [moved])
    assert not bool(beside[:, 0].any()) and bool(beside[:, -1].all())  # outside the other view
    unknown = torch.zeros(6, 8)
    assert not bool(visibility.seen_before(unknown, camera, [unknown], [camera]).any())
    with pytest.raises(ValueError, match="one depth for each"):
        visibility.seen_before(wall, camera, [], [camera])
