"""Walks that come back end where they say, at the distance they say, and never touch anything."""

import pytest
import torch

from hybridwm.study import visibility
from hybridwm.study.episodes import Episode
from hybridwm.study.returns import AWAY, OBSERVED, RETURNS
from hybridwm.study.trajectories import out_and_back
from hybridwm.study.walks import centers, ground_track
from hybridwm.worlds.rooms.collision import is_free
from hybridwm.worlds.rooms.layout import make_room, stack_rooms
from hybridwm.worlds.rooms.rig import RoomsRig

SMALL = RoomsRig(size=16)
SEED = 9_000_103


@pytest.fixture(scope="module")
def walks() -> dict[str, Episode]:
    return {name: walk(SEED, 28, SMALL) for name, walk in RETURNS.items()}


def cameras(episode: Episode) -> torch.Tensor:
    return torch.stack([*(view.camera.w2c for view in episode.views), *(c.w2c for c in episode.cameras)])


def nearest_same_heading(episode: Episode) -> float:
    """Metres from any camera of the second half to the nearest earlier one of its heading."""
    w2c = cameras(episode)
    first = OBSERVED + len(episode.cameras) // 2
    place, heading = centers(w2c), w2c[:, 2, :3]
    away = (place[first:, None] - place[None, :first]).norm(dim=-1)
    return float(away[(heading[first:] @ heading[:first].T) > 0.999].min())


@pytest.mark.parametrize("name", RETURNS)
def test_all_begin_alike_and_touch_nothing(walks, name):
    episode = walks[name]
    assert len(episode.views) == OBSERVED and len(episode.cameras) == len(episode.truth) == 28
    assert int((episode.start_actions[:, 1] != 0).sum()) == 2  # two steps aside: parallax for multiview
    way = centers(cameras(episode))
    assert bool(is_free(stack_rooms([make_room(SEED)]), way[None], 0.39).all())
    actions = torch.cat([episode.start_actions, episode.actions])
    track = ground_track(cameras(episode)[0], actions)
    assert torch.allclose(track, way, atol=1e-3)  # the planner's shortcut knows where the walker comes to


def test_the_same_seed_is_the_same_walk(walks):
    again = RETURNS["orbit"](SEED, 28, SMALL)
    assert torch.equal(again.truth, walks["orbit"].truth)
    assert not torch.equal(cameras(RETURNS["orbit"](SEED + 1, 28, SMALL)), cameras(again))


@pytest.mark.parametrize("steps", [27, 28])
def test_a_shifted_return_meets_no_stored_camera(steps):
    for seed in range(SEED, SEED + 4):
        episode = RETURNS["shifted_return"](seed, steps, SMALL)
        assert nearest_same_heading(episode) > 0.149
        w2c = cameras(episode)
        home = w2c[OBSERVED - 1 if steps % 2 else OBSERVED]
        assert torch.allclose(w2c[-1, :3, :3], home[:3, :3], atol=1e-3)
        shift = (w2c[-1] - home)[:3, 3]
        assert 0.15 <= float(shift.norm()) <= 0.4 and abs(float(shift[0])) >= 0.149  # mostly along the camera's x
    assert nearest_same_heading(out_and_back(SEED, 14, SMALL)) < 1e-3  # the control comes back to the very same


def test_one_leaves_what_was_observed_and_comes_home(walks):
    episode = walks["leave_wait_return"]
    depths, seen_by = [view.depth for view in episode.views], [view.camera for view in episode.views]
    seen = [
        float(visibility.seen_before(depth, camera, depths, seen_by).float().mean())
        for depth, camera in zip(episode.depth, episode.cameras, strict=True)
    ]
    assert max(seen[AWAY - 1 : -AWAY]) < 0.05 and seen[-1] > 0.99
    assert torch.allclose(episode.truth[-1], episode.views[-1].image, atol=0.02)
    turns = (episode.actions[AWAY:-AWAY, 2] != 0).float().mean()
    assert 0.1 < float(turns) < 0.9  # it stays, and turns a little
    long = RETURNS["leave_wait_return"](SEED, 76, SMALL)
    assert torch.allclose(cameras(long)[-1], cameras(long)[OBSERVED - 1], atol=1e-3)


def test_full_turn_and_square_come_home(walks):
    turn, square = cameras(walks["full_turn"]), cameras(walks["square_loop"])
    assert torch.allclose(turn[OBSERVED - 1 + 24], turn[OBSERVED - 1], atol=1e-3)
    assert torch.allclose(square[OBSERVED - 1 + 28], square[OBSERVED - 1], atol=1e-3)
    longer = centers(cameras(RETURNS["square_loop"](SEED, 48, SMALL)))[OBSERVED:]
    assert float((longer.amax(0) - longer.amin(0))[:2].norm()) > 1.0


def test_an_orbit_keeps_a_point_in_view(walks):
    w2c = cameras(walks["orbit"])[OBSERVED:]
    rays, place = w2c[:, 2, :2], centers(w2c)[:, :2]
    normals = torch.stack([-rays[:, 1], rays[:, 0]], 1)
    point = torch.linalg.lstsq(normals, (normals * place).sum(1, keepdim=True)).solution[:, 0]
    ahead = point - place
    cosine = (ahead * rays).sum(1) / ahead.norm(dim=1)
    assert bool((cosine > 0.95).all()) and float(ahead.norm(dim=1).std()) < 0.2


def test_an_orbit_fits_into_a_narrow_room():
    assert len(RETURNS["orbit"](9_000_101, 48, SMALL).cameras) == 48


def test_mirrored_cameras_pair():
    for seed in range(SEED, SEED + 3):
        w2c = cameras(RETURNS["mirrored"](seed, 60, SMALL))[OBSERVED:]
        assert torch.allclose(w2c, w2c.flip(0), atol=1e-3)
    with pytest.raises(ValueError, match="even number"):
        RETURNS["mirrored"](SEED, 27, SMALL)
    with pytest.raises(ValueError, match="at least 6 steps"):
        RETURNS["shifted_return"](SEED, 4, SMALL)
