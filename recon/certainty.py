"""Whether a structure from one camera can be believed, told without any truth.

A low reprojection error proves little: a walk whose scale jumps half-way reprojects as well as a right one. So the
structure is built again from each half of the tracks, and all three must be one shape; and images that have no points
in common cannot check each other, so an open path of them is never sure: its scale may drift (Strasdat et al.,
Scale Drift-Aware Large Scale Monocular SLAM, 2010).
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .alignment import align
from .bundle import Structure, center_deviations
from .structure import build_structure, camera_centers, triangulate
from .tracks import Tracks

LEAST_REGISTERED = 0.8  # of the images
FEWEST_POINTS = 30  # that the worst camera sees
LEAST_PARALLAX = 2.0  # degrees, the median cone of rays to a point
MOST_REPROJECTION = 1.0  # pixels, the root mean square of each axis
MOST_DISAGREEMENT = 0.05  # of the cameras' extent, between structures from other tracks
MOST_DEVIATION = 0.05  # of the cameras' extent
COMMON_POINTS = 12  # that let two images check each other: enough to resect one from the other
MOST_APART = 0.2  # of the image pairs that have fewer in common


def judge(structure: Structure, tracks: Tracks, K: Float[Tensor, "3 3"]) -> tuple[bool, str, dict[str, float]]:
    """(sure, the reason where not, numbers). tracks: all that were found, of which the structure need not use any.

    numbers: images, registered, points, fewest_points (of a camera), parallax_degrees (median), reprojection_pixels
    (root mean square of an axis), apart_share (of the image pairs, without common points), deviation_share and
    disagreement_share (of the cameras' extent: a standard deviation; the most between structures from half the tracks).
    """
    images, registered = len(structure.w2c), int(structure.registered.sum())
    numbers = {"images": float(images), "registered": float(registered), "points": float(len(structure.points))}
    if registered < 2 or not len(structure.points):
        return False, "no two images have enough in common to start with, or only from one place", numbers
    residuals, _ = structure.residuals(K)
    noise = float(residuals.square().mean().sqrt())
    _, angles = triangulate(
        structure.w2c, K, structure.camera_index, structure.point_index, structure.pixels, len(structure.points)
    )
    points_of_camera = torch.bincount(structure.camera_index, minlength=images)[structure.registered]
    centers = camera_centers(structure)[structure.registered]
    extent = float((centers - centers.mean(0)).square().sum(1).mean().sqrt())
    deviations = center_deviations(structure, K, noise)[structure.registered]
    numbers |= {
        "fewest_points": float(points_of_camera.min()),
        "parallax_degrees": float(angles.median()),
        "reprojection_pixels": noise,
        "apart_share": _apart_share(structure),
        "deviation_share": float(deviations.square().mean().sqrt()) / extent,
    }
    reason = _doubt(numbers)
    if not reason:
        numbers["disagreement_share"], reason = _disagreement(structure, tracks, K, extent)
    return not reason, reason, numbers


def common_points(structure: Structure) -> Int[Tensor, "V V"]:
    """How many points two cameras both see."""
    sees = torch.zeros(len(structure.points), len(structure.w2c))
    sees[structure.point_index, structure.camera_index] = 1
    return (sees.T @ sees).long()


def _doubt(numbers: dict[str, float]) -> str:
    registered = numbers["registered"] / numbers["images"]
    if registered < LEAST_REGISTERED:
        return f"only {registered:.0%} of the images are registered"
    if numbers["fewest_points"] < FEWEST_POINTS:
        return f"an image sees only {numbers['fewest_points']:.0f} of the points; it takes {FEWEST_POINTS}"
    if numbers["parallax_degrees"] < LEAST_PARALLAX:
        return f"the median parallax is {numbers['parallax_degrees']:.1f} degrees: mostly turning, or far away"
    if numbers["reprojection_pixels"] > MOST_REPROJECTION:
        return f"points reproject {numbers['reprojection_pixels']:.2f} pixels off: wrong K, a lens, or things that move"
    if numbers["deviation_share"] > MOST_DEVIATION:
        return f"the cameras are uncertain by {numbers['deviation_share']:.0%} of their extent"
    if numbers["apart_share"] > MOST_APART:
        return (
            f"{numbers['apart_share']:.0%} of the image pairs have nothing in common: along such a path the scale of "
            "one camera's images may drift unseen; use depth, stereo or known cameras"
        )
    return ""


def _apart_share(structure: Structure) -> float:
    common = common_points(structure)[structure.registered][:, structure.registered]
    pairs = torch.ones_like(common).triu(1) > 0
    return float((common[pairs] < COMMON_POINTS).double().mean())


def _disagreement(structure: Structure, tracks: Tracks, K: Tensor, extent: float) -> tuple[float, str]:
    """The most that a structure from half the tracks differs, as a share of the extent; and why that is too much."""
    first = torch.rand(tracks.count, generator=torch.Generator().manual_seed(0)) < 0.5
    worst = 0.0
    for half in (first, ~first):
        other = build_structure(tracks.select(half), len(structure.w2c), K)
        both = other.registered & structure.registered
        if int(both.sum()) < max(3.0, LEAST_REGISTERED * int(structure.registered.sum())):
            found = f"{int(both.sum())} of {int(structure.registered.sum())}"
            return float("inf"), f"from half of the tracks only {found} images can be registered again"
        errors = align(camera_centers(other)[both], camera_centers(structure)[both]).errors
        worst = max(worst, float(errors.max()) / extent)
    if worst > MOST_DISAGREEMENT:
        return worst, f"built from half of the tracks, cameras lie {worst:.0%} of the extent elsewhere"
    return worst, ""
