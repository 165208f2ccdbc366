"""Structure from motion: cameras and points of a few dozen images of one known K, one camera after the other.

Two views start it; then the camera that sees most known points is resected, new points are triangulated and all is
adjusted, until no camera is left that can be added.
Source: Schönberger and Frahm, Structure-from-Motion Revisited (2016).
"""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from render.transforms import invert_rigid

from .bundle import Structure, adjust
from .resection import resect
from .tracks import Tracks
from .two_view import FEWEST, TwoView, relative_camera_from_matches

LEAST_ANGLE = 1.5  # degrees between the rays of a point; below, its depth is a guess
MOST_ERROR = 2.0  # pixels; an observation farther off is a wrong match
SEEDS = 8  # pairs that are looked at as a beginning
MOST_FLOW = 60.0  # pixels, from which on more is no better
BROADEST = 10.0  # degrees of parallax, from which on more is no better
GROWTH = 1.25  # of the number of cameras, from which on all are adjusted again
ROUNDS = 3  # of leaving out a point's worst observation


def build_structure(
    tracks: Tracks, images: int, K: Float[Tensor, "3 3"], seed: tuple[int, int] | None = None
) -> Structure:
    """The cameras that can be registered and their points; none registered where no two images start it.

    seed: the pair to start with; by default the best one. The unit of length is near the first pair's baseline.
    """
    w2c = torch.eye(4, dtype=torch.float64).repeat(images, 1, 1)
    registered = torch.zeros(images, dtype=torch.bool)
    start = _beginning(tracks, images, K, seed)
    if start is None:
        return empty_structure(images)
    (first, second), motion = start
    w2c[second] = motion.b_from_a
    registered[[first, second]] = True
    structure, known = _refined(w2c, registered, tracks, K)
    adjusted = 2
    failed = torch.zeros(images, dtype=torch.long)  # with how many points in sight
    while len(known):
        row = torch.full((tracks.count,), -1)
        row[known] = torch.arange(len(known))
        row = row[tracks.track]
        seen = torch.bincount(tracks.image[row >= 0], minlength=images)
        seen = torch.where(registered | (seen <= failed), -1, seen)
        camera = int(seen.argmax())
        if seen[camera] <= 0:
            break
        mine = (row >= 0) & (tracks.image == camera)
        found = resect(structure.points[row[mine]], tracks.pixels[mine], K, 2 * MOST_ERROR)
        if not found.found:
            failed[camera] = seen[camera]
            continue
        w2c = structure.w2c.clone()
        w2c[camera], registered[camera] = found.w2c, True
        if int(registered.sum()) >= GROWTH * adjusted:
            structure, known = _refined(w2c, registered, tracks, K)
            adjusted = int(registered.sum())
        else:
            structure, known = _triangulated(w2c, registered, tracks, K)
    if not len(known):
        return empty_structure(images)
    structure, known = _refined(structure.w2c, registered, tracks, K)
    return polish(structure, K) if len(known) else empty_structure(images)


def empty_structure(images: int) -> Structure:
    """No camera registered, no point."""
    none, index = torch.zeros(0, 3, dtype=torch.float64), torch.zeros(0, dtype=torch.long)
    w2c = torch.eye(4, dtype=torch.float64).repeat(images, 1, 1)
    return Structure(w2c, torch.zeros(images, dtype=torch.bool), none, index, index, none[:, :2])


def camera_centers(structure: Structure) -> Float[Tensor, "V 3"]:
    """Optical centres in the world."""
    return invert_rigid(structure.w2c)[:, :3, 3]


def triangulate(
    w2c: Float[Tensor, "V 4 4"],
    K: Float[Tensor, "3 3"],
    camera_index: Int[Tensor, "O"],
    point_index: Int[Tensor, "O"],
    pixels: Float[Tensor, "O 2"],
    count: int,
) -> tuple[Float[Tensor, "N 3"], Float[Tensor, "N"]]:
    """Of `count` points the place nearest to the rays to each, and the angle (degrees) of the cone about its rays; 0
    and the origin for a point of fewer than two rays or of parallel ones."""
    eye = torch.eye(3, dtype=torch.float64)
    rays = torch.cat([(pixels - K[:2, 2]) / K[[0, 1], [0, 1]], torch.ones_like(pixels[:, :1])], dim=1)
    rotation = w2c[:, :3, :3]
    rays = (rotation.mT[camera_index] @ torch.nn.functional.normalize(rays, dim=1)[..., None]).squeeze(-1)
    centers = -(rotation.mT @ w2c[:, :3, 3:]).squeeze(-1)[camera_index]
    # The sum of (I - r r^T) over the rays: the squared distance from all of them, as a quadratic form.
    across = eye - rays[:, :, None] * rays[:, None, :]
    matrix = torch.zeros(count, 3, 3, dtype=torch.float64).index_add_(0, point_index, across)
    right = torch.zeros(count, 3, dtype=torch.float64).index_add_(0, point_index, (across @ centers[..., None])[..., 0])
    mean = torch.zeros(count, 3, dtype=torch.float64).index_add_(0, point_index, rays)
    mean = torch.nn.functional.normalize(mean, dim=1)[point_index]
    # By the chord: the arccos of a small angle's cosine would be noise.
    aside = 2 * torch.rad2deg(2 * torch.arcsin(((rays - mean).norm(dim=1) / 2).clamp(max=1)))
    angle = torch.zeros(count, dtype=torch.float64).scatter_reduce(0, point_index, aside, "amax")
    points = torch.linalg.solve(matrix + 1e-12 * eye, right)
    return torch.where((angle > 1e-9)[:, None], points, 0.0), angle


