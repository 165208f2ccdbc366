"""The recipes: views into a scene. No mathematics here."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from render.camera import Camera
from render.images import read_image

from .calibration import Calibration, read_calibration
from .depth_sources import depth_source
from .fuse import FuseConfig, fuse
from .measuring import EARLIER_VIEWS, measure_views
from .observing import observe
from .readers.camera_info import read_camera_info, stereo_motion
from .rectification import rectify
from .scene import GaussianScene
from .stereo import SUSPECT_BELOW
from .stereo_checks import check_pair
from .view import View

RECONSTRUCTION = FuseConfig(max_gaussians=1_000_000)


def reconstruct(views: Sequence[View], depth: str = "stereo", *, config: FuseConfig = RECONSTRUCTION) -> GaussianScene:
    """The scene that the views (in time order) observe, each measured by the named depth source, gated and fused.

    Views without usable depth add nothing, and a warning says why; recon.sequences.reconstruct_sequence says it of each
    view. Raises ValueError for no views or an unknown depth source.
    """
    if not views:
        raise ValueError("reconstruct needs at least one view; got none.")
    measured = measure_views(views, depth)
    if measured.problems:
        warnings.warn(f"reconstruct by '{depth}': {measured.summary()}", stacklevel=2)
    scene = GaussianScene.empty(device=views[0].camera.device)
    for step, view in enumerate(measured.views):
        earlier = measured.views[max(0, step - EARLIER_VIEWS) : step]
        scene = observe(scene, view, earlier, step=step, config=config)
    return scene


def reconstruct_pair(
    left: str | Path,
    right: str | Path,
    *,
    calibration: str | Path | Calibration | None = None,
    focal: float | None = None,
    baseline: float | None = None,
    doffs: float = 0.0,
    max_disparity: int | None = None,
    depth: str = "stereo",
    config: FuseConfig = RECONSTRUCTION,
) -> tuple[GaussianScene, View]:
    """The scene and the measured view (with depth and confidence) of one rectified pair of image files.

    A pair that cannot be measured gives an empty scene, and a warning says why.

    Either calibration, a Middlebury calib.txt, or focal in pixels and baseline in metres, with the principal
    point in the middle and doffs = cx_right - cx_left in pixels. The left camera is the world. max_disparity in
    pixels overrides the search range. depth: "stereo", "learned_stereo" or "learned_stereo(FOLDER)".
    Raises FileNotFoundError, FormatError for damaged files, ValueError for unequal sizes, missing calibration or a
    source that is not of two eyes.
    """
    if depth.split("(")[0] not in ("stereo", "learned_stereo"):
        raise ValueError(
            f"a pair is measured by 'stereo', 'learned_stereo' or 'learned_stereo(FOLDER)'; got {depth!r}."
        )
    source: Any = depth_source(depth)
    known = pair_calibration(calibration, focal, baseline)
    if known is not None and doffs:
        raise ValueError(f"expected doffs within the calibration that was given; got doffs={doffs} beside it. Drop it.")
    left_image, right_image = read_pair(left, right)
    height, width = left_image.shape[:2]
    if known is None:
        assert focal is not None and baseline is not None
        known = Calibration(focal, width / 2, height / 2, baseline, disparity_offset=doffs)
    camera: Camera = known.camera(width, height)
    view = View(
        left_image,
        camera,
        right=right_image,
        baseline=known.baseline,
        disparity_offset=known.disparity_offset,
    )
    return _measured_pair(view, source, max_disparity or known.max_disparity, f"{left}, {right}", config)


def reconstruct_raw_pair(
    left: str | Path,
    right: str | Path,
    left_info: str | Path,
    right_info: str | Path,
    *,
    baseline: float | None = None,
    max_disparity: int | None = None,
    depth: str = "stereo",
    config: FuseConfig = RECONSTRUCTION,
) -> tuple[GaussianScene, View]:
    """As reconstruct_pair, of image files as the cameras took them, with ROS's camera_info YAML of each eye.

    baseline in metres where the eyes were calibrated one by one: how they stand to each other is then estimated from
    the images. Raises FileNotFoundError, FormatError, ValueError for what does not fit together, and where the estimate
    is not to be trusted.
    """
    source: Any = depth_source(depth)
    infos = read_camera_info(left_info), read_camera_info(right_info)
    motion = stereo_motion(*infos)
    if motion is None and baseline is None:
        raise ValueError(
            f"{left_info} and {right_info} say nothing of each other (the right projection_matrix has no baseline); "
            "expected a stereo calibration, or --baseline in metres and an estimate from the images."
        )
    images = read_pair(left, right)
    found = rectify([images], infos[0].lens, infos[1].lens, right_from_left=motion, baseline=baseline)
    if not found.sure:
        raise ValueError(
            f"{left}, {right}: how the eyes stand to each other cannot be told from the images: {found.reason}. "
            "Give a stereo calibration."
        )
    return _measured_pair(found.views[0], source, max_disparity, f"{left}, {right}", config)


def _measured_pair(
    view: View, source: Any, max_disparity: int | None, named: str, config: FuseConfig
) -> tuple[GaussianScene, View]:
    """The scene and the measured view; a warning says why nothing is measured."""
    measured, confidence = source([view], max_disparity=max_disparity)
    view = replace(view, depth=measured, confidence=confidence)
    if float((measured > 0).float().mean()) < SUSPECT_BELOW:
        status = check_pair(view, max_disparity=max_disparity)
        if not status.ok:
            warnings.warn(f"{named}: {status.reason}", stacklevel=3)
    scene = fuse(GaussianScene.empty(), view, observed=True, step=0, config=config)
    return scene, view


def pair_calibration(
    calibration: str | Path | Calibration | None, focal: float | None, baseline: float | None
) -> Calibration | None:
    """The calibration of a pair, or None when focal and baseline are given instead (and valid).

    Raises ValueError when both or neither are given, or a number is not positive.
    """
    if calibration is not None:
        if focal is not None or baseline is not None:
            raise ValueError("give either a calibration or focal and baseline; got both. Leave one out.")
        return calibration if isinstance(calibration, Calibration) else read_calibration(calibration)
    for name, value, unit in (("focal", focal, "pixels"), ("baseline", baseline, "metres")):
        if value is None:
            raise ValueError(
                f"a stereo pair needs a calibration file, or focal (pixels) and baseline (metres); got no "
                f"{name}. "
                f"Give --calibration, or --{name} in {unit}."
            )
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name} must be a number of {unit} above 0; got {value}.")
    return None


def read_pair(left: str | Path, right: str | Path) -> tuple[Float[Tensor, "H W 3"], Float[Tensor, "H W 3"]]:
    """Two images in 0..1. Raises FileNotFoundError, FormatError, or ValueError when the sizes differ."""
    images = [torch.as_tensor(read_image(path)) for path in (left, right)]
    if images[0].shape != images[1].shape:
        sizes = [f"{path} {image.shape[1]}x{image.shape[0]}" for path, image in zip((left, right), images, strict=True)]
        raise ValueError(
            f"a rectified pair must have images of one size; got {' and '.join(sizes)}. Rectify or crop them first."
        )
    return images[0], images[1]
