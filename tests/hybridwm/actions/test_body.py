import math

import pytest
import torch

from hybridwm.actions.body import BODIES, Body, make_body
from hybridwm.actions.twist import DriveBody, PlanarBody, TwistBody, se3_exp
from hybridwm.actions.walker import NAMES, Walker

LEVEL = Walker().stand(torch.tensor([1.0, 2.0, 1.2]), torch.tensor(0.7))


def place(w2c):
    return -(w2c[..., :3, :3].mT @ w2c[..., :3, 3:])[..., 0]


def test_the_motion_of_a_twist_is_the_matrix_exponential():
    twist = torch.randn(64, 6, generator=torch.Generator().manual_seed(0)).double()
    twist[32:, 3:] *= 1e-6
    x, y, z = twist[:, 3:].unbind(-1)
    matrix = torch.zeros(64, 4, 4, dtype=torch.float64)
    matrix[:, :3, 3] = twist[:, :3]
    for i, j, value in ((0, 1, -z), (0, 2, y), (1, 0, z), (1, 2, -x), (2, 0, -y), (2, 1, x)):
        matrix[:, i, j] = value
    assert torch.allclose(se3_exp(twist), torch.linalg.matrix_exp(matrix), atol=1e-12)


@pytest.mark.parametrize("name", BODIES)
def test_every_body_is_one_and_keeps_rotations_rigid(name):
    if name in ("hand", "joints"):
        pytest.importorskip("mujoco", reason="the arm's bodies need hybridwm[arm]")
    if name == "joints":  # its camera has to be within its reach
        return
    body = make_body(name, period=0.5, names=NAMES if name in ("walker", "still", "unknown") else ())
    assert isinstance(body, Body)
    moved = body.move(LEVEL, body.read([0.3] * len(body.names)))
    assert torch.allclose(moved[:3, :3] @ moved[:3, :3].T, torch.eye(3), atol=1e-5)


def test_a_drive_goes_as_a_walker_does_straight_on_and_turning_on_the_spot():
    drive, walker = DriveBody(period=0.5), Walker()
    ahead = drive.move(LEVEL, torch.tensor([0.6, 0.0]))
    assert torch.allclose(ahead, walker.move(LEVEL, torch.tensor([0.3, 0, 0, 0])), atol=1e-5)
    turned = drive.move(LEVEL, torch.tensor([0.0, 0.4]))
    assert torch.allclose(turned, walker.move(LEVEL, torch.tensor([0, 0, 0.2, 0])), atol=1e-5)


def test_a_drive_that_turns_as_it_goes_follows_an_arc():
    turned = DriveBody(period=1.0).move(Walker().stand(torch.zeros(3), torch.tensor(0.0)), torch.tensor([1.0, math.pi]))
    assert torch.allclose(place(turned), torch.tensor([0.0, 2 / math.pi, 0.0]), atol=1e-5)  # half a circle to the left


def test_a_base_slides_and_a_twist_lifts():
    left = PlanarBody().move(LEVEL, torch.tensor([0.0, 0.2, 0.0]))
    assert torch.allclose(left, Walker().move(LEVEL, torch.tensor([0, -0.2, 0, 0])), atol=1e-5)
    up = TwistBody().move(LEVEL, torch.tensor([0.0, 0, 0.3, 0, 0, 0]))
    assert torch.allclose(place(up) - place(LEVEL), torch.tensor([0.0, 0.0, 0.3]), atol=1e-5)


def test_a_camera_in_front_of_the_axle_swings_about_it():
    mount = torch.tensor([[0.0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, -0.3], [0, 0, 0, 1]])  # 30 cm before the axle
    start = Walker().stand(torch.zeros(3), torch.tensor(0.0))
    turned = DriveBody(camera_from_body=mount).move(start, torch.tensor([0.0, math.pi / 2]))
    assert torch.allclose(place(turned), torch.tensor([-0.3, 0.3, 0.0]), atol=1e-5)


def test_what_is_ahead_stops_the_base():
    stopped = DriveBody(radius=0.4).move(LEVEL, torch.tensor([1.0, 0.0]), torch.tensor(0.9))
    assert float((place(stopped) - place(LEVEL)).norm()) == pytest.approx(0.5, abs=1e-5)
    back = DriveBody(radius=0.4).move(LEVEL, torch.tensor([-1.0, 0.0]), torch.tensor(0.0))
    assert float((place(back) - place(LEVEL)).norm()) == pytest.approx(1.0, abs=1e-5)


def test_a_fixed_camera_takes_any_action():
    body = make_body("still", names=("dx", "dy", "grip"))
    assert body.move(LEVEL, body.read([1, 2, 3])) is LEVEL


def test_keys_are_actions_too():
    assert DriveBody().read("left").tolist() == [0.0, 0.5]
    assert Walker().read("forward").tolist() == [0.25, 0, 0, 0]


class OfAUser(DriveBody):
    def __init__(self, period, names):
        super().__init__(period)


def test_a_body_of_a_user_is_named_by_module_and_class():
    import sys

    sys.modules["of_a_user"] = sys.modules[__name__]
    assert isinstance(make_body("of_a_user:OfAUser", period=0.1), OfAUser)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: make_body("wheels"), "expected one of walker, drive"),
        (lambda: make_body("nowhere_at_all:Body"), "module:name that Python can import"),
        (lambda: make_body("drive", names=("a", "b", "c")), r"2 numbers for 'drive'.*got 3 \(a, b, c\)"),
        (lambda: DriveBody(period=0.0), "seconds above 0"),
        (lambda: DriveBody().read("jump"), "expected one of forward"),
        (lambda: DriveBody().read([1.0]), "2 finite numbers"),
        (lambda: DriveBody().read([1.0, float("nan")]), "2 finite numbers"),
        (lambda: TwistBody().read("forward"), "numbers alone"),
    ],
)
def test_what_is_no_body_or_no_action_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
