"""Fuse: bring one view into the scene. Adds where blind, blends where it agrees, removes what it refutes.

Observed outranks imagined: an imagined view adds where the scene is blind and replaces imagined Gaussians;
it never moves, recolours, removes or confirms observed ones. Every scene is a value: nothing is written in
place.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import grid_sample

from render.geometry import normals_from_depth
from render.rasterize import RenderOutput, rasterize
from render.spherical_harmonics import sh_from_rgb

from .budget import within_budget
from .lift import MIN_CONFIDENCE, PIXEL_SIGMA, lift_pixels, trusted_pixels
from .scene import GaussianScene
from .view import View


@dataclass(frozen=True)
class FuseConfig:
    """How views enter the scene. Shares are of the depth; confidences and alphas lie in 0..1."""

    max_gaussians: int = 200_000
    min_confidence: float = MIN_CONFIDENCE
    tolerance: float = 0.04  # surfaces closer than this share of the depth agree, at full confidence
    tolerance_per_doubt: float = (
        0.5  # added for each unit of 1 / confidence - 1, the relative error of a disparity
    )
    max_tolerance: float = 0.25
    blind_below: float = 0.5  # alpha under which the scene does not know
    refute_confidence: float = 0.6  # trust that a view needs to remove what stands in front of its surface
    refute_margin: float = 1.5  # tolerances by which a Gaussian must stand in front
    refine_ratio: float = 1.8  # a Gaussian this much wider than the view's pixels is replaced by finer ones
    most_weight: float = 8.0  # confirmations beyond this do not slow the running mean further
    imagined_rate: float = 0.1  # how fast imagined views pull imagined Gaussians that agree


class Seen(NamedTuple):
    """The Gaussians whose centre falls in the image, and the surface that the view measured there."""

    index: Int[Tensor, "M"]
    pixel: Int[Tensor, "M"]
    uv: Float[Tensor, "M 2"]
    depth: Float[Tensor, "M"]
    surface: Float[Tensor, "M"]
    confidence: Float[Tensor, "M"]
    tolerance: Float[Tensor, "M"]


def fuse(
    scene: GaussianScene,
    view: View,
    *,
    observed: bool,
    step: int,
    recalled: RenderOutput | None = None,
    config: FuseConfig | None = None,
) -> GaussianScene:
    """The scene after this view, which needs depth; `observed`: measured rather than imagined.

    recalled: the scene rendered at the view's camera, with the observed share as its first feature (see
    GaussianScene.with_observed_share); rendered here when absent. Without features all that it shows counts
    as observed. Only pixels with depth, confidence >= min_confidence and no depth edge on both sides count.
    Raises ValueError for a view without depth, with NaN or negative depth, or on another device.
    """
    config = config or FuseConfig()
    if view.camera.device != scene.device:
        raise ValueError(
            f"fuse needs the scene and the view on one device; got {scene.device} and "
            f"{view.camera.device}. Use .to()."
        )
    valid = trusted_pixels(view, config.min_confidence)
    if not bool(valid.any()):
        return scene
    assert view.depth is not None
    normals = normals_from_depth(view.depth, view.camera)
    if len(scene) == 0:
        added = _lifted(scene, view, valid, normals, observed, step)
        return within_budget(scene, added, config.max_gaussians)
    if recalled is None:
        recalled = rasterize(scene.with_observed_share(), view.camera)

    seen = _seen(scene, view, valid, normals, config)
    survivors, agrees, in_view = _judge(scene, view, seen, valid, recalled, observed, config)
    blended = _blend(scene, view, seen, agrees, observed, step, config)
    wanted = _unexplained(view, seen, agrees, valid, recalled, observed, config)
    kept = blended if bool(survivors.all()) else blended[survivors]
    if not bool(wanted.any()):
        return kept
    added = _lifted(scene, view, wanted, normals, observed, step)
    return within_budget(kept, added, config.max_gaussians, in_view[survivors])


def _seen(
    scene: GaussianScene,
    view: View,
    valid: Bool[Tensor, "H W"],
    normals: Float[Tensor, "H W 3"],
    config: FuseConfig,
) -> Seen:
    assert view.depth is not None
    camera, width, height = view.camera, view.width, view.height
    in_camera = scene.gaussians.means @ camera.w2c[:3, :3].T + camera.w2c[:3, 3]
    z = in_camera[:, 2]
    focal = torch.stack([camera.K[0, 0], camera.K[1, 1]])
    uv = in_camera[:, :2] / z.clamp(min=1e-6)[:, None] * focal + camera.K[:2, 2]
    size = uv.new_tensor([width, height])
    inside = ((uv >= 0) & (uv < size)).all(1) & (z > 1e-3)
    index = inside.nonzero().squeeze(1)
    uv, z = uv[index], z[index]
    cell = uv.long()
    pixel = cell[:, 1] * width + cell[:, 0]

    # the view's surface at the Gaussian's own position inside the pixel: the tangent plane, cut by its ray
    normal = (normals.reshape(-1, 3) @ camera.w2c[:3, :3].T)[pixel]
    centre = (cell + 0.5 - camera.K[:2, 2]) / focal
    own = (uv - camera.K[:2, 2]) / focal
    facing = (normal[:, :2] * own).sum(1) + normal[:, 2]
    facing_centre = (normal[:, :2] * centre).sum(1) + normal[:, 2]
    ratio = torch.where(facing.abs() > 0.05, facing_centre / facing, torch.ones_like(facing)).clamp(0.9, 1.1)
    surface = view.depth.flatten()[pixel] * ratio

    trust = valid.to(z.dtype) if view.confidence is None else view.confidence * valid
    confidence = trust.flatten()[pixel]
    doubt = torch.minimum(confidence, scene.confidence[index]).clamp(min=0.05)
    share = (config.tolerance + config.tolerance_per_doubt * (1 / doubt - 1)).clamp(max=config.max_tolerance)
    return Seen(index, pixel, uv, z, surface, confidence, share * surface)


def _judge(
    scene: GaussianScene,
    view: View,
    seen: Seen,
    valid: Bool[Tensor, "H W"],
    recalled: RenderOutput,
    observed: bool,
    config: FuseConfig,
) -> tuple[Bool[Tensor, "N"], Bool[Tensor, "M"], Bool[Tensor, "N"]]:
    """Which Gaussians survive [N], which of the seen agree and survive [M], and which are in view [N]."""
    assert view.depth is not None
    measured = seen.confidence > 0
    agrees = measured & ((seen.depth - seen.surface).abs() <= seen.tolerance)
    nearest = -_pool(-torch.where(valid, view.depth, torch.inf))
    in_front = seen.depth < nearest.flatten()[seen.pixel] - config.refute_margin * seen.tolerance
    refuted = in_front & (seen.confidence >= config.refute_confidence)

    # finer detail replaces a wide Gaussian only where the view measured all around it
    pixel_width = PIXEL_SIGMA * seen.surface / (0.5 * (view.camera.K[0, 0] + view.camera.K[1, 1]))
    wide = scene.gaussians.scales[seen.index].median(dim=1).values > config.refine_ratio * pixel_width
    surrounded = (-_pool(-valid.to(view.depth.dtype)) > 0.5).flatten()[seen.pixel]
    replaced = agrees & wide & surrounded

    imagined = ~scene.observed[seen.index]
    if observed:
        votes = scene.confirmations[seen.index]
        gone = (imagined & (agrees | refuted)) | (~imagined & (replaced | (refuted & (votes <= 1))))
    else:
        unobserved = (_observed_alpha(recalled) < 1 - config.blind_below).flatten()[seen.pixel]
        gone = imagined & (refuted | (replaced & unobserved))
    survivors = torch.ones(len(scene), dtype=torch.bool, device=scene.device)
    survivors[seen.index[gone]] = False
    in_view = torch.zeros_like(survivors)
    in_view[seen.index] = True
    return survivors, agrees & ~gone, in_view


def _blend(
    scene: GaussianScene,
    view: View,
    seen: Seen,
    agrees: Bool[Tensor, "M"],
    observed: bool,
    step: int,
    config: FuseConfig,
) -> GaussianScene:
    """Move and recolour what agrees and is of the view's own rank; observed views count confirmations."""
    same_rank = scene.observed[seen.index] == observed
    chosen = (agrees & same_rank).nonzero().squeeze(1)
    refuted = None
    if observed:
        lost = (seen.depth < seen.surface - config.refute_margin * seen.tolerance) & same_rank
        refuted = (lost & (seen.confidence >= config.refute_confidence)).nonzero().squeeze(1)
    if chosen.numel() == 0 and (refuted is None or refuted.numel() == 0):
        return scene
    index, trust = seen.index[chosen], seen.confidence[chosen]
    weight = scene.confirmations[index].clamp(1, int(config.most_weight)).to(trust.dtype)
    rate = trust / (weight + trust) if observed else config.imagined_rate * trust

    gaussians = scene.gaussians
    center = view.camera.center
    means, sh = gaussians.means.clone(), gaussians.sh.clone()
    ray = (gaussians.means[index] - center) / seen.depth[chosen, None]
    means[index] += ray * ((seen.surface - seen.depth)[chosen] * rate)[:, None]
    # a view from farther away would only blur the colour
    pixel_width = PIXEL_SIGMA * seen.surface[chosen] / view.camera.K[0, 0]
    sharp = pixel_width <= 1.25 * gaussians.scales[index].median(dim=1).values
    colour = sh_from_rgb(_sample(view.image, seen.uv[chosen]))[:, 0]
    sh[index, 0] += (colour - sh[index, 0]) * (rate * sharp)[:, None]

    confirmations, confidence = scene.confirmations, scene.confidence
    if observed:
        confirmations = confirmations.clone()
        # the step that made a Gaussian cannot confirm it
        confirmations[index] += (scene.step[index] != step).to(confirmations.dtype)
        if refuted is not None:
            confirmations[seen.index[refuted]] -= 1
        confirmations = confirmations.clamp(min=0)
        confidence = confidence.clone()
        confidence[index] = torch.maximum(confidence[index], trust)
    return replace(
        scene,
        gaussians=replace(gaussians, means=means, sh=sh),
        confirmations=confirmations,
        confidence=confidence,
    )


