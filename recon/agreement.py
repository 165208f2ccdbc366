"""What a view says of the Gaussians it sees: which agree with its surface, which it refutes or replaces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from render.rasterize import RenderOutput

from .lift import MIN_CONFIDENCE, PIXEL_SIGMA
from .scene import GaussianScene
from .view import View

NEAR = 1e-3  # metres; what is closer to the camera is not compared
MOST_SLANT = 1.1  # by which a pixel's surface may be farther away at the Gaussian's own place in it


@dataclass(frozen=True)
class FuseConfig:
    """How views enter the scene. Shares are of the depth; confidences and alphas lie in 0..1."""

    max_gaussians: int = 200_000
    max_bytes: int = 2**28  # of the Gaussians and their provenance; the tighter of the two bounds holds
    min_confidence: float = MIN_CONFIDENCE
    tolerance: float = 0.04  # surfaces closer than this share of the depth agree, at full confidence
    tolerance_per_doubt: float = 0.5  # added for each unit of 1 / confidence - 1, the relative error of a disparity
    max_tolerance: float = 0.25
    blind_below: float = 0.5  # alpha under which the scene does not know
    refute_confidence: float = 0.6  # trust that a view needs to remove what stands in front of its surface
    refute_margin: float = 1.5  # tolerances by which a Gaussian must stand in front
    refine_ratio: float = 1.8  # a Gaussian this much wider than the view's pixels is replaced by finer ones
    most_weight: float = 32.0  # confirmations beyond this do not slow the running mean further
    imagined_rate: float = 0.1  # how fast imagined views pull imagined Gaussians that agree


class Seen(NamedTuple):
    """inside: whose centre falls in the image. Of those that are not hidden far behind what the view measured: index,
    pixel, position, depth, middle one of the scales; and the surface that the view measured there: depth, confidence,
    trust (also in pixels that seem to float between two surfaces, as those of a floor seen at a grazing angle do:
    enough to carve by), tolerance in metres."""

    inside: Bool[Tensor, "N"]
    index: Int[Tensor, "M"]
    pixel: Int[Tensor, "M"]
    uv: Float[Tensor, "M 2"]
    depth: Float[Tensor, "M"]
    width: Float[Tensor, "M"]
    surface: Float[Tensor, "M"]
    confidence: Float[Tensor, "M"]
    trust: Float[Tensor, "M"]
    tolerance: Float[Tensor, "M"]


class Verdict(NamedTuple):
    """What a view says of the Gaussians: which survive and are in view; of the seen ones, which agree (and
    survive) and which are refuted; and the pixels around those that it removed."""

    survivors: Bool[Tensor, "N"]
    in_view: Bool[Tensor, "N"]
    agrees: Bool[Tensor, "M"]
    refuted: Bool[Tensor, "M"]
    reopened: Bool[Tensor, "H W"]


def see(
    scene: GaussianScene,
    view: View,
    valid: Bool[Tensor, "H W"],
    normals: Float[Tensor, "H W 3"],
    config: FuseConfig,
) -> Seen:
    assert view.depth is not None
    camera, width, height = view.camera, view.width, view.height
    # what is behind all that is measured around it is hidden, at any tolerance (fuse looks at two) and slant
    hidden = 1.01 * MOST_SLANT * (1 + 2 * config.max_tolerance) * pool(view.depth)
    # every Gaussian passes here: rows of x, y, z, and a frustum that is tested without dividing
    x, y, z = torch.addmm(camera.w2c[:3, 3:], camera.w2c[:3, :3], scene.gaussians.means.T).unbind(0)
    fx, fy, cx, cy = (float(camera.K[i, j]) for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))
    u, v = fx * x + cx * z, fy * y + cy * z
    inside = (z > NEAR) & (u >= 0) & (u < width * z) & (v >= 0) & (v < height * z)
    index = (inside & (z <= hidden.max())).nonzero().squeeze(1)
    u, v, z = (values.index_select(0, index) for values in (u, v, z))
    column = (u / z).long().clamp(max=width - 1)
    row = (v / z).long().clamp(max=height - 1)
    pixel = row * width + column
    depth = view.depth.flatten().index_select(0, pixel)
    near = ((depth > 0) & (z <= hidden.flatten().index_select(0, pixel))).nonzero().squeeze(1)
    index, u, v, z, column, row, pixel, depth = (
        values.index_select(0, near) for values in (index, u, v, z, column, row, pixel, depth)
    )
    uv = torch.stack([u, v], dim=1) / z[:, None]

    # the view's surface at the Gaussian's own position inside the pixel: the tangent plane, cut by its ray
    normal = (normals.reshape(-1, 3) @ camera.w2c[:3, :3].T)[pixel]
    focal, principal = uv.new_tensor([fx, fy]), uv.new_tensor([cx, cy])
    centre = (torch.stack([column, row], dim=1) + 0.5 - principal) / focal
    own = (uv - principal) / focal
    facing = (normal[:, :2] * own).sum(1) + normal[:, 2]
    facing_centre = (normal[:, :2] * centre).sum(1) + normal[:, 2]
    ratio = torch.where(facing.abs() > 0.05, facing_centre / facing, torch.ones_like(facing))
    surface = depth * ratio.clamp(2 - MOST_SLANT, MOST_SLANT)

    measured = (view.depth > 0).to(z.dtype)
    trust = (measured if view.confidence is None else view.confidence * measured).flatten()[pixel]
    confidence = trust * valid.flatten()[pixel]
    tolerance = tolerance_share(torch.minimum(trust, scene.confidence[index]), config) * surface
    scales = scene.gaussians.scales[index]
    width_in_plane = scales.sum(1) - scales.amax(1) - scales.amin(1)
    return Seen(inside, index, pixel, uv, z, width_in_plane, surface, confidence, trust, tolerance)


def judge(
    scene: GaussianScene,
    view: View,
    seen: Seen,
    valid: Bool[Tensor, "H W"],
    recalled: RenderOutput,
    observed: bool,
    config: FuseConfig,
) -> Verdict:
    """Hold the Gaussians that are seen against the view's surface."""
    assert view.depth is not None
    measured = seen.confidence > 0
    agrees = measured & ((seen.depth - seen.surface).abs() <= seen.tolerance)
    trust = torch.ones_like(view.depth) if view.confidence is None else view.confidence
    nearest = -pool(torch.where((view.depth > 0) & (trust >= config.min_confidence), -view.depth, -torch.inf))
    in_front = seen.depth < nearest.flatten()[seen.pixel] - config.refute_margin * seen.tolerance
    refuted = in_front & (seen.trust >= config.refute_confidence)

    # finer detail replaces a wide Gaussian only where the view measured all around it
    pixel_width = PIXEL_SIGMA * seen.surface / (0.5 * (view.camera.K[0, 0] + view.camera.K[1, 1]))
    wide = seen.width > config.refine_ratio * pixel_width
    surrounded = (-pool(-valid.to(view.depth.dtype)) > 0.5).flatten()[seen.pixel]
    replaced = agrees & wide & surrounded

    imagined = ~scene.observed[seen.index]
    if observed:
        votes = scene.confirmations[seen.index]
        gone = (imagined & (agrees | refuted)) | (~imagined & (replaced | (refuted & (votes <= 1))))
    else:
        unobserved = (observed_alpha_of(recalled) < 1 - config.blind_below).flatten()[seen.pixel]
        gone = imagined & (refuted | (replaced & unobserved))
    survivors = torch.ones(len(scene), dtype=torch.bool, device=scene.device)
    survivors[seen.index[gone]] = False
    reopened = torch.zeros_like(view.depth).flatten()
    reopened[seen.pixel[gone]] = 1
    return Verdict(survivors, seen.inside, agrees & ~gone, refuted, pool(reopened.reshape(view.depth.shape)) > 0)


def tolerance_share(confidence: Float[Tensor, "*S"], config: FuseConfig) -> Float[Tensor, "*S"]:
    """The share of the depth by which surfaces may differ and still agree."""
    doubt = 1 / confidence.clamp(min=0.05) - 1
    return (config.tolerance + config.tolerance_per_doubt * doubt).clamp(max=config.max_tolerance)


def observed_alpha_of(recalled: RenderOutput) -> Float[Tensor, "H W"]:
    return recalled.alpha if recalled.features is None else recalled.features[..., 0]


def pool(values: Float[Tensor, "*B H W"]) -> Float[Tensor, "*B H W"]:
    """The largest value of each 3 x 3 neighbourhood."""
    if values.ndim == 2:
        return torch.nn.functional.max_pool2d(values[None, None], 3, stride=1, padding=1)[0, 0]
    return torch.nn.functional.max_pool2d(values, 3, stride=1, padding=1)
