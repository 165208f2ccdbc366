"""Fuse: bring one view into the scene. Adds where blind, blends where it agrees, removes what it refutes.

Observed outranks imagined: an imagined view adds where the scene is blind and replaces imagined Gaussians;
it never moves, recolours, removes or confirms observed ones. Every scene is a value: nothing is written in
place.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import grid_sample

from render.geometry import normals_from_depth
from render.rasterize import RenderOutput, rasterize
from render.spherical_harmonics import sh_from_rgb

from .agreement import FuseConfig, Seen, Verdict, judge, observed_alpha_of, pool, see, tolerance_share
from .budget import most_gaussians, within_budget
from .lift import PIXEL_SIGMA, lift_pixels, trusted_pixels
from .scene import GaussianScene
from .view import View

LOOKS_OTHER = 0.1  # difference of colour from which a surface that is known was sampled too coarsely


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
            f"fuse needs the scene and the view on one device; got {scene.device} and {view.camera.device}. Use .to()."
        )
    valid = trusted_pixels(view, config.min_confidence)
    if not bool(valid.any()):
        return scene
    assert view.depth is not None
    normals = normals_from_depth(view.depth, view.camera)
    most = most_gaussians(scene, config)
    if len(scene) == 0:
        added = _lifted(scene, view, valid, normals, observed, step)
        return within_budget(scene, added, most)
    if recalled is None:
        recalled = rasterize(scene.with_observed_share(), view.camera)

    seen = see(scene, view, valid, normals, config)
    verdict = judge(scene, view, seen, valid, recalled, observed, config)
    blended = _blend(scene, view, seen, verdict, observed, step, config)
    wanted = _unexplained(view, seen, verdict, valid, recalled, observed, config)
    gone = (~verdict.survivors).nonzero().squeeze(1)
    added = _lifted(scene, view, wanted, normals, observed, step) if bool(wanted.any()) else blended[:0]
    same_columns = blended.gaussians.sh.shape[1] == added.gaussians.sh.shape[1]
    if same_columns and len(scene) - len(gone) + len(added) <= most:
        return blended if len(gone) + len(added) == 0 else blended.exchanged(gone, added)
    kept = blended[verdict.survivors]
    return within_budget(kept, added, most, verdict.in_view[verdict.survivors])


def _blend(
    scene: GaussianScene,
    view: View,
    seen: Seen,
    verdict: Verdict,
    observed: bool,
    step: int,
    config: FuseConfig,
) -> GaussianScene:
    """Move and recolour what agrees and is of the view's own rank; observed views count confirmations."""
    same_rank = scene.observed[seen.index] == observed
    chosen = (verdict.agrees & same_rank).nonzero().squeeze(1)
    refuted = (verdict.refuted & same_rank).nonzero().squeeze(1)
    if chosen.numel() + refuted.numel() == 0:
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
    sharp = pixel_width <= 1.25 * seen.width[chosen]
    colour = sh_from_rgb(_sample(view.image, seen.uv[chosen]))[:, 0]
    sh[index, 0] += (colour - sh[index, 0]) * (rate * sharp)[:, None]

    confirmations, confidence = scene.confirmations, scene.confidence
    if observed:
        confirmations = confirmations.clone()
        # the step that made a Gaussian cannot confirm it
        confirmations[index] += (scene.step[index] != step).to(confirmations.dtype)
        # halved, so that what stood for a thousand views and was taken away is gone after ten
        confirmations[seen.index[refuted]] //= 2
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
    verdict: Verdict,
    valid: Bool[Tensor, "H W"],
    recalled: RenderOutput,
    observed: bool,
    config: FuseConfig,
) -> Bool[Tensor, "H W"]:
    """Pixels whose surface the scene lacks: nothing that agrees lies in or around them, or it is blind."""
    assert view.depth is not None
    depth, shape = view.depth, view.depth.shape
    agreed = torch.zeros_like(depth).flatten()
    agreed[seen.pixel[verdict.agrees]] = seen.depth[verdict.agrees]
    agreed = agreed.reshape(shape)
    here = agreed > 0
    trust = valid.to(depth.dtype) if view.confidence is None else view.confidence
    limit = tolerance_share(trust, config) * depth
    padded = torch.nn.functional.pad(agreed, (1, 1, 1, 1))
    around = here.clone()
    for row in range(3):
        for column in range(3):
            around |= (padded[row : row + shape[0], column : column + shape[1]] - depth).abs() <= limit
    observed_alpha = observed_alpha_of(recalled)
    if observed:
        blind = observed_alpha < config.blind_below
        # a surface that is known is added again only well in front of it: between lies what noise makes
        known = -pool(-torch.where(recalled.depth > 0, recalled.depth, torch.inf))
        in_front = depth < known - config.refute_margin * limit
        # or where it was sampled so coarsely that no Gaussian is near, and looks it
        close = (seen.depth - seen.surface).abs() <= 2 * seen.tolerance
        near = torch.zeros_like(depth).flatten()
        near[seen.pixel[close]] = 1
        coarse = (pool(near.reshape(shape)) == 0) & ((recalled.depth - depth).abs() <= limit)
        coarse &= (trust >= config.refute_confidence) & ((recalled.rgb - view.image).abs().amax(-1) > LOOKS_OTHER)
        wanted = (~around & (blind | in_front | coarse | verdict.reopened)) | (~here & blind)
    else:
        blind = recalled.alpha < config.blind_below
        replaces = verdict.reopened & (observed_alpha < 1 - config.blind_below)
        wanted = (blind & ~here) | (replaces & ~around)
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


def _sample(image: Float[Tensor, "H W 3"], uv: Float[Tensor, "M 2"]) -> Float[Tensor, "M 3"]:
    size = uv.new_tensor([image.shape[1], image.shape[0]])
    grid = (2 * uv / size - 1)[None, None]
    sampled = grid_sample(image.permute(2, 0, 1)[None], grid, padding_mode="border", align_corners=False)
    return sampled[0, :, 0].T