def _beginning(
    tracks: Tracks, images: int, K: Tensor, wanted: tuple[int, int] | None
) -> tuple[tuple[int, int], TwoView] | None:
    """The pair to start with: many tracks, wide parallax, and a motion that is determined."""
    table = tracks.table(images)
    seen = (table >= 0).double()
    flow = _flow((seen.T @ seen).triu(1), table, tracks).flatten()
    candidates = [divmod(int(i), images) for i in flow.argsort(descending=True, stable=True)[:SEEDS]]
    rated = []
    for a, b in [wanted] if wanted else candidates:
        both = (table[:, a] >= 0) & (table[:, b] >= 0)
        motion = relative_camera_from_matches(tracks.pixels[table[both, a]], tracks.pixels[table[both, b]], K)
        if motion.sure:
            worth = motion.numbers["inliers"] * min(motion.numbers["parallax_degrees"], BROADEST)
            rated.append((worth, (a, b), motion))
    return max(rated, key=lambda item: item[0])[1:] if rated else None


def _flow(shared: Tensor, table: Tensor, tracks: Tracks) -> Tensor:
    """For each pair of images, tracks times how far (pixels, to a limit) they move: a guess at a good beginning."""
    worth = torch.zeros_like(shared)
    for a, b in (shared >= FEWEST).nonzero().tolist():
        both = (table[:, a] >= 0) & (table[:, b] >= 0)
        flow = tracks.pixels[table[both, a]] - tracks.pixels[table[both, b]]
        # A turn moves all alike: what counts is how differently they move.
        worth[a, b] = shared[a, b] * min(float((flow - flow.median(0).values).norm(dim=1).median()), MOST_FLOW)
    return worth


def _refined(w2c: Tensor, registered: Tensor, tracks: Tracks, K: Tensor) -> tuple[Structure, Int[Tensor, "N"]]:
    """Triangulated anew and adjusted, twice, so that what was wrong at first can come back; and the points' tracks."""
    structure, known = _triangulated(w2c, registered, tracks, K)
    for huber in (2.0, 1.0):
        if not len(known):
            break
        structure = adjust(structure, K, huber=huber, most_steps=15, tolerance=1e-3).structure
        structure, known = _triangulated(structure.w2c, registered, tracks, K)
    return structure, known


def polish(structure: Structure, K: Tensor) -> Structure:
    """Adjusted to the end; observations that are then far off are left out, and cameras that have none left."""
    for _ in range(2):
        structure = adjust(structure, K, most_steps=50).structure
        residuals, depth = structure.residuals(K)
        structure = structure.keep((residuals.norm(dim=1) < MOST_ERROR) & (depth > 0))
        used = torch.bincount(structure.camera_index, minlength=len(structure.w2c)) > 0
        w2c = torch.where(used[:, None, None], structure.w2c, torch.eye(4, dtype=torch.float64))
        structure = replace(structure, registered=used, w2c=w2c)
        if not used.any():
            return structure
    return adjust(structure, K, most_steps=50).structure


def _triangulated(w2c: Tensor, registered: Tensor, tracks: Tracks, K: Tensor) -> tuple[Structure, Int[Tensor, "N"]]:
    """The points that the registered cameras determine, from the observations that agree; and their tracks."""
    usable = registered[tracks.image]
    count = tracks.count
    for attempt in range(ROUNDS + 1):
        camera, point, pixels = tracks.image[usable], tracks.track[usable], tracks.pixels[usable]
        points, angle = triangulate(w2c, K, camera, point, pixels, count)
        every = Structure(w2c, registered.clone(), points, camera, point, pixels)
        residuals, depth = every.residuals(K)
        error = torch.where(depth > 1e-6, residuals.norm(dim=1), torch.inf)
        worst = torch.zeros(count, dtype=torch.float64).scatter_reduce(0, point, error, "amax")
        if attempt < ROUNDS:  # one wrong observation spoils a point: the worst goes, then the rest is tried again
            usable[usable.nonzero().squeeze(1)[(error >= worst[point]) & (error > MOST_ERROR)]] = False
    rays = torch.bincount(point, minlength=count)
    good = (worst <= MOST_ERROR) & (angle >= LEAST_ANGLE) & (rays >= 2)
    return every.keep(good[point]), good.nonzero().squeeze(1)
