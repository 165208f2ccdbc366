"""How the arm's actions move its wrist camera, for a world model that imagines it."""

from __future__ import annotations

import numpy as np
import torch

from ...actions.hand import Hand, JointBody
from ...actions.mjcf import MjcfBody
from .rig import EYES, HOME, ArmRig
from .robot import robot_model


def hand_body(rig: ArmRig | None = None) -> Hand:
    """For actions "ee" of ArmEnv: the left wrist eye moves with the commanded fingertips."""
    model = robot_model(rig or ArmRig())
    axes, eye = MjcfBody(model, EYES["wrist"][0]).pose(HOME)
    tip = MjcfBody(model, "tip").pose(HOME)[1]
    x, y, z = axes.T @ (np.asarray(tip) - eye)
    return Hand((float(x), float(y), float(z)))


def joint_body(rig: ArmRig | None = None) -> JointBody:
    """For actions "joints" of ArmEnv: the left wrist eye moves by forward kinematics."""
    robot = MjcfBody(robot_model(rig or ArmRig()), EYES["wrist"][0])
    return JointBody(robot, torch.from_numpy(HOME).float())
