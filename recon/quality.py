"""How good a reconstruction is: held against measured views that it was not made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from render.rasterize import RenderOutput, rasterize

from .photometric import psnr, ssim
from .scene import GaussianScene
from .view import View

COVERED = 0.5  # alpha from which a pixel counts as covered
CLOSE = 0.05  # relative error of depth that still counts as right


@dataclass(frozen=True)
class Quality:
    """Means over views. psnr, psnr_covered in dB, the latter where the scene covers the view; ssim; coverage: share of
    covered pixels; nearest_psnr: of the scene's nearest own view, shown instead (the guard).

    Where the views carry depth: depth_error, the median relative error on covered, measured pixels, and depth_close,
    the share of these within 5 %; NaN without. consistency: of the scene's own views, the share of measured pixels
    whose depth the scene repeats within 5 %.
    """

    views: int
    psnr: float
    psnr_covered: float
    ssim: float
    coverage: float
    nearest_psnr: float
    depth_error: float
    depth_close: float
    consistency: float

    def figures(self) -> dict[str, float]:
        return asdict(self)


@torch.no_grad()
def assess(
    scene: GaussianScene, held_out: Sequence[View], own: Sequence[View]
) -> tuple[Quality, list[Float[Tensor, "H W 3"]]]:
    """The quality at the views held out, and the renders there. own: the views that the scene was made of.

    Raises ValueError where no view was held out.
    """
    if not held_out:
        raise ValueError("assess needs views that the scene was not made of; got none. Hold some out.")
    rows, renders = [], []
    for view in held_out:
        output = rasterize(scene.gaussians, view.camera)
        renders.append(output.rgb.clamp(0, 1))
        rows.append(_compare(output, view, own))
    table = torch.tensor(rows, dtype=torch.float64)
    return Quality(len(held_out), *table.nanmean(dim=0).tolist(), consistency=_consistency(scene, own)), renders


def _compare(output: RenderOutput, view: View, own: Sequence[View]) -> list[float]:
    covered = output.alpha > COVERED
    image = output.rgb.clamp(0, 1)
    nearest = _nearest(view, own)
    row = [
        psnr(image, view.image),
        psnr(image, view.image, covered),
        float(ssim(image, view.image).mean()),
        float(covered.float().mean()),
        psnr(nearest.image, view.image) if nearest is not None else float("nan"),
    ]
    if view.depth is None:
        return [*row, float("nan"), float("nan")]
    both = covered & (view.depth > 0)
    error = (output.depth[both] / view.depth[both] - 1).abs()
    return [*row, float(error.median()) if len(error) else float("nan"), float((error < CLOSE).float().mean())]


def _consistency(scene: GaussianScene, own: Sequence[View]) -> float:
    """NaN where no own view carries depth."""
    agreeing = measured = 0
    for view in own:
        if view.depth is None:
            continue
        known = view.depth > 0
        again = rasterize(scene.gaussians, view.camera).depth
        agreeing += int((known & (again > 0) & ((again / view.depth - 1).abs() < CLOSE)).sum())
        measured += int(known.sum())
    return agreeing / measured if measured else float("nan")


def _nearest(view: View, own: Sequence[View]) -> View | None:
    """The view of the same size whose camera is nearest, a turn by 45 degrees counting as a metre."""
    same = [other for other in own if other.image.shape == view.image.shape]
    if not same:
        return None

    def away(other: View) -> float:
        turn = torch.dot(other.camera.w2c[2, :3], view.camera.w2c[2, :3]).clamp(-1, 1).arccos()
        return float((other.camera.center - view.camera.center).norm() + turn / (torch.pi / 4))

    return min(same, key=away)
