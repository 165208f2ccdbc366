"""Posed depth maps against each other: which points other views confirm, contradict or cannot see.

A point of one view is projected into another; the depth found there is projected back. Source: Schönberger et al.,
Pixelwise View Selection for Unstructured Multi-View Stereo (ECCV 2016), forward-backward reprojection.
"""

# pyright: reportCallIssue=false, reportArgumentType=false
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int32
from numpy import ndarray

from render.camera import Camera
from render.cpu.kernel import kernel

PIXELS = 2.0  # reprojection error up to which two depths agree
RELATIVE = 0.02  # difference of depth, as a share of it, up to which they agree


@dataclass(frozen=True)
class Agreement:
    """How many other views, for each pixel with depth, hold the same surface; look through it at something farther;
    see something nearer (the point may be occluded: no contradiction); have it in their image with a depth at all.
    reprojection: mean error in pixels over the views that agree, 0 where there are none."""

    agreeing: Int32[ndarray, "H W"]
    contradicting: Int32[ndarray, "H W"]
    occluding: Int32[ndarray, "H W"]
    seen: Int32[ndarray, "H W"]
    reprojection: Float32[ndarray, "H W"]


def agreement(
    depth: Float32[ndarray, "H W"],
    camera: Camera,
    depths: Sequence[Float32[ndarray, "_ _"]],
    cameras: Sequence[Camera],
    *,
    pixels: float = PIXELS,
    relative: float = RELATIVE,
) -> Agreement:
    """What the other views' depths say about this one's. Each camera has the size of its depth (metres, 0 = none).

    Raises ValueError where sizes differ or a depth is not finite and >= 0.
    """
    for one, its in zip([depth, *depths], [camera, *cameras], strict=True):
        if one.shape != (its.height, its.width):
            raise ValueError(
                f"consistency needs depth of its camera's size, {its.height} x {its.width}; got {one.shape[0]} x "
                f"{one.shape[1]}. Use camera.resized()."
            )
        if not np.all(np.isfinite(one) & (one >= 0)):
            raise ValueError("consistency needs depth finite and >= 0 metres; got others. Set what is unknown to 0.")
    counts = [np.zeros(depth.shape, np.int32) for _ in range(4)]
    error = np.zeros(depth.shape, np.float32)
    lens = pinhole(camera)
    for other, its in zip(depths, cameras, strict=True):
        _compare(depth, lens, other, pinhole(its), between(camera, its), pixels, relative, *counts, error)
    agreeing = counts[0]
    return Agreement(*counts, reprojection=error / np.maximum(agreeing, 1).astype(np.float32))


def pinhole(camera: Camera) -> Float64[ndarray, "4"]:
    """fx, fy, cx, cy in pixels."""
    K = camera.K.detach().cpu().double().numpy()
    return np.array([K[0, 0], K[1, 1], K[0, 2], K[1, 2]])


def between(camera: Camera, other: Camera) -> Float64[ndarray, "4 4"]:
    """other_from_camera."""
    return (other.w2c.detach().cpu().double() @ camera.c2w.detach().cpu().double()).numpy()


@kernel
def _compare(
    depth, lens, other, other_lens, other_from_here, pixels, relative, agreeing, contradicting, occluding, seen, error
):
    height, width = depth.shape
    rows, columns = other.shape
    R, t = other_from_here[:3, :3], other_from_here[:3, 3]
    for y in range(height):
        for x in range(width):
            z = depth[y, x]
            if z <= 0:
                continue
            a, b = (x + 0.5 - lens[2]) / lens[0] * z, (y + 0.5 - lens[3]) / lens[1] * z
            there = R[2, 0] * a + R[2, 1] * b + R[2, 2] * z + t[2]
            if there <= 1e-6:
                continue
            u = (R[0, 0] * a + R[0, 1] * b + R[0, 2] * z + t[0]) / there * other_lens[0] + other_lens[2]
            v = (R[1, 0] * a + R[1, 1] * b + R[1, 2] * z + t[1]) / there * other_lens[1] + other_lens[3]
            if not (u >= 0 and v >= 0 and u < columns and v < rows):
                continue
            found = other[int(v), int(u)]
            if found <= 0:
                continue
            seen[y, x] += 1
            if found > there * (1 + relative):
                contradicting[y, x] += 1
                continue
            if found < there * (1 - relative):
                occluding[y, x] += 1
                continue
            # the surface found there, along the ray to this point, back into this view
            p = (u - other_lens[2]) / other_lens[0] * found - t[0]
            q = (v - other_lens[3]) / other_lens[1] * found - t[1]
            r = found - t[2]
            back = R[0, 2] * p + R[1, 2] * q + R[2, 2] * r
            if back <= 1e-6:
                continue
            i = (R[0, 0] * p + R[1, 0] * q + R[2, 0] * r) / back * lens[0] + lens[2] - (x + 0.5)
            j = (R[0, 1] * p + R[1, 1] * q + R[2, 1] * r) / back * lens[1] + lens[3] - (y + 0.5)
            distance = np.sqrt(i * i + j * j)
            if distance <= pixels:
                agreeing[y, x] += 1
                error[y, x] += np.float32(distance)
