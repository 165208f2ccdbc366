"""Forward and inverse kinematics: against formulas, another robot format, and files that are none."""

import math

import pytest
import torch

pytest.importorskip("mujoco", reason="extra [arm] is not installed")

from hybridwm.actions.hand import Hand, JointBody
from hybridwm.actions.mjcf import MjcfBody
from render import FormatError

# a shoulder that turns about z, a slide along its x; a camera in ROS's optical axes, that looks along +x
URDF = """<robot name="tiny">
  <link name="base"/>
  <link name="turret"><visual><geometry><mesh filename="package://none/at_all.stl"/></geometry></visual></link>
  <link name="slider"/>
  <link name="camera_optical_frame"/>
  <joint name="turn" type="revolute"><parent link="base"/><child link="turret"/><origin xyz="0 0 0.5"/>
    <axis xyz="0 0 1"/><limit lower="-2" upper="2" effort="1" velocity="1"/></joint>
  <joint name="slide" type="prismatic"><parent link="turret"/><child link="slider"/><origin xyz="0.1 0 0"/>
    <axis xyz="1 0 0"/><limit lower="0" upper="0.4" effort="1" velocity="1"/></joint>
  <joint name="mount" type="fixed"><parent link="slider"/><child link="camera_optical_frame"/>
    <origin xyz="0 0 0.2" rpy="-1.5707963267948966 0 -1.5707963267948966"/></joint>
</robot>"""
# the same robot as MJCF, with a camera of MuJoCo's own axes
MJCF = """<mujoco><compiler angle="radian"/><worldbody><body pos="0 0 0.5"><joint name="turn" range="-2 2"/>
  <geom size="0.05"/><body pos="0.1 0 0"><joint name="slide" type="slide" axis="1 0 0" range="0 0.4"/>
  <geom size="0.05"/><camera name="eye" pos="0 0 0.2" xyaxes="0 -1 0 0 0 1"/></body></body></worldbody></mujoco>"""


def expected(turn, slide):
    """w2c by hand: the camera looks along the turned +x, its image's right is the turned -y."""
    c, s = math.cos(turn), math.sin(turn)
    ahead = torch.tensor([c, s, 0.0])
    rows = torch.stack([torch.tensor([s, -c, 0.0]), torch.tensor([0.0, 0.0, -1.0]), ahead])
    out = torch.eye(4)
    out[:3, :3] = rows
    out[:3, 3] = -rows @ ((0.1 + slide) * ahead + torch.tensor([0, 0, 0.7]))
    return out


@pytest.mark.parametrize(("source", "frame"), [(URDF, "camera_optical_frame"), (MJCF, "eye")])
def test_camera_follows_the_joints(tmp_path, source, frame):
    path = tmp_path / "robot.xml"
    path.write_text(source)
    for body in (MjcfBody(source, frame), MjcfBody(path, frame)):
        assert body.joint_names == ("turn", "slide")
        assert torch.allclose(body.limits, torch.tensor([[-2, 2], [0, 0.4]]))
        joints = torch.tensor([[0.0, 0.0], [0.7, 0.2], [-1.3, 0.4]])
        found = body.camera(joints)
        assert torch.allclose(found, torch.stack([expected(*row) for row in joints.tolist()]), atol=1e-6)
    assert body.camera(torch.zeros(2, 3, 2)).shape == (2, 3, 4, 4)


def test_joints_are_found_from_the_camera():
    body = MjcfBody(URDF, "camera_optical_frame")
    joints = torch.tensor([1.1, 0.3])
    assert torch.allclose(body.joints(body.camera(joints), torch.zeros(2)), joints, atol=1e-4)
    with pytest.raises(ValueError, match="w2c: expected a place that 'camera_optical_frame' can reach"):
        body.joints(expected(0.0, 3.0), torch.zeros(2))


def test_joint_body_moves_and_stops_at_limits():
    body = JointBody(MjcfBody(URDF, "camera_optical_frame"), torch.zeros(2))
    start = expected(0.4, 0.1)
    assert torch.allclose(body.move(start, torch.tensor([0.3, 0.2])), expected(0.7, 0.3), atol=1e-4)
    assert torch.allclose(body.move(start, torch.tensor([0.0, 9.0, 1.0])), expected(0.4, 0.4), atol=1e-4)
    two = body.move(torch.stack([start, start]), torch.tensor([[0.1, 0.0], [-0.1, 0.0]]))
    assert torch.allclose(two, torch.stack([expected(0.5, 0.1), expected(0.3, 0.1)]), atol=1e-4)
    with pytest.raises(ValueError, match="expected a finite action"):
        body.move(start, torch.tensor([0.1]))


def test_hand_turns_about_its_tip():
    hand = Hand((0.0, 0.05, 0.2))
    start = expected(0.3, 0.2)

    def tip(w2c):
        return (torch.linalg.inv(w2c) @ torch.tensor([0.0, 0.05, 0.2, 1.0]))[:3]

    turned = hand.move(start, torch.tensor([0.0, 0.0, 0.0, 0.5, -1.0]))
    assert torch.allclose(tip(turned), tip(start), atol=1e-6)
    assert torch.allclose(turned[2, :3], torch.tensor([math.cos(0.8), math.sin(0.8), 0.0]), atol=1e-6)  # left of before
    moved = hand.move(start.expand(3, 4, 4), torch.tensor([[0.01, -0.02, 0.03, 0.2]]).expand(3, 4))
    assert torch.allclose(tip(moved[1]) - tip(start), torch.tensor([0.01, -0.02, 0.03]), atol=1e-6)
    with pytest.raises(ValueError, match="expected a finite action"):
        hand.move(start, torch.tensor([0.0, 0.0, 0.0, math.nan]))


def test_bad_robots_are_refused(tmp_path):
    for text in ("<robot", "<html/>", "<mujoco><worldbody><body><joint/></body></worldbody></mujoco>"):
        with pytest.raises(FormatError, match="expected") as error:
            MjcfBody(text, "eye")
        assert "\n" not in str(error.value)
    with pytest.raises(FileNotFoundError, match="expected an MJCF or URDF file"):
        MjcfBody(tmp_path / "none.xml", "eye")
    with pytest.raises(ValueError, match="frame: expected a camera, site, body or link .eye"):
        MjcfBody(MJCF, "nose")
    with pytest.raises(ValueError, match="joints: expected names of hinges or slides .turn, slide"):
        MjcfBody(MJCF, "eye", joints=["twist"])
    with pytest.raises(ValueError, match="joints: expected 2 finite positions"):
        MjcfBody(MJCF, "eye").camera(torch.zeros(3))
