"""Sizes of the arm's cameras, of its reach and of one decision: the numbers that the other modules share."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

ViewName = Literal["wrist", "fixed"]
VIEWS: tuple[ViewName, ...] = ("wrist", "fixed")
EYES = {"wrist": ("wrist_left", "wrist_right"), "fixed": ("fixed_left", "fixed_right")}

JOINTS = ("joint1", "joint2", "joint3", "joint4", "joint5", "joint6")
JOINT_RANGE = np.array([(-2.6, 2.6), (-1.2, 1.8), (-0.2, 2.6), (-2.6, 2.6), (-0.6, 2.5), (-2.9, 2.9)])  # radians
HOME = np.array([0.0, 0.4767, 1.9241, 0.0, 0.7408, 0.0])  # tip 0.18 m above the table's middle, hand straight down
OPENING = 0.09  # metres between the open fingers

# where the tip may be commanded to be, metres in the arm's base frame (z = 0 is the table top), and its yaw
REACH = np.array([(0.28, 0.64), (-0.30, 0.30), (0.018, 0.36)])
YAW = math.pi / 2

DECISION = 0.1  # seconds of simulated time for one action
TIMESTEP = 0.004  # seconds; at 0.005 and above a held object creeps out of the fingers
CHUNKS = 5  # touch is averaged, and the servos' target moves on, this many times in a decision


@dataclass(frozen=True)
class ArmRig:
    """Two pairs of parallel pinhole eyes: one on the wrist, one on a stand that overlooks the table.

    At 64 pixels the wrist's focal length is 41.7 px, so 0.07 m of baseline gives 5.8 px at 0.5 m and 14 px at the
    fingertips; the stand's is 88 px, so 0.10 m gives 7.3 px at 1.2 m.
    """

    size: int = 64  # pixels, width and height
    wrist_fov: float = 75.0  # degrees
    wrist_baseline: float = 0.07  # metres
    fixed_fov: float = 40.0  # degrees
    fixed_baseline: float = 0.10  # metres

    def __post_init__(self) -> None:
        if not 8 <= self.size <= 2048:
            raise ValueError(f"size: expected 8…2048 pixels; got {self.size}; choose a size within")

    def baseline(self, view: ViewName) -> float:
        """Metres from the left eye to the right one, along the left camera's +x."""
        return self.wrist_baseline if view == "wrist" else self.fixed_baseline

    def focal(self, view: ViewName) -> float:
        """Focal length in pixels."""
        fov = self.wrist_fov if view == "wrist" else self.fixed_fov
        return self.size / 2 / math.tan(math.radians(fov) / 2)
