import pytest
import torch

from hybridwm.bench.scenes import BALLS, ROOM, room_camera, room_splats
from render import rasterize
from render.transforms import matrix_from_quats


@pytest.mark.parametrize(("count", "views", "expected"), [(1, 1, 1), (1000, 1, 961), (1000, 4, 900), (99, 3, 75)])
def test_as_many_as_squares_hold(count, views, expected):
    assert len(room_splats(count, views=views)) == expected


def test_too_few_for_the_views_is_refused():
    with pytest.raises(ValueError, match="at least one view and one splat a view; got 3 in 4 views"):
        room_splats(3, views=4)


def test_they_lie_on_the_walls_or_on_the_balls():
    means = room_splats(5000, views=3).means
    low, high = (torch.tensor(corner) for corner in ROOM)
    to_wall = torch.minimum((means - low).abs(), (high - means).abs()).min(dim=-1).values
    balls = torch.tensor(BALLS)
    to_ball = ((means[:, None] - balls[:, :3]).norm(dim=-1) - balls[:, 3]).abs().min(dim=-1).values
    assert torch.minimum(to_wall, to_ball).max() < 1e-5
    assert (to_wall < 1e-5).any()
    assert (to_ball < 1e-5).any()
    assert (means >= low - 1e-5).all()
    assert (means <= high + 1e-5).all()


def test_the_thin_axis_is_the_surface_s_normal():
    splats = room_splats(900)
    thin = matrix_from_quats(splats.quats)[..., 2]
    left = splats.means[:, 0] < ROOM[0][0] + 1e-4
    assert left.any()
    assert torch.allclose(thin[left].abs(), torch.tensor([1.0, 0.0, 0.0]).expand(int(left.sum()), 3), atol=1e-5)
    assert (splats.scales.argmin(dim=-1) == 2).all()


def test_the_seed_changes_colours_and_the_shuffle_only():
    one, other = room_splats(400, seed=0), room_splats(400, seed=1)
    assert torch.equal(one.means, other.means)
    assert not torch.equal(one.sh, other.sh)
    assert torch.equal(one.sh, room_splats(400, seed=0).sh)
    mixed = room_splats(400, shuffled=True)
    assert not torch.equal(mixed.means, one.means)
    assert torch.equal(mixed.means.sort(dim=0).values, one.means.sort(dim=0).values)


@pytest.mark.parametrize("k", [-1.5, 0.0, 1.5])
def test_the_camera_sees_walls_everywhere(k):
    output = rasterize(room_splats(10_000, views=2), room_camera(48, 32, k), backend="torch")
    # The lifting cameras are square; what lies beyond their edges is empty.
    assert (output.alpha > 0.9).float().mean() > 0.85
    assert output.depth.max() < 7
