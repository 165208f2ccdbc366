"""The whole tabletop scene as MJCF: room, table, stand, lights, objects, and the robot."""

from __future__ import annotations

import math

import numpy as np

from .layout import Table, Thing
from .rig import TIMESTEP, ArmRig
from .robot import robot_xml

ROOM = (2.2, 2.0, 2.2)  # metres: half length, half width, height above the floor
FLOOR = -0.75  # metres: z of the floor; the table top is 0
TABLE = (0.62, 0.72)  # half sizes of the table top
TABLE_AT = 0.40  # x of its middle
STAND = ((1.16, 0.46, 0.62), (0.38, 0.0, 0.08))  # the fixed eyes: where they are, what they look at
TEXTURES = {"table": 512, "floor": 256, "wall": 256, "wall2": 256}  # pixels a side
GRAINS = {"grain0": 64, "grain1": 64, "grain2": 64}  # cube textures of objects, pixels a side
_ROBOTS = (  # shell, dark, grip
    ((0.88, 0.88, 0.86), (0.25, 0.26, 0.29), (0.12, 0.12, 0.13)),
    ((0.93, 0.55, 0.15), (0.22, 0.22, 0.24), (0.15, 0.15, 0.16)),
    ((0.55, 0.60, 0.66), (0.30, 0.32, 0.36), (0.20, 0.20, 0.21)),
    ((0.90, 0.84, 0.70), (0.42, 0.20, 0.16), (0.14, 0.14, 0.15)),
)


def scene_xml(table: Table, rig: ArmRig) -> str:
    """MJCF of a tabletop; its textures are flat until arm.textures paints them into the compiled model."""
    rng = np.random.default_rng([table.style_seed, 0xB1])
    robot = robot_xml(rig)
    shell, dark, grip = _ROBOTS[rng.integers(len(_ROBOTS))]
    length, width, height = ROOM
    things = "".join(_thing(i, thing) for i, thing in enumerate(table.things))
    walls = "".join(
        f'<geom type="plane" size="{half} {height / 2} 1" pos="{x} {y} {FLOOR + height / 2}" xyaxes="{axes}" '
        f'material="{material}" contype="0" conaffinity="0"/>'
        for half, x, y, axes, material in (
            (width, length, 0, "0 -1 0 0 0 1", "wall"),
            (width, -length, 0, "0 1 0 0 0 1", "wall"),
            (length, 0, width, "1 0 0 0 0 1", "wall2"),
            (length, 0, -width, "-1 0 0 0 0 1", "wall2"),
        )
    )
    legs = "".join(
        f'<geom type="box" size="0.03 0.03 {-FLOOR / 2 - 0.02}" material="dark" contype="0" conaffinity="0" '
        f'pos="{TABLE_AT + sx * 0.55} {sy * 0.65} {FLOOR / 2 - 0.02}"/>'
        for sx in (-1, 1)
        for sy in (-1, 1)
    )
    return f"""
<mujoco model="arm">
  <compiler angle="radian"/>
  <option timestep="{TIMESTEP}" integrator="implicitfast" cone="elliptic" impratio="10"/>
  <size memory="4M"/>
  <statistic extent="1" center="0.4 0 0.1"/>
  <visual>
    <global offwidth="{rig.size}" offheight="{rig.size}"/>
    <quality shadowsize="0" offsamples="0" numslices="16" numstacks="10" numquads="2"/>
    <map znear="0.02" zfar="12"/>
    <headlight ambient="0.32 0.32 0.32" diffuse="0.18 0.18 0.18" specular="0 0 0"/>
  </visual>
  <default>{robot["default"]}
    <default class="thing">
      <geom contype="3" conaffinity="3" density="350" friction="1 0.01 0.001" condim="4"/>
    </default>
  </default>
  <asset>
    <texture name="sky" type="skybox" builtin="gradient" rgb1=".75 .82 .9" rgb2=".45 .5 .55" width="32" height="192"/>
    {_assets()}
    <material name="shell" rgba="{_rgba(shell)}" specular="0.2" shininess="0.2"/>
    <material name="dark" rgba="{_rgba(dark)}" specular="0.2" shininess="0.2"/>
    <material name="grip" rgba="{_rgba(grip)}" specular="0" shininess="0"/>
    {"".join(_material(i, thing, rng) for i, thing in enumerate(table.things))}
  </asset>
  <worldbody>
    {_lights(rng)}
    <geom type="plane" size="{length} {width} 1" pos="0 0 {FLOOR}" material="floor" contype="2" conaffinity="1"/>
    {walls}{legs}
    <geom name="table" type="box" size="{TABLE[0]} {TABLE[1]} 0.02" pos="{TABLE_AT} 0 -0.0203" material="dark"
      contype="2" conaffinity="1"/>
    <geom name="table_top" type="plane" size="{TABLE[0]} {TABLE[1]} 1" pos="{TABLE_AT} 0 0" material="table"
      contype="0" conaffinity="0"/>
    {_stand(rig)}
    {robot["worldbody"]}
    {things}
  </worldbody>
  {robot["equality"]}{robot["actuator"]}{robot["sensor"]}
</mujoco>"""


