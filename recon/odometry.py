"""Motion from images with depth: matched features and PnP, for RGB-D refined over all pixels; failures are reported.

The refinement is Open3D's hybrid of colour and depth (Park et al., Colored Point Cloud Registration Revisited, 2017),
which alone finds only small motions and says that it succeeded where it did not: so it starts at the features' answer,
and the answer of the two is taken under which the depth maps agree better.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from render.camera import Camera
from render.geometry import unproject

from .features import Features, find_features, match_features
from .open3d_import import import_open3d
from .resection import resect
from .stereo import stereo_depth
from .view import View

THRESHOLD = 2.0  # pixels
WITHIN = 0.05  # of the depth: agrees
HIDDEN = 0.3  # of the depth nearer than expected: another surface is in front
LEAST_AGREEMENT = 0.5  # of the pixels that both measure; below, it is another motion or another place
BRIDGED = 3  # earlier views that are tried, when the one before does not do: a blurred image is stepped over
STRIDE = 4  # pixels, where agreement is looked at


@dataclass(frozen=True)
class Step:
    """The motion from view `start` to the next one, `x_b = b_from_a @ x_a`, in metres. Where it was not tracked, why,
    and the identity. inliers: matched points; agreement: the share of pixels whose depths agree within 5 %."""

    start: int
    b_from_a: Float[Tensor, "4 4"]
    tracked: bool
    reason: str
    inliers: int
    agreement: float


@dataclass(frozen=True)
class Odometry:
    """cameras [V]: in the world of their piece's first camera. piece [V]: 0 for what is tracked from the first view,
    another number from each view on that could not be tracked; nothing is known of how one piece lies to another.
    steps [V - 1]: to each view from an earlier one."""

    cameras: Camera
    piece: Int[Tensor, "V"]
    steps: tuple[Step, ...]

    @property
    def tracked(self) -> Bool[Tensor, "V"]:
        """Which cameras are in the first one's world."""
        return self.piece == 0


def track(views: Sequence[View], source: Literal["rgbd", "stereo"] = "rgbd") -> Odometry:
    """The cameras of views in time order, from K and depth alone: the views' own w2c is not looked at.

    source: "rgbd" reads View.depth; "stereo" measures it from both eyes and never looks at View.depth. Depth that is
    not finite or not positive is none. Raises ValueError for no views, or views without what the source needs.
    """
    if not views:
        raise ValueError("track needs at least one view; got none.")
    measured = [_measured(view, source) for view in views]
    features = [find_features(view.image) for view in measured]
    w2c = [torch.eye(4, dtype=torch.float64)]
    piece, steps = [0], []
    for index in range(1, len(views)):
        tried = []
        for start in range(index - 1, max(index - 1 - BRIDGED, -1), -1):
            step = _step(measured[start], measured[index], features[start], features[index], source == "rgbd")
            tried.append(replace(step, start=start))
            if step.tracked:
                break
        step = tried[-1] if tried[-1].tracked else tried[0]
        steps.append(step)
        w2c.append(step.b_from_a @ w2c[step.start] if step.tracked else torch.eye(4, dtype=torch.float64))
        piece.append(piece[step.start] if step.tracked else max(piece) + 1)
    K = torch.stack([view.camera.K for view in views])
    cameras = Camera(K, torch.stack(w2c).to(K), views[0].width, views[0].height)
    return Odometry(cameras, torch.tensor(piece), tuple(steps))


def track_step(a: View, b: View, source: Literal["rgbd", "stereo"] = "rgbd") -> Step:
    """The motion from view a to view b, as in `track`."""
    a, b = _measured(a, source), _measured(b, source)
    return _step(a, b, find_features(a.image), find_features(b.image), source == "rgbd")


