"""Balls and blocks against what can be worked out by hand; energy; batches; and that two runs are the same."""

import math
from dataclasses import replace

import pytest
import torch

from hybridwm.worlds.rooms import make_room, stack_rooms
from hybridwm.worlds.rooms.physics import GRAVITY, Bodies, Pusher, advance, energy, make_bodies

FRAME = 1 / 8


@pytest.fixture(scope="module")
def empty():
    """A room of 6 × 6 × 2.6 m with nothing in it."""
    room = stack_rooms([make_room(900)])
    bare = {name: getattr(room, name)[:, :0] for name in ("boxes", "cylinders", "balls")}
    bare |= {f"{name}_materials": getattr(room, f"{name}_materials")[:, :0] for name in ("box", "cylinder", "ball")}
    return replace(room, size=torch.tensor([[6.0, 6.0, 2.6]]), **bare)


def run(rooms, bodies, frames):
    states = [bodies]
    for _ in range(frames):
        states.append(advance(rooms, states[-1], FRAME)[0])
    return states


def ball(**row):
    return {"position": [0.0, 0.0, 0.2], "velocity": [0.0, 0.0, 0.0], "radius": 0.2} | row


def test_flight_is_exact(empty):
    start = make_bodies([ball(position=[-1.0, 0, 1.0], velocity=[1.0, 0.5, 2.0], rolling=False)])
    after = run(empty, start, 3)[-1]
    t = 3 * FRAME
    expected = torch.tensor([-1 + t, 0.5 * t, 1 + 2 * t - GRAVITY * t**2 / 2], dtype=torch.float64)
    assert torch.allclose(after.position[0, 0], expected, atol=1e-12)


def test_bounces_rise_to_the_restitution_squared(empty):
    start = make_bodies([ball(position=[0.0, 0, 1.2], restitution=0.8)])
    now, heights = start, []
    for _ in range(2 * 120):
        now, _ = advance(empty, now, 1 / 120)
        heights.append(float(now.position[0, 0, 2]) - 0.2)
    first = next(k for k in range(1, len(heights)) if heights[k] > heights[k - 1])
    assert first / 120 == pytest.approx(math.sqrt(2 / GRAVITY), abs=2 / 120)
    assert max(heights[first:]) == pytest.approx(0.64, abs=0.02)


def test_a_block_slides_as_far_as_friction_lets_it(empty):
    start = make_bodies([ball(velocity=[1.5, 0, 0], rolls=False, friction=0.25)])
    way = float(run(empty, start, 16)[-1].position[0, 0, 0])
    assert way == pytest.approx(1.5**2 / (2 * 0.25 * GRAVITY), rel=0.03)


def test_a_ball_that_slides_ends_in_rolling_at_five_sevenths(empty):
    start = make_bodies([ball(position=[-2.0, 0, 0.2], velocity=[1.4, 0, 0], rolling=False, drag=0.0)])
    after = run(empty, start, 8)[-1]
    assert float(after.velocity[0, 0, 0]) == pytest.approx(1.4 * 5 / 7, rel=1e-3)
    assert float(after.spin[0, 0, 1]) * 0.2 == pytest.approx(1.0, rel=1e-3)
    assert torch.allclose(after.turn.mT @ after.turn, torch.eye(3, dtype=torch.float64).expand(1, 1, 3, 3))


def test_balls_of_one_mass_swap_speeds_and_keep_momentum(empty):
    rows = [ball(position=[-0.5, 0, 0.2], velocity=[1.0, 0, 0]), ball(position=[0.2, 0, 0.2])]
    states = run(empty, make_bodies([row | {"restitution": 1.0, "friction": 0.0, "drag": 0.0} for row in rows]), 8)
    assert torch.allclose(states[-1].velocity[0, :, 0], torch.tensor([0.0, 1.0], dtype=torch.float64), atol=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_energy_never_grows_and_nothing_leaves_the_room(seed):
    """In furnished rooms, thrown anywhere: Newton's and Coulomb's laws, and no creation of energy."""
    rooms = stack_rooms([make_room(40 + seed), make_room(50 + seed)])
    g = torch.Generator().manual_seed(seed)
    rows = [ball(position=[0.0, 0, 0.6 + 0.5 * k], velocity=[2.0 * k, 1.0, 0], rolling=False, radius=0.15,
                 restitution=0.9, rolls=k < 2) for k in range(3)]  # fmt: skip
    one = make_bodies(rows)
    bodies = Bodies(**{k: v.expand(2, *v.shape[1:]).clone() for k, v in vars(one).items()})
    bodies = replace(bodies, velocity=4 * (torch.rand(2, 3, 3, generator=g, dtype=torch.float64) - 0.5))
    now = energy(bodies).sum(-1)
    for state in run(rooms, bodies, 24)[1:]:
        after = energy(state).sum(-1)
        assert (after <= now * (1 + 1e-3) + 1e-3).all()
        now = after
        assert (state.position[..., :2].abs() < rooms.size[:, None, :2] / 2).all()
        assert (state.position[..., 2] > 0.14).all() and (state.position[..., 2] < 2.7).all()


def test_batch_equals_each_alone_and_two_runs_are_the_same():
    rooms = stack_rooms([make_room(61), make_room(62)])
    one = make_bodies([ball(velocity=[1.5, 0.7, 0]), ball(position=[0.3, 0.9, 1.5], velocity=[1.0, 0, 0])])
    both = Bodies(**{k: v.expand(2, *v.shape[1:]).clone() for k, v in vars(one).items()})
    together = run(rooms, both, 10)[-1]
    for e in range(2):
        alone = run(rooms[[e]], one, 10)[-1]
        again = run(rooms[[e]], one, 10)[-1]
        assert torch.equal(alone.position, again.position)
        assert torch.allclose(alone.position[0], together.position[e], atol=1e-9)


def test_the_walker_pushes_a_ball_and_feels_it(empty):
    start = make_bodies([ball(mass=2.0, restitution=0.0)])
    where = torch.tensor([[-0.7, 0.0]])
    still, felt = advance(empty, start, FRAME, Pusher(where, where, 0.4))
    assert float(felt) == 0 and torch.allclose(still.position, start.position, atol=1e-9)
    after, felt = advance(empty, start, FRAME, Pusher(where, where + torch.tensor([0.25, 0.0]), 0.4))
    assert float(after.position[0, 0, 0]) > 0.1
    assert float(felt) == pytest.approx(2.0 * 2.0, rel=0.5)  # 2 kg brought to about 2 m/s, and friction


def test_what_is_not_there_does_not_move_and_odd_times_are_refused(empty):
    absent = make_bodies([ball(radius=0.0, position=[0.0, 0, 1.0])])
    after, _ = advance(empty, absent, FRAME)
    assert torch.equal(after.position, absent.position)
    with pytest.raises(ValueError, match="seconds: expected a multiple"):
        advance(empty, absent, 0.01)
