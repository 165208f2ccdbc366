"""Cameras of images of which only K is known; and the cameras that are known, left as they are."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from render.camera import Camera
from render.transforms import transform_points

from .alignment import align, moved_cameras
from .bundle import Structure, adjust
from .certainty import judge
from .features import find_features
from .structure import build_structure, camera_centers
from .tracks import Tracks, join_tracks, match_images

Method = Literal["auto", "incremental", "colmap"]


@dataclass(frozen=True)
class Estimated:
    """Cameras [V] of images, for those that are `registered`; the others' w2c is the identity and means nothing.

    With three known cameras or more the world is theirs. Without, it is that of the first registered camera, and its
    unit of length means nothing: recon.alignment.align() finds the similarity to any other. sure: whether the images
    determine the cameras, with the reason where they do not; numbers: what that rests on. structure: points and
    observations, in the same world; without points where nothing was estimated.
    """

    cameras: Camera
    registered: Bool[Tensor, "V"]
    sure: bool
    reason: str
    numbers: dict[str, float]
    structure: Structure


def estimate_cameras(
    images: Sequence[Float[Tensor, "H W 3"]],
    K: Float[Tensor, "3 3"],
    method: Method = "auto",
    known: Sequence[Camera | None] | None = None,
) -> Estimated:
    """Where each image was taken, by structure from motion. All images are of one pinhole camera K and one size, lens
    distortion removed.

    method: "incremental" (ours), "colmap" (pycolmap, extra [sfm]), or "auto": ours, and where that leaves images out
    and pycolmap is installed, the one of the two that registers more. known: for each image its camera or None; known
    ones are returned bit for bit, and where there are three or more the rest is estimated in their world.

    Never raises for what the images show: without texture or baseline nothing is registered and sure is False. Raises
    ValueError for images of several sizes, or one or two known cameras among unknown ones (they do not fix a world),
    and ModuleNotFoundError for "colmap" without pycolmap.
    """
    _check(images, known)
    height, width = images[0].shape[:2]
    given = [camera is not None for camera in known] if known else [False] * len(images)
    if known and all(given):
        cameras = Camera.stack([camera for camera in known if camera is not None])
        nothing = _empty(cameras.w2c.double())
        numbers = {"images": float(len(images)), "registered": float(len(images))}
        return Estimated(cameras, torch.ones(len(images), dtype=torch.bool), True, "", numbers, nothing)

    intrinsics = K.detach().double().cpu()
    features = [find_features(image) for image in images]
    tracks = join_tracks(features, match_images(features, intrinsics))
    structure, colmap = _structure(images, intrinsics, tracks, method)
    sure, reason, numbers = judge(structure, tracks, intrinsics)
    numbers["colmap"] = float(colmap)
    structure = _from_first_camera(structure)
    if known and any(given):
        structure, misfit = _in_known_world(structure, intrinsics, known)
        if misfit:
            sure, reason = False, misfit
    w2c = structure.w2c.to(K.dtype)
    registered = structure.registered.clone()
    for index, camera in enumerate(known or []):
        if camera is not None:
            w2c[index], registered[index] = camera.w2c.to(w2c), True
    cameras = Camera(K.detach().cpu().expand(len(images), 3, 3), w2c, width, height)
    return Estimated(cameras, registered, sure, reason, numbers, structure)


def _structure(images: Sequence[Tensor], K: Tensor, tracks: Tracks, method: Method) -> tuple[Structure, bool]:
    """By the method asked for, and whether that was COLMAP."""
    if method == "colmap":
        from .colmap import colmap_structure

        return colmap_structure(images, K), True
    ours = build_structure(tracks, len(images), K)
    complete = bool(ours.registered.all()) or len(images) < 3
    if method == "incremental" or complete or importlib.util.find_spec("pycolmap") is None:
        return ours, False
    from .colmap import colmap_structure

    theirs = colmap_structure(images, K)
    more = int(theirs.registered.sum()) > int(ours.registered.sum())
    return (theirs, True) if more else (ours, False)


def _from_first_camera(structure: Structure) -> Structure:
    """The first registered camera at the origin of the world."""
    if not structure.registered.any():
        return structure
    first = int(structure.registered.nonzero()[0])
    structure = _moved(structure, structure.w2c[first])
    structure.w2c[first] = torch.eye(4)  # what rounding left of it
    return structure


def _in_known_world(structure: Structure, K: Tensor, known: Sequence[Camera | None]) -> tuple[Structure, str]:
    """The structure brought onto the known cameras and adjusted with these held; and why it does not fit them."""
    both = [i for i, camera in enumerate(known) if camera is not None and bool(structure.registered[i])]
    if len(both) < 3:
        return _empty(torch.eye(4).double().repeat(len(known), 1, 1)), f"only {len(both)} known cameras are registered"
    w2c = torch.stack([camera.w2c.double().cpu() for i in both if (camera := known[i]) is not None])
    centers = -(w2c[:, :3, :3].mT @ w2c[:, :3, 3:]).squeeze(-1)
    try:
        alignment = align(camera_centers(structure)[both], centers)
    except ValueError:
        return _empty(structure.w2c), "the known cameras stand at one place, so that they do not give a scale"
    structure = _moved(structure, alignment.b_from_a)
    extent = float((centers - centers.mean(0)).square().sum(1).mean().sqrt())
    if alignment.ate > 0.1 * extent:
        return structure, f"the images put the known cameras {alignment.ate / extent:.0%} of their extent elsewhere"
    held = torch.zeros(len(known), dtype=torch.bool)
    held[both] = True
    moved = structure.w2c.clone()
    moved[held] = w2c
    return adjust(replace(structure, w2c=moved), K, fixed=held).structure, ""


def _moved(structure: Structure, b_from_a: Tensor) -> Structure:
    w2c = torch.where(structure.registered[:, None, None], moved_cameras(structure.w2c, b_from_a), structure.w2c)
    return replace(structure, w2c=w2c, points=transform_points(b_from_a, structure.points))


def _empty(w2c: Tensor) -> Structure:
    index, none = torch.zeros(0, dtype=torch.long), torch.zeros(0, 3, dtype=torch.float64)
    return Structure(w2c, torch.zeros(len(w2c), dtype=torch.bool), none, index, index, none[:, :2])


def _check(images: Sequence[Tensor], known: Sequence[Camera | None] | None) -> None:
    if not images:
        raise ValueError("estimate_cameras needs images; got none.")
    sizes = {tuple(image.shape) for image in images}
    if len(sizes) > 1:
        raise ValueError(
            f"estimate_cameras needs images of one size; got {sorted(sizes)}. Resize them, and K with them."
        )
    if known is None:
        return
    if len(known) != len(images):
        raise ValueError(f"known must hold a camera or None for each of the {len(images)} images; got {len(known)}.")
    count = sum(camera is not None for camera in known)
    if 0 < count < min(3, len(images)):
        raise ValueError(
            f"{count} known camera{'s' * (count > 1)} among unknown ones do not fix a world's scale and turn: give "
            "three or more, or none and align the result with recon.alignment.align()."
        )