def depth_agreement(a: View, b: View, b_from_a: Float[Tensor, "4 4"]) -> tuple[float, float]:
    """Of a's depth pixels that fall onto depth of b, those hidden by something nearer left out: the share within 5 %,
    and the median relative difference. 0 and infinity where nothing falls onto anything."""
    assert a.depth is not None and b.depth is not None
    origin = Camera(a.camera.K, torch.eye(4).to(a.camera.K), a.width, a.height)
    points = unproject(a.depth, origin)[::STRIDE, ::STRIDE][(a.depth > 0)[::STRIDE, ::STRIDE]]
    points = points @ b_from_a[:3, :3].T.to(points) + b_from_a[:3, 3].to(points)
    points = points[points[:, 2] > 1e-6]
    K = b.camera.K
    pixels = (points[:, :2] / points[:, 2:] * K[[0, 1], [0, 1]] + K[:2, 2]).floor().long()
    inside = ((pixels >= 0) & (pixels < torch.tensor([b.width, b.height]))).all(1)
    u, v = pixels[inside].unbind(1)
    there, expected = b.depth[v, u], points[inside, 2]
    counted = (there > 0) & (there > (1 - HIDDEN) * expected)
    if not bool(counted.any()):
        return 0.0, float("inf")
    difference = ((there - expected).abs() / expected)[counted]
    return float((difference < WITHIN).float().mean()), float(difference.median())


def _measured(view: View, source: Literal["rgbd", "stereo"]) -> View:
    """The view with the depth that the source has."""
    if source == "stereo":
        depth, _ = stereo_depth([view])
        return replace(view, depth=depth)
    if view.depth is None:
        raise ValueError("track(source='rgbd') needs View.depth; got none. Use source='stereo' for two eyes.")
    usable = view.depth.isfinite() & (view.depth > 0)
    return replace(view, depth=torch.where(usable, view.depth, 0.0))


def _step(a: View, b: View, features_a: Features, features_b: Features, dense: bool) -> Step:
    assert a.depth is not None
    pairs = match_features(features_a, features_b)
    pixels_a, pixels_b = features_a.pixels[pairs[:, 0]], features_b.pixels[pairs[:, 1]]
    u, v = pixels_a.floor().long().unbind(1)
    depth = a.depth[v.clamp(0, a.height - 1), u.clamp(0, a.width - 1)].double()
    near = depth > 0
    K = a.camera.K.double()
    rays = torch.cat([(pixels_a - K[:2, 2]) / K[[0, 1], [0, 1]], torch.ones(len(pairs), 1)], dim=1)
    found = resect((rays * depth[:, None])[near], pixels_b[near], b.camera.K.double(), THRESHOLD)
    if not found.found:
        return Step(0, found.w2c, False, found.reason, 0, 0.0)
    motions = [found.w2c, *([_refined(a, b, found.w2c)] if dense else [])]
    agreements = [depth_agreement(a, b, motion) for motion in motions]
    best = min(range(len(motions)), key=lambda i: agreements[i][1])
    share, inliers = agreements[best][0], int(found.inliers.sum())
    if share < LEAST_AGREEMENT:
        reason = f"the depth maps agree on {share:.0%} of their pixels under the best motion"
        return Step(0, torch.eye(4, dtype=torch.float64), False, reason, inliers, share)
    return Step(0, motions[best], True, "", inliers, share)


def _refined(a: View, b: View, b_from_a: Tensor) -> Tensor:
    """By colour and depth of all pixels, from a nearby motion."""
    open3d = import_open3d()
    odometry = open3d.pipelines.odometry
    K = a.camera.K.double()
    # Open3D's first pixel centre is (0, 0).
    centers = float(K[0, 2]) - 0.5, float(K[1, 2]) - 0.5
    intrinsics = open3d.camera.PinholeCameraIntrinsic(a.width, a.height, float(K[0, 0]), float(K[1, 1]), *centers)
    option = odometry.OdometryOption()
    option.depth_max = 1e3  # metres; the default leaves out what is farther than 4
    _, motion, _ = odometry.compute_rgbd_odometry(
        _open3d_image(a),
        _open3d_image(b),
        intrinsics,
        b_from_a.numpy(),
        odometry.RGBDOdometryJacobianFromHybridTerm(),
        option,
    )
    refined = torch.from_numpy(np.array(motion))
    return refined if bool(refined.isfinite().all()) else b_from_a


def _open3d_image(view: View) -> object:
    open3d = import_open3d()
    assert view.depth is not None
    colours = (view.image.detach().cpu().clamp(0, 1) * 255).round().to(torch.uint8).contiguous().numpy()
    depth = view.depth.detach().cpu().float().contiguous().numpy()
    image = open3d.geometry.Image
    return open3d.geometry.RGBDImage.create_from_color_and_depth(
        image(colours), image(depth), depth_scale=1.0, depth_trunc=1e3, convert_rgb_to_intensity=True
    )
