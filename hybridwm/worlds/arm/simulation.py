"""The arm's physics: servos, touch, what the body feels of itself, and where its eyes are."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float, Float32
from numpy import ndarray
from torch import Tensor

from ...actions.mjcf import MjcfBody
from ...actions.mujoco_import import import_mujoco
from .layout import Table
from .rig import CHUNKS, DECISION, HOME, JOINT_RANGE, JOINTS, OPENING, REACH, TIMESTEP, YAW, ArmRig
from .robot import robot_model
from .scene import scene_xml
from .textures import paint

TOUCH = ("left_pad_N", "right_pad_N", "hand_N", "contact")
PROPRIO = (*(f"{name}_rad" for name in JOINTS), "opening_m", "tip_x_m", "tip_y_m", "tip_z_m")
STRONGEST = 50.0  # newtons; touch is cut off there
_LEAST = 0.01  # newtons of a contact that counts
_SLACK = 0.2  # radians that a servo's target may run ahead of its joint
_AHEAD = 0.03  # metres that the commanded tip may run ahead of the real one
_DOWN = np.diag([-1.0, 1.0, -1.0])  # the hand's axes at yaw 0: fingers down, eyes' up towards +x


class ArmSimulation:
    """One arm at one table at a time. `begin` lays the table; each `move_tip` and `move_joints` is one decision of
    DECISION seconds, after which `touch`, `proprio` and `w2c` tell what came of it."""

    def __init__(self, rig: ArmRig) -> None:
        self._mj = import_mujoco()
        self.rig = rig
        self.kinematics = MjcfBody(robot_model(rig), "tip")

    def begin(self, table: Table) -> None:
        """The table laid, objects at rest, the open hand above it at a place that the layout's seed draws."""
        mujoco = self._mj
        self.table = table
        self.model = mujoco.MjModel.from_xml_string(scene_xml(table, self.rig))
        paint(self.model, table)
        self.data = mujoco.MjData(self.model)
        rng = np.random.default_rng([table.layout_seed, 0xD1])
        self.tip = np.array([*rng.uniform((0.36, -0.12, 0.16), (0.50, 0.12, 0.24)), rng.uniform(-0.4, 0.4)])
        self.target = self._joints_at(self.tip, HOME)
        self.grip = 1.0
        self.data.qpos[:8] = self.data.ctrl[:8] = [*self.target, OPENING / 2, OPENING / 2]
        owners = self.model.geom_bodyid
        hand = [self.model.body(name).id for name in ("joint6_link", "left_finger", "right_finger")]
        self._hand = np.isin(owners, hand)
        self._touch = np.zeros(len(TOUCH))
        self._advance(self.target, self.grip)

    def move_tip(self, delta: ndarray, grip: float) -> None:
        """Command the tip by (x m, y m, z m, yaw rad) in the base's axes, fingers down; grip: -1 shut … 1 open."""
        low, high = np.array([*REACH, (-YAW, YAW)]).T
        self.tip = np.clip(self.tip + delta, low, high)
        self.target = self._joints_at(self.tip, self.target)
        self._advance(self.target, grip)
        lead = self.tip[:3] - self.tip_place
        self.tip[:3] -= lead * (1 - min(1.0, _AHEAD / max(float(np.linalg.norm(lead)), 1e-9)))

    def move_joints(self, delta: ndarray, grip: float) -> None:
        """Command the joints by radians [6], and the grip -1 shut … 1 open."""
        self.target = np.clip(self.target + delta, *JOINT_RANGE.T)
        self._advance(self.target, grip)

    def put(self, joints: Float[ndarray, "6"], opening: float) -> None:
        """The robot there at once, at rest, with nothing else moved: radians, and metres between the fingers."""
        data = self.data
        data.qpos[:8] = data.ctrl[:8] = [*joints, opening / 2, opening / 2]
        data.qvel[:8] = 0
        self._mj.mj_forward(self.model, data)
        place, axes = self.tip_place, data.site("tip").xmat.reshape(3, 3)
        self.target = np.asarray(joints, float).copy()
        self.tip = np.array([*place, math.atan2(axes[0, 1], axes[1, 1])])

    @property
    def joints(self) -> Float[ndarray, "6"]:
        return self.data.qpos[:6].copy()

    @property
    def opening(self) -> float:
        """Metres between the fingers."""
        return float(self.data.qpos[6] + self.data.qpos[7])

    @property
    def tip_place(self) -> Float[ndarray, "3"]:
        """Where the point between the finger pads is, metres."""
        return self.data.site("tip").xpos.copy()

    @property
    def touch(self) -> Float32[ndarray, "4"]:
        """TOUCH: newtons on each finger's pad; of all contacts of the hand together, as a wrist would feel them; 1
        where the hand touched anything but itself. Means over the decision, at most STRONGEST."""
        return np.minimum(self._touch, STRONGEST).astype(np.float32)

    @property
    def proprio(self) -> Float32[ndarray, "10"]:
        """PROPRIO: joints, opening, and the place of the tip."""
        return np.array([*self.joints, self.opening, *self.tip_place], np.float32)

    def thing(self, index: int) -> tuple[Float[ndarray, "3"], float]:
        """Where an object of the table is now, metres, and its yaw."""
        body = self.data.body(f"thing{index}")
        axes = body.xmat.reshape(3, 3)
        return body.xpos.copy(), math.atan2(axes[1, 0], axes[0, 0])

    def w2c(self, camera: str) -> Float[Tensor, "4 4"]:
        """World to camera, OpenCV axes, by the model's own forward kinematics."""
        eye = self.data.camera(camera)
        axes = eye.xmat.reshape(3, 3) @ np.diag([1.0, -1.0, -1.0])
        out = np.eye(4)
        out[:3, :3] = axes.T
        out[:3, 3] = -axes.T @ eye.xpos
        return torch.from_numpy(out).float()

    def _joints_at(self, tip: Float[ndarray, "4"], near: ndarray) -> Float[ndarray, "6"]:
        c, s = math.cos(tip[3]), math.sin(tip[3])
        axes = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ _DOWN
        return self.kinematics.reach(axes, tip[:3], near, 20)[0]

    def _advance(self, target: ndarray, grip: float) -> None:
        """DECISION seconds of physics, the servos' targets going evenly from where they are to `target`."""
        mujoco, data = self._mj, self.data
        opening = np.full(2, (grip + 1) / 2 * OPENING / 2)
        begin, end = data.ctrl.copy(), np.concatenate([target, opening])
        steps = round(DECISION / TIMESTEP / CHUNKS)
        self._touch[:] = 0
        for k in range(1, CHUNKS + 1):
            data.ctrl[:] = begin + (end - begin) * min(1.0, 1.5 * k / CHUNKS)  # early, so that they settle in time
            mujoco.mj_step(self.model, data, steps)
            self._feel()
        self._touch[:3] /= CHUNKS
        mujoco.mj_kinematics(self.model, data)
        mujoco.mj_camlight(self.model, data)
        self.grip = grip
        self.target = np.clip(target, data.qpos[:6] - _SLACK, data.qpos[:6] + _SLACK)

    def _feel(self) -> None:
        data, force = self.data, np.zeros(6)
        self._touch[:2] += data.sensordata[:2]
        geoms = data.contact.geom
        net = np.zeros(3)
        for i in np.flatnonzero(self._hand[geoms].any(1)):
            self._mj.mj_contactForce(self.model, data, int(i), force)
            if force[0] > _LEAST:
                self._touch[3] = 1
            net += (1 if self._hand[geoms[i, 1]] else -1) * force[:3] @ data.contact.frame[i].reshape(3, 3)
        self._touch[2] += np.linalg.norm(net)
