"""The arm as MJCF: six joints, a gripper of two fingers with touch pads, a stereo pair on the hand.

Its base stands at the origin, z up; the table top is z = 0. With joints HOME the hand points straight down. In the
hand's frame +z is where the fingers point and they open along y; the eyes look the same way, over the fingers.
"""

from __future__ import annotations

import math

from .rig import JOINT_RANGE, JOINTS, OPENING, ArmRig

TIP = 0.135  # metres from the last joint to the point between the finger pads
EYES_AT = (-0.090, -0.03)  # metres: x and z of the eyes in the hand's frame
TILT = math.radians(4.0)  # the eyes look outward from the fingers by this much

# joint, axis, offset from the link before, geoms: the links from the base up
_LINKS = (
    ("joint1", "0 0 1", "0 0 0.12", '<geom type="cylinder" size="0.055 0.07" pos="0 0 0.07" class="shell"/>'
     '<geom type="cylinder" size="0.06 0.07" pos="0 0 0.18" zaxis="0 1 0" class="dark"/>'),
    ("joint2", "0 1 0", "0 0 0.18", '<geom type="capsule" size="0.045 0.155" pos="0 0 0.2" class="shell"/>'),
    ("joint3", "0 1 0", "0 0 0.40", '<geom type="cylinder" size="0.05 0.055" zaxis="0 1 0" class="dark"/>'
     '<geom type="capsule" size="0.04 0.07" pos="0 0 0.11" class="shell"/>'),
    ("joint4", "0 0 1", "0 0 0.20", '<geom type="capsule" size="0.036 0.065" pos="0 0 0.09" class="shell"/>'),
    ("joint5", "0 1 0", "0 0 0.18", '<geom type="cylinder" size="0.038 0.042" zaxis="0 1 0" class="dark"/>'),
    ("joint6", "0 0 1", "0 0 0.06", ""),
)  # fmt: skip
_FORCE = (120, 120, 90, 30, 30, 15)  # N m
_STIFF = (1500, 1800, 1200, 300, 250, 120)  # N m / rad


def robot_xml(rig: ArmRig) -> dict[str, str]:
    """Elements of MJCF by section: default, worldbody, contact, equality, actuator, sensor. They use the materials
    shell, dark and grip."""
    body, ends = "", ""
    ranges = [f"{low} {high}" for low, high in JOINT_RANGE]
    for (joint, axis, offset, geoms), limits in zip(_LINKS, ranges, strict=True):
        body += f'<body name="{joint}_link" pos="{offset}" gravcomp="1"><joint name="{joint}" axis="{axis}" '
        body += f'range="{limits}" class="arm"/>{geoms}'
        ends += "</body>"
    stand = '<geom type="cylinder" size="0.075 0.06" pos="0 0 0.06" class="dark"/>'
    servos = "".join(
        f'<position name="{joint}" joint="{joint}" kp="{kp}" dampratio="1" ctrlrange="{limits}" '
        f'forcerange="-{force} {force}"/>'
        for joint, limits, kp, force in zip(JOINTS, ranges, _STIFF, _FORCE, strict=True)
    )
    half = OPENING / 2
    return {
        "default": f"""
    <default class="arm"><joint damping="2" armature="0.05" limited="true"/></default>
    <default class="shell"><geom material="shell" contype="1" conaffinity="2" density="700" group="1"/></default>
    <default class="dark"><geom material="dark" contype="1" conaffinity="2" density="700" group="1"/></default>
    <default class="finger">
      <joint type="slide" range="0 {half}" limited="true" damping="8" armature="0.05"/>
      <geom material="grip" contype="1" conaffinity="2" density="900" group="1" friction="1.6 0.02 0.001" condim="4"/>
    </default>""",
        "worldbody": f'<body name="base">{stand}{body}{_hand(rig)}{ends}</body>',
        "equality": '<equality><joint joint1="finger_left" joint2="finger_right" polycoef="0 1 0 0 0"/></equality>',
        "actuator": f"""<actuator>{servos}
    <position name="grip_left" joint="finger_left" kp="700" kv="20" ctrlrange="0 {half}" forcerange="-12 12"/>
    <position name="grip_right" joint="finger_right" kp="700" kv="20" ctrlrange="0 {half}" forcerange="-12 12"/>
  </actuator>""",
        "sensor": '<sensor><touch name="left_pad" site="left_pad"/><touch name="right_pad" site="right_pad"/></sensor>',
    }


def robot_model(rig: ArmRig) -> str:
    """The robot alone as a whole MJCF file, for kinematics (actions.mjcf.MjcfBody) and other simulators."""
    parts = robot_xml(rig)
    materials = "".join(f'<material name="{name}"/>' for name in ("shell", "dark", "grip"))
    return (
        f'<mujoco model="arm"><compiler angle="radian"/><default>{parts["default"]}</default><asset>{materials}</asset>'
        f'<worldbody>{parts["worldbody"]}</worldbody>{parts["equality"]}{parts["actuator"]}{parts["sensor"]}</mujoco>'
    )


def _hand(rig: ArmRig) -> str:
    x, z = EYES_AT
    half = rig.wrist_baseline / 2
    # image right is the hand's -y; image up is its -x, turned outward by the tilt
    axes = f"0 -1 0 {-math.cos(TILT)} 0 {math.sin(TILT)}"
    eyes = "".join(
        f'<camera name="wrist_{name}" pos="{x} {y} {z}" xyaxes="{axes}" fovy="{rig.wrist_fov}"/>'
        for name, y in (("left", half), ("right", -half))
    )
    fingers = "".join(
        f"""<body name="{name}_finger" pos="0 0 0.055" gravcomp="1">
      <joint name="finger_{name}" axis="0 {sign} 0" class="finger"/>
      <geom name="{name}_finger" type="box" size="0.011 0.006 0.047" pos="0 {sign * 0.007} 0.048" class="finger"/>
      <geom type="box" size="0.013 0.009 0.012" pos="0 {sign * 0.011} 0.01" class="dark"/>
      <site name="{name}_pad" type="box" size="0.013 0.004 0.026" pos="0 {sign * 0.001} 0.075" group="4"/></body>"""
        for name, sign in (("left", 1), ("right", -1))
    )
    return f"""
      <geom type="cylinder" size="0.028 0.022" pos="0 0 0.0" class="shell"/>
      <geom type="box" size="0.022 0.052 0.014" pos="0 0 0.036" class="dark"/>
      <geom type="box" size="0.022 {half + 0.014} 0.012" pos="{x + 0.032} 0 {z - 0.022}" class="dark" contype="0"
        conaffinity="0" mass="0.05"/>
      <site name="tip" pos="0 0 {TIP}" group="4"/>{eyes}{fingers}"""
