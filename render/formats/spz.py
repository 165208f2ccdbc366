"""Splats as SPZ (Niantic), versions 1 to 4: one byte or a few for each value, compressed.

Source: the format's documentation, github.com/nianticlabs/spz. An attribute is stored for all splats before the
next begins. Opacity, log scale, colour and the higher SH coefficients are bytes; positions 24-bit fixed point
(version 1: half floats); rotations the quaternion's x, y, z in bytes (versions 1, 2) or its smallest three
components (3, 4). Axes: +y up, +z backward. Whether the scene was trained with anti-aliasing is not kept.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, UInt8

from ..conventions import PLY_FROM_SPZ, wxyz_from_xyzw
from ..gaussians import Gaussians
from ..transforms import multiply_quats, quats_from_matrix
from .checks import checked_gaussians
from .smallest_three import quats_from_smallest_three
from .spz_streams import Header, read_streams

COLOR_SCALE = 0.15  # a colour byte / 255 is 0.5 + 0.15 f_dc
_SCALES = np.exp(np.arange(256) / 16 - 10).astype(np.float32)


def load_spz(path: Path) -> Gaussians:
    """Reads splats of SH degree 0 to 3, in the axes of the PLY of the same scene.

    Raises FormatError for anything else; no more is unpacked than a scene of the header's count takes.
    """
    header, streams = read_streams(path)
    colors = (streams["colors"].astype(np.float32) / 255 - np.float32(0.5)) / np.float32(COLOR_SCALE)
    rest = (streams["sh"].astype(np.float32) - 128) / 128
    gaussians = checked_gaussians(
        path,
        means=_means(streams["positions"], header),
        quats=_quats(streams["rotations"]),
        scales=_SCALES[streams["scales"]],
        opacities=streams["alphas"][:, 0].astype(np.float32) / 255,
        sh=np.concatenate([colors[:, None], rest.reshape(header.count, rest.shape[1] // 3, 3)], axis=1),
    ).transform(PLY_FROM_SPZ)
    # SPZ's own converters turn each Gaussian's axes with the world's, so that only signs change: turned back here.
    return replace(gaussians, quats=multiply_quats(gaussians.quats, quats_from_matrix(PLY_FROM_SPZ[:3, :3]).float()))


def _means(data: UInt8[np.ndarray, "N B"], header: Header) -> Float32[np.ndarray, "N 3"]:
    if header.version == 1:
        return data.view("<f2").astype(np.float32)
    # The three bytes become the upper ones of four, so that shifting down extends the sign.
    wide = np.zeros((len(data), 3, 4), np.uint8)
    wide[..., 1:] = data.reshape(-1, 3, 3)
    fixed = wide.view("<i4")[..., 0] >> 8
    return fixed.astype(np.float32) * np.float32(2.0**-header.fractional_bits)


def _quats(data: UInt8[np.ndarray, "N B"]) -> Float32[np.ndarray, "N 4"]:
    if data.shape[1] == 3:
        xyz = data.astype(np.float32) / np.float32(127.5) - 1
        w = np.sqrt(np.maximum(0, 1 - np.square(xyz).sum(axis=1, keepdims=True)))
        return np.concatenate([w, xyz], axis=1)
    words = data.view("<u4")[:, 0]
    three = np.empty((len(words), 3), np.float32)
    for i, shift in enumerate((20, 10, 0)):
        size = ((words >> np.uint32(shift)) & np.uint32(511)).astype(np.float32) * np.float32(0.5**0.5 / 511)
        three[:, i] = np.where((words >> np.uint32(shift + 9)) & np.uint32(1), -size, size)
    xyzw = torch.from_numpy(quats_from_smallest_three(three, words >> np.uint32(30)))
    return wxyz_from_xyzw(xyzw).numpy()
