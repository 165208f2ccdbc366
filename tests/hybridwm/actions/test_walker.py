"""The walker's kinematics: signs and units as numbers."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridwm.actions.walker import ACTIONS, STEP, TURN, Walker, action_vectors, rotation

BODY = Walker()


def center(w2c):
    return -(w2c[..., :3, :3].mT @ w2c[..., :3, 3:])[..., 0]


def start(x=0.0, y=0.0, yaw=0.0, pitch=0.0):
    return BODY.stand(torch.tensor([x, y, 1.2]), torch.tensor(yaw), torch.tensor(pitch))


def test_at_yaw_zero_it_looks_along_x_with_y_to_the_left():
    w2c = start()
    expected = torch.tensor([[0.0, -1, 0], [0, 0, -1], [1, 0, 0]])  # rows: right, down, ahead
    assert torch.allclose(w2c[:3, :3], expected, atol=1e-6)
    assert torch.allclose(center(w2c), torch.tensor([0, 0, 1.2]))


@pytest.mark.parametrize(
    ("name", "moved"),
    [
        ("forward", (STEP, 0, 0)),
        ("back", (-STEP, 0, 0)),
        ("strafe_left", (0, STEP, 0)),
        ("strafe_right", (0, -STEP, 0)),
        ("stay", (0, 0, 0)),
        ("left", (0, 0, 0)),
        ("look_up", (0, 0, 0)),
    ],
)
def test_where_an_action_leads_from_yaw_zero(name, moved):
    after = center(BODY.move(start(), torch.tensor(ACTIONS[name])))
    assert torch.allclose(after, torch.tensor([*moved[:2], 1.2 + moved[2]]), atol=1e-6)


def test_left_turns_towards_plus_y_and_up_raises_the_gaze():
    left = BODY.move(start(), torch.tensor(ACTIONS["left"]))
    assert torch.allclose(left[2, :3], torch.tensor([math.cos(TURN), math.sin(TURN), 0.0]), atol=1e-6)
    up = BODY.move(start(), torch.tensor(ACTIONS["look_up"]))
    assert torch.allclose(up[2, :3], torch.tensor([math.cos(TURN), 0.0, math.sin(TURN)]), atol=1e-6)
    assert math.isclose(float(BODY.pitch(up)), TURN, abs_tol=1e-6)


def test_yaw_comes_before_the_step():
    after = BODY.move(start(), torch.tensor([1.0, 0.0, math.pi / 2, 0.0]))
    assert torch.allclose(center(after), torch.tensor([0.0, 1.0, 1.2]), atol=1e-6)


def test_forward_stays_level_while_looking_down():
    after = BODY.move(start(pitch=-0.9), torch.tensor([1.0, 0.0, 0.0, 0.0]))
    assert torch.allclose(center(after), torch.tensor([1.0, 0.0, 1.2]), atol=1e-6)


def test_pitch_stops_at_sixty_degrees():
    w2c = start()
    for _ in range(6):
        w2c = BODY.move(w2c, torch.tensor(ACTIONS["look_up"]))
    assert math.isclose(float(BODY.pitch(w2c)), math.radians(60), abs_tol=1e-4)


def test_clearance_stops_the_body_a_radius_short():
    w2c, action = start(), torch.tensor([0.25, 0.0, 0.0, 0.0])
    for clearance, moved in ((2.0, 0.25), (0.5, 0.1), (0.2, 0.0)):
        after = BODY.move(w2c, action, torch.tensor(clearance))
        assert math.isclose(float(center(after)[0]), moved, abs_tol=1e-6)


def test_full_turn_comes_back():
    w2c = start(1.0, -2.0, 0.3)
    after = w2c
    for _ in range(24):
        after = BODY.move(after, torch.tensor(ACTIONS["left"]))
    assert torch.allclose(after, w2c, atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([(), (3,), (2, 4)]))
def test_result_is_rigid_and_equals_each_alone(seed, batch):
    g = torch.Generator().manual_seed(seed)
    w2c = BODY.stand(
        torch.randn((*batch, 3), generator=g), torch.rand(batch, generator=g) * 6, torch.rand(batch) - 0.5
    )
    action = torch.randn((*batch, 4), generator=g) * 0.3
    moved = BODY.move(w2c, action)
    R = moved[..., :3, :3]
    assert torch.allclose(R @ R.mT, torch.eye(3).expand_as(R), atol=1e-5)
    assert torch.allclose(torch.linalg.det(R), torch.ones(batch), atol=1e-5)
    if batch:
        first = tuple(0 for _ in batch)
        assert torch.allclose(BODY.move(w2c[first], action[first]), moved[first], atol=1e-6)


def test_another_up_axis():
    body = Walker(up=(0.0, -1.0, 0.0))  # a camera at the origin of a y-down world
    after = body.move(torch.eye(4), torch.tensor([1.0, 0.5, 0.0, 0.0]))
    assert torch.allclose(center(after), torch.tensor([0.5, 0.0, 1.0]), atol=1e-6)
    left = body.move(torch.eye(4), torch.tensor([0.0, 0.0, 0.1, 0.0]))
    assert left[2, 0] < 0  # now looks towards -x, which is left


def test_rotation_is_right_handed():
    r = rotation(torch.tensor([0.0, 0.0, 1.0]), torch.tensor(math.pi / 2))
    assert torch.allclose(r @ torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 1.0, 0.0]), atol=1e-6)


def test_vectors_follow_the_names():
    assert action_vectors().shape == (len(ACTIONS), 4)
    assert action_vectors()[list(ACTIONS).index("left")].tolist() == pytest.approx([0, 0, TURN, 0])


def test_bad_actions_are_refused():
    with pytest.raises(ValueError, match="expected an action"):
        BODY.move(start(), torch.zeros(3))
    with pytest.raises(ValueError, match="finite"):
        BODY.move(start(), torch.tensor([float("nan"), 0, 0, 0]))


@pytest.mark.parametrize("pitch", [0.0, math.radians(50)])
@pytest.mark.parametrize("clearance", [None, 0.5, 3.0])
def test_what_is_carried_out_moves_as_what_was_asked_for(clearance, pitch):
    free = None if clearance is None else torch.full((len(ACTIONS),), clearance)
    w2c, asked = start(pitch=pitch).expand(len(ACTIONS), 4, 4), action_vectors()
    done = BODY.carried(w2c, asked, free)
    assert torch.allclose(BODY.move(w2c, done), BODY.move(w2c, asked, free), atol=1e-6)
    stopped = {name for name, a, b in zip(ACTIONS, asked, done, strict=True) if not torch.equal(a, b)}
    walls, neck = {"forward"} if clearance == 0.5 else set(), {"look_up"} if pitch else set()
    assert stopped == walls | neck, "all else is as it was asked for, bit for bit"
    if walls:
        assert float(done[0, 0]) == pytest.approx(0.5 - BODY.radius)
    if neck:
        assert float(done[list(ACTIONS).index("look_up"), 3]) == pytest.approx(math.radians(10), abs=1e-5)
