"""Rectified pairs with known disparity to judge stereo by: recorded ones, and held-out rooms of any size."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy import ndarray

from recon import read_calibration
from render.images import read_image

from ..worlds.rooms.collision import sample_free_pose
from ..worlds.rooms.layout import make_room, stack_rooms
from ..worlds.rooms.raycast import raycast
from ..worlds.rooms.rig import RoomsRig


@dataclass(frozen=True)
class TruePair:
    """A rectified pair: images [H, W, 3] in 0..1, true disparity [H, W] (inf: unknown), where it is visible to both
    eyes, and the search range in pixels, None where the data set states none."""

    left: ndarray
    right: ndarray
    truth: ndarray
    visible: ndarray
    search: int | None

    @property
    def known(self) -> ndarray:
        return np.isfinite(self.truth)


def read_true_pair(folder: Path) -> TruePair:
    """The pair in a folder of stereo_gt, each encoded as its SOURCE.txt says."""

    def image(name: str) -> ndarray:
        return np.asarray(read_image(folder / name))

    def mask(name: str) -> ndarray:
        return image(name)[..., 0] == 1

    def integers(name: str, scale: float) -> ndarray:
        values = cv2.imread(str(folder / name), cv2.IMREAD_UNCHANGED)
        if values is None:
            raise FileNotFoundError(f"{folder / name}: no such image; expected the true disparity.")
        values = values if values.ndim == 2 else values[..., 0]
        return np.where(values > 0, values / scale, np.inf)

    if folder.name == "motorcycle_q":
        search = read_calibration(folder / "calib.txt").max_disparity
        visible = mask("mask0nocc.png")
        return TruePair(image("im0.png"), image("im1.png"), _pfm(folder / "disp0GT.pfm"), visible, search)
    if folder.name.startswith("kitti"):
        truth = integers("disp_occ_0.png", 256)
        return TruePair(image("left.png"), image("right.png"), truth, np.isfinite(truth), None)
    if folder.name.startswith("sceneflow"):
        visible = image("occ_left.png")[..., 0] == 0
        return TruePair(image("left.png"), image("right.png"), _pfm(folder / "disp_left.pfm"), visible, None)
    scale, search = {"tsukuba": (16, 16), "cones": (4, 64)}[folder.name]
    truth = np.where(mask("all.png"), integers("groundtruth.png", scale), np.inf)
    return TruePair(image("imL.png"), image("imR.png"), truth, mask("nonocc.png"), search)


def room_pair(seed: int, width: int, height: int) -> TruePair:
    """What both eyes of the rooms' rig see in the room of this seed; images as quantised. Its search range is half of
    the width: surfaces from 0.38 m on."""
    rig, rooms = RoomsRig(size=width), stack_rooms([make_room(seed)])
    w2c = sample_free_pose(rooms, 0, rig.radius, rig.eye_height)
    with torch.no_grad():
        seen = raycast(rooms, rig.stereo(w2c))
    top = (width - height) // 2  # rows above the middle ones do not change the disparity
    rows = slice(top, top + height)
    left, right = ((seen.rgb[0, eye, rows] * 255).round().numpy() / 255 for eye in (0, 1))
    true, other = (rig.focal * rig.baseline / seen.depth[0, eye, rows].numpy() for eye in (0, 1))
    columns = np.arange(width) - true.round().astype(int)
    met = np.take_along_axis(other, columns.clip(0), 1)
    return TruePair(left, right, true, (columns >= 0) & (np.abs(met - true) < 1), width // 2)


def _pfm(path: Path) -> ndarray:
    """A grey PFM as float32 [H, W], its first row on top."""
    content = path.read_bytes()
    header = re.match(rb"Pf\s+(\d+)\s+(\d+)\s+(-?)\S+\s", content)
    if header is None:
        raise ValueError(f"{path}: expected a grey PFM, which begins with Pf; got {content[:8]!r}.")
    width, height = int(header[1]), int(header[2])
    kind = "<f4" if header[3] else ">f4"
    return np.frombuffer(content[header.end() :], kind).reshape(height, width)[::-1].astype(np.float32)