def _rgba(rgb) -> str:
    return " ".join(f"{value:.4f}" for value in rgb) + " 1"


def _assets() -> str:
    out = "".join(
        f'<texture name="{name}" type="2d" builtin="flat" width="{side}" height="{side}"/>'
        f'<material name="{name}" texture="{name}" texrepeat="1 1" specular="0" shininess="0"/>'
        for name, side in TEXTURES.items()
    )
    return out + "".join(
        f'<texture name="{name}" type="cube" builtin="flat" width="{side}" height="{side}"/>'
        for name, side in GRAINS.items()
    )


def _material(index: int, thing: Thing, rng: np.random.Generator) -> str:
    grain = list(GRAINS)[rng.integers(len(GRAINS))]
    return (
        f'<material name="thing{index}" texture="{grain}" rgba="{_rgba(thing.rgb)}" specular="0.1" shininess="0.1"/>'
    )


def _lights(rng: np.random.Generator) -> str:
    """Two distant lights; their directions and tints follow the style."""
    out = ""
    for side, strength in ((1, 0.55), (-1, 0.25)):
        direction = (rng.uniform(-0.6, 0.3), -side * rng.uniform(0.2, 0.7), -1.0)
        tint = strength * rng.uniform(0.88, 1.05, 3)
        out += '<light directional="true" castshadow="false" '
        out += f'dir="{" ".join(f"{v:.4f}" for v in direction)}" diffuse="{_rgba(tint)[:-2]}" specular="0.1 0.1 0.1"/>'
    return out


def _stand(rig: ArmRig) -> str:
    """The fixed pair: upright, looking at the table."""
    at, look = np.array(STAND[0]), np.array(STAND[1])
    ahead = (look - at) / np.linalg.norm(look - at)
    right = np.cross(ahead, (0, 0, 1))
    right /= np.linalg.norm(right)
    up = np.cross(right, ahead)
    axes = " ".join(f"{v:.9f}" for v in (*right, *up))
    out = ""
    for name, shift in (("left", 0.0), ("right", rig.fixed_baseline)):
        place = " ".join(f"{v:.9f}" for v in at + shift * right)
        out += f'<camera name="fixed_{name}" pos="{place}" xyaxes="{axes}" fovy="{rig.fixed_fov}"/>'
    return out


def _thing(index: int, thing: Thing) -> str:
    kind = {"box": "box", "cylinder": "cylinder", "ball": "sphere"}[thing.kind]
    size = thing.size if kind == "box" else (thing.size[0], thing.size[2]) if kind == "cylinder" else thing.size[:1]
    x, y = thing.place
    rolling = ' condim="6" friction="1 0.01 0.004"' if kind == "sphere" else ""
    c, s = math.cos(thing.yaw / 2), math.sin(thing.yaw / 2)
    return (
        f'<body name="thing{index}" pos="{x} {y} {thing.half_height}" quat="{c} 0 0 {s}"><freejoint/>'
        f'<geom name="thing{index}" type="{kind}" size="{" ".join(map(str, size))}" material="thing{index}" '
        f'class="thing"{rolling}/></body>'
    )
