"""Forward and inverse kinematics of any robot that MuJoCo reads (MJCF, URDF): joint angles → where its camera is."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from render import FormatError

from .mujoco_import import import_mujoco

_GL_FROM_CV = np.diag([1.0, -1.0, -1.0])  # MuJoCo's cameras look along -z with +y up
_DAMPING = 1e-3  # of the least squares; metres and radians weigh alike
_TURN = 0.4  # radians, or metres, that one joint may move in an iteration
_CLOSE = 1e-5  # metres and radians of error at which the iteration ends


class MjcfBody:
    """A robot's file and one frame on it: a camera of the file, else a site, body or link whose axes are OpenCV's
    (+x right, +y down, +z forward; what ROS calls an optical frame).

    `source` is a path to MJCF or URDF, or the XML itself. `joints` names the joints that are given, in order; by
    default all hinges and slides between the frame and the ground. The other joints keep the file's own position.
    Of a URDF only links and joints are read, so its meshes need not be there.
    Raises FormatError for a file that is neither, ValueError for names that it does not have, ModuleNotFoundError
    without mujoco.
    """

    def __init__(self, source: str | os.PathLike[str], frame: str, *, joints: Sequence[str] | None = None) -> None:
        self._mj = import_mujoco()
        self._model = _load(self._mj, source)
        self._state = self._mj.MjData(self._model)
        self.frame = frame
        self._kind, self._frame = self._find(frame)
        self.joint_names = tuple(self._path() if joints is None else joints)
        index = [self._joint(name) for name in self.joint_names]
        self._qpos = self._model.jnt_qposadr[index]
        self._dof = self._model.jnt_dofadr[index]
        free = self._model.jnt_limited[index] == 0
        self._limits = np.where(free[:, None], [-np.inf, np.inf], self._model.jnt_range[index])

    @property
    def limits(self) -> Float[Tensor, "J 2"]:
        """Lowest and highest position of each joint, radians or metres; infinite where there is none."""
        return torch.from_numpy(self._limits).float()

    def camera(self, joints: Float[Tensor, "*B J"]) -> Float[Tensor, "*B 4 4"]:
        """w2c of the frame at these joint positions, in the world of the file. Raises ValueError for a wrong number."""
        if joints.shape[-1:] != (len(self.joint_names),) or not bool(torch.isfinite(joints).all()):
            raise ValueError(
                f"joints: expected {len(self.joint_names)} finite positions ({', '.join(self.joint_names)}); got "
                f"{list(joints.shape)}; give them in that order"
            )
        rows = joints.detach().cpu().double().reshape(-1, joints.shape[-1]).numpy()
        out = np.stack([_inverse(*self.pose(row)) for row in rows]) if len(rows) else np.zeros((0, 4, 4))
        return torch.from_numpy(out).to(joints).reshape(*joints.shape[:-1], 4, 4)

    def pose(self, joints: ndarray) -> tuple[Float[ndarray, "3 3"], Float[ndarray, "3"]]:
        """The frame in the world: its axes as columns, and its place in metres."""
        self._state.qpos[self._qpos] = joints
        self._mj.mj_kinematics(self._model, self._state)
        if self._kind == "cam":
            self._mj.mj_camlight(self._model, self._state)
        axes = getattr(self._state, f"{self._kind}_xmat" if self._kind != "body" else "xmat")[self._frame].reshape(3, 3)
        place = getattr(self._state, f"{self._kind}_xpos" if self._kind != "body" else "xpos")[self._frame]
        if self._kind == "cam":
            return axes @ _GL_FROM_CV, place.copy()
        return axes.copy(), place.copy()

    def reach(
        self, axes: Float[ndarray, "3 3"], place: Float[ndarray, "3"], near: ndarray, iterations: int = 50
    ) -> tuple[ndarray, float]:
        """Joint positions [J] within the limits that bring the frame there, found from `near`, and the error that is
        left (the larger of metres and radians). Damped least squares: Wampler, IEEE Trans. SMC 16(1), 1986.
        """
        joints = np.clip(np.asarray(near, float), *self._limits.T)
        best, least = joints, np.inf
        for _ in range(iterations):
            now, at = self.pose(joints)
            error = np.concatenate([place - at, _turn(axes @ now.T)])
            size = max(float(np.linalg.norm(part)) for part in (error[:3], error[3:]))
            if size < least:
                best, least = joints, size
            if size < _CLOSE:
                break
            J = self._jacobian(at)
            step = J.T @ np.linalg.solve(J @ J.T + _DAMPING * min(1.0, size) * np.eye(6), error)
            step *= min(1.0, _TURN / max(float(np.abs(step).max()), 1e-12))
            joints = np.clip(joints + step, *self._limits.T)
        return best, least

    def joints(self, w2c: Float[Tensor, "4 4"], near: Float[Tensor, "J"]) -> Float[Tensor, "J"]:
        """Joint positions at which the frame is the camera `w2c`, those found from `near`.

        Raises ValueError where the robot cannot bring it to within a centimetre and a degree.
        """
        c2w = np.linalg.inv(w2c.detach().cpu().double().numpy())
        found, error = self.reach(c2w[:3, :3], c2w[:3, 3], near.detach().cpu().double().numpy(), 200)
        if error > 0.01:
            raise ValueError(
                f"w2c: expected a place that '{self.frame}' can reach; the nearest is {error:.3f} (m or rad) away; "
                "check that w2c is in the robot's own world, or give other joints to begin from"
            )
        return torch.from_numpy(found).to(w2c)

    def _find(self, frame: str) -> tuple[str, int]:
        kinds = self._mj.mjtObj
        kinds = (("cam", kinds.mjOBJ_CAMERA), ("site", kinds.mjOBJ_SITE), ("body", kinds.mjOBJ_BODY))
        for kind, number in kinds:
            index = self._mj.mj_name2id(self._model, number, frame)
            if index >= 0:
                return kind, index
        model = self._model
        known = [model.camera(i).name for i in range(model.ncam)] + [model.body(i).name for i in range(model.nbody)]
        raise ValueError(f"frame: expected a camera, site, body or link ({', '.join(known)[:200]}); got {frame!r}")

    def _path(self) -> list[str]:
        """Names of the hinges and slides from the ground to the frame."""
        model = self._model
        body = {"cam": model.cam_bodyid, "site": model.site_bodyid}.get(self._kind, np.arange(model.nbody))[self._frame]
        names: list[str] = []
        while body > 0:
            first = model.body_jntadr[body]
            here = range(first, first + model.body_jntnum[body])
            names = [model.joint(i).name for i in here if self._scalar(i)] + names
            body = model.body_parentid[body]
        return names

    def _scalar(self, joint: int) -> bool:
        kinds = self._mj.mjtJoint
        return self._model.jnt_type[joint] in (int(kinds.mjJNT_HINGE), int(kinds.mjJNT_SLIDE))

    def _joint(self, name: str) -> int:
        index = self._mj.mj_name2id(self._model, self._mj.mjtObj.mjOBJ_JOINT, name)
        if index < 0 or not self._scalar(index):
            known = [self._model.joint(i).name for i in range(self._model.njnt) if self._scalar(i)]
            raise ValueError(f"joints: expected names of hinges or slides ({', '.join(known)[:200]}); got {name!r}")
        return index

    def _jacobian(self, place: ndarray) -> Float[ndarray, "6 J"]:
        model = self._model
        body = {"cam": model.cam_bodyid, "site": model.site_bodyid}.get(self._kind, np.arange(model.nbody))[self._frame]
        moved, turned = np.zeros((3, model.nv)), np.zeros((3, model.nv))
        self._mj.mj_comPos(model, self._state)
        self._mj.mj_jac(model, self._state, moved, turned, place, int(body))
        return np.concatenate([moved, turned])[:, self._dof]


def _inverse(axes: ndarray, place: ndarray) -> ndarray:
    out = np.eye(4)
    out[:3, :3] = axes.T
    out[:3, 3] = -axes.T @ place
    return out


def _turn(rotation: Float[ndarray, "3 3"]) -> Float[ndarray, "3"]:
    """Axis times angle of a rotation, radians; exact up to half a turn."""
    skew = np.array(
        [rotation[2, 1] - rotation[1, 2], rotation[0, 2] - rotation[2, 0], rotation[1, 0] - rotation[0, 1]]
    )
    sine, cosine = np.linalg.norm(skew) / 2, (np.trace(rotation) - 1) / 2
    angle = np.arctan2(sine, cosine)
    if sine > 1e-9:
        return skew * (angle / (2 * sine))
    # at half a turn the axis is lost in `skew`: any column of R + 1 points along it
    return np.zeros(3) if cosine > 0 else np.pi * _longest(rotation + np.eye(3))


def _longest(columns: ndarray) -> ndarray:
    lengths = np.linalg.norm(columns, axis=0)
    return columns[:, lengths.argmax()] / lengths.max()


def _load(mujoco: Any, source: str | os.PathLike[str]) -> Any:
    text = str(source) if str(source).lstrip().startswith("<") else None
    name, do = ("XML" if text is not None else Path(source)), "give a path to MJCF or URDF"
    if text is None and not Path(source).is_file():
        raise FileNotFoundError(f"{source}: expected an MJCF or URDF file, found no such file; check the path")
    try:
        root = ET.fromstring(text if text is not None else Path(source).read_text(encoding="utf-8"))
    except (ET.ParseError, UnicodeDecodeError) as error:
        raise FormatError(name, "an MJCF or URDF file", str(error)[:120], do) from None
    if root.tag not in ("mujoco", "robot"):
        raise FormatError(name, "an MJCF or URDF file", f"<{root.tag[:40]}>", do)
    try:
        if root.tag == "robot":
            return mujoco.MjModel.from_xml_string(_bones(root))
        return mujoco.MjModel.from_xml_path(str(source)) if text is None else mujoco.MjModel.from_xml_string(text)
    except ValueError as error:
        raise FormatError(name, "a robot that MuJoCo can build", " ".join(str(error).split())[:160], do) from None


def _bones(robot: ET.Element) -> str:
    """A URDF's links and joints alone, every link kept as a body of its own, massless ones too."""
    for link in robot.findall("link"):
        for part in list(link):
            link.remove(part)
    for extension in robot.findall("mujoco"):
        robot.remove(extension)
    settings = ET.SubElement(ET.SubElement(robot, "mujoco"), "compiler")
    settings.attrib |= {"fusestatic": "false", "boundmass": "1", "boundinertia": "1"}
    return ET.tostring(robot, encoding="unicode")