def _unexplained(
    view: View,
    seen: Seen,
    agrees: Bool[Tensor, "M"],
    valid: Bool[Tensor, "H W"],
    recalled: RenderOutput,
    observed: bool,
    config: FuseConfig,
) -> Bool[Tensor, "H W"]:
    """Pixels whose surface the scene lacks: nothing that agrees lies in or around them, or it is blind."""
    assert view.depth is not None
    depth, shape = view.depth, view.depth.shape
    known = torch.zeros_like(depth).flatten()
    known[seen.pixel[agrees]] = seen.depth[agrees]
    known = known.reshape(shape)
    here = known > 0
    trust = valid.to(depth.dtype) if view.confidence is None else view.confidence.clamp(min=0.05)
    share = config.tolerance + config.tolerance_per_doubt * (1 / trust.clamp(min=0.05) - 1)
    limit = share.clamp(max=config.max_tolerance) * depth
    padded = torch.nn.functional.pad(known, (1, 1, 1, 1))
    around = torch.zeros_like(here)
    for row in range(3):
        for column in range(3):
            around |= (padded[row : row + shape[0], column : column + shape[1]] - depth).abs() <= limit
    share_seen = _observed_alpha(recalled)
    if observed:
        wanted = ~around | (~here & (share_seen < config.blind_below))
    else:
        blind = recalled.alpha < config.blind_below
        # in front of what was only imagined, an imagined view may add; never in front of what was observed
        unobserved = share_seen < 1 - config.blind_below
        wanted = (blind & ~here) | (unobserved & ~around)
    return valid & wanted


