"""Cameras from images, measured on recorded sequences: `python -m hybridwm.bench.recon_cameras DATA` prints them."""

from __future__ import annotations

import importlib.util
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

from recon.alignment import align, rotation_degrees
from recon.cameras import Method, estimate_cameras
from recon.features import find_features, match_features
from recon.odometry import track
from recon.readers import read_captured
from recon.two_view import relative_camera_from_matches
from recon.view import View
from render.transforms import invert_rigid

GAP = 2  # images between the two of a pair


def measure(data_folder: str | Path) -> dict[str, float]:
    """Of the recordings under data_folder that are there: two-view medians (degrees) over all pairs two apart, cameras
    registered, ATE (m, after a similarity; odometry: after a rigid transform), verdicts (1 = sure) and seconds."""
    data, figures = Path(data_folder) / "multiview", {}
    for name, with_depth in (("tum_fr2_desk_10", False), ("hololens000_a", True), ("icl_nuim_livingroom_5", True)):
        if not (data / name).is_dir():
            continue
        views = list(read_captured(data / name).views)
        found: dict[str, float] = {}
        if len(views) > 2 * GAP + 2:
            found |= _two_view(views)
            for method in ("incremental", "colmap") if importlib.util.find_spec("pycolmap") else ("incremental",):
                found |= _structure(views, method)
        if with_depth:
            found |= _odometry(views)
        figures |= {f"{name}: {figure}": value for figure, value in found.items()}
    return figures


def _two_view(views: Sequence[View]) -> dict[str, float]:
    features = [find_features(view.image) for view in views]
    turned, aside, sure = [], [], []
    for a in range(len(views) - GAP):
        b = a + GAP
        pairs = match_features(features[a], features[b])
        pixels = features[a].pixels[pairs[:, 0]], features[b].pixels[pairs[:, 1]]
        found = relative_camera_from_matches(*pixels, views[a].camera.K)
        truth = views[b].camera.w2c.double() @ invert_rigid(views[a].camera.w2c.double())
        turned.append(float(rotation_degrees(found.b_from_a[:3, :3].T @ truth[:3, :3])))
        cosine = float(truth[:3, 3] @ found.b_from_a[:3, 3] / truth[:3, 3].norm())
        aside.append(math.degrees(math.acos(max(-1.0, min(1.0, cosine)))))
        sure.append(found.sure)
    worst = max((angle for angle, one in zip(aside, sure, strict=True) if one), default=math.nan)
    return {
        "two views, rotation, median degrees": median(turned),
        "two views, direction, median degrees": median(aside),
        "two views, sure, share": sum(sure) / len(sure),
        "two views, direction, worst of the sure": worst,
    }


def _structure(views: Sequence[View], method: Method) -> dict[str, float]:
    start = time.perf_counter()
    found = estimate_cameras([view.image for view in views], views[0].camera.K, method)
    seconds = time.perf_counter() - start
    figures = {"registered": float(found.registered.sum()), "sure": float(found.sure), "seconds": seconds}
    if int(found.registered.sum()) > 2:
        figures["ATE m"] = align(found.cameras.center[found.registered], _centers(views)[found.registered]).ate
    return {f"{method}, {name}": value for name, value in figures.items()}


def _odometry(views: Sequence[View]) -> dict[str, float]:
    found = track(views)
    figures = {"tracked": float(found.tracked.sum())}
    if int(found.tracked.sum()) > 2:
        figures["ATE m"] = align(found.cameras.center[found.tracked], _centers(views)[found.tracked], "rigid").ate
    return {f"RGB-D odometry, {name}": value for name, value in figures.items()}


def _centers(views: Sequence[View]) -> Tensor:
    return torch.stack([view.camera.center for view in views])


if __name__ == "__main__":
    for figure, measured in measure(sys.argv[1]).items():
        print(f"{figure:65} {measured:.4g}")