def _lifted(
    scene: GaussianScene,
    view: View,
    mask: Bool[Tensor, "H W"],
    normals: Float[Tensor, "H W 3"],
    observed: bool,
    step: int,
) -> GaussianScene:
    lifted = lift_pixels(view, mask.flatten().nonzero().squeeze(1), normals)
    count, device = len(lifted.gaussians), scene.device
    features = scene.gaussians.features
    gaussians = lifted.gaussians
    if features is not None:
        gaussians = replace(gaussians, features=gaussians.means.new_zeros(count, features.shape[1]))
    return GaussianScene(
        gaussians,
        observed=torch.full((count,), observed, device=device),
        step=torch.full((count,), step, dtype=torch.int32, device=device),
        confirmations=torch.full((count,), int(observed), dtype=torch.int32, device=device),
        confidence=lifted.confidence,
        direction=lifted.direction,
    )


def _observed_alpha(recalled: RenderOutput) -> Float[Tensor, "H W"]:
    return recalled.alpha if recalled.features is None else recalled.features[..., 0]


def _pool(values: Float[Tensor, "H W"]) -> Float[Tensor, "H W"]:
    """The largest value of each 3 x 3 neighbourhood."""
    return torch.nn.functional.max_pool2d(values[None, None], 3, stride=1, padding=1)[0, 0]


def _sample(image: Float[Tensor, "H W 3"], uv: Float[Tensor, "M 2"]) -> Float[Tensor, "M 3"]:
    size = uv.new_tensor([image.shape[1], image.shape[0]])
    grid = (2 * uv / size - 1)[None, None]
    sampled = grid_sample(image.permute(2, 0, 1)[None], grid, padding_mode="border", align_corners=False)
    return sampled[0, :, 0].T
