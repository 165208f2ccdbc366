"""What a reader returns: posed views, read from their files when they are asked for."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import overload

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from render.camera import Camera
from render.formats.errors import FormatError
from render.images import read_image

from ..view import View
from .intrinsics import Intrinsics
from .lens import pinhole_within, seen_by
from .pictures import read_depth, size_of

CACHE_BYTES = 512 * 2**20  # of views kept for the next time; the rest is read again


@dataclass(frozen=True)
class Frame:
    """Where a view comes from. `lens` is the camera of the image as stored, `pinhole` that of the view.

    Depth is uint16 in `depth_unit` metres, 0 and `no_depth` = none, of the camera `depth_lens` (by default the
    image's); right is the right eye's image, already rectified.
    """

    image: Path | UInt8[Tensor, "H W 3"]
    lens: Intrinsics
    pinhole: Intrinsics
    w2c: Float[Tensor, "4 4"]
    depth: Path | None = None
    depth_unit: float = 0.001
    no_depth: int | None = None
    depth_lens: Intrinsics | None = None
    right: Path | None = None
    baseline: float | None = None
    disparity_offset: float = 0.0

    @property
    def camera(self) -> Camera:
        return Camera(self.pinhole.K.float(), self.w2c.float(), self.pinhole.width, self.pinhole.height)

    def load(self) -> View:
        """The view. Raises FormatError for a damaged file, FileNotFoundError for one that has gone since."""
        image = self.image.float() / 255 if isinstance(self.image, Tensor) else _checked_image(self.image, self.lens)
        depth = right = None
        if self.depth is not None:
            metres = read_depth(self.depth, self.depth_unit, unknown=self.no_depth)
            lens = (self.depth_lens or self.lens).fitted(self.depth, metres.shape[1], metres.shape[0])
            depth = torch.from_numpy(np.ascontiguousarray(seen_by(metres, lens, self.pinhole, nearest=True)))
        if self.right is not None:
            right = _checked_image(self.right, self.lens)
        image = torch.from_numpy(seen_by(image.numpy(), self.lens, self.pinhole))
        return View(
            image,
            self.camera,
            depth=depth,
            right=right,
            baseline=self.baseline,
            disparity_offset=self.disparity_offset,
        )


def frame(image: Path, lens: Intrinsics, w2c: Float[Tensor, "4 4"], **more: object) -> Frame:
    """The frame of an image file whose calibration may be that of a larger copy; its lens undone.

    Raises FormatError for another shape, and for a lens that cannot be undone.
    """
    lens = lens.fitted(image, *size_of(image))
    try:
        return Frame(image, lens, pinhole_within(lens), w2c, **more)  # type: ignore[arg-type]
    except ValueError as error:
        do = "calibrate again, or undistort the images first"
        raise FormatError(image, "a lens that can be undone within the image", str(error)[:120], do) from None


class Views(Sequence):  # of View; a checker of types that sees Sequence[View] here reads one to look at it
    """Views read when they are asked for; the last ones are kept, up to CACHE_BYTES. A slice is a list of them.

    Indexing raises FormatError where the file of that view is damaged.
    """

    def __init__(self, frames: Sequence[Frame]) -> None:
        self.frames = tuple(frames)
        self._kept: OrderedDict[int, View] = OrderedDict()

    def __len__(self) -> int:
        return len(self.frames)

    def __iter__(self) -> Iterator[View]:
        return (self[index] for index in range(len(self)))

    @overload
    def __getitem__(self, index: int) -> View: ...
    @overload
    def __getitem__(self, index: slice) -> list[View]: ...
    def __getitem__(self, index: int | slice) -> View | list[View]:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        at = range(len(self))[index]
        view = self._kept.pop(at, None) or self.frames[at].load()
        self._kept[at] = view
        each = sum(part.nbytes for part in (view.image, view.depth, view.right) if part is not None)
        while len(self._kept) > max(1, CACHE_BYTES // each):
            self._kept.popitem(last=False)
        return view

    @property
    def cameras(self) -> list[Camera]:
        """Of all views, without reading an image."""
        return [frame.camera for frame in self.frames]


@dataclass(frozen=True)
class Captured:
    """A recorded sequence in its order.

    views: posed views (a list, or Views, which reads them when they are asked for); names: what the file calls
    them; missing: names that are listed without an image at hand. Lenses are undone, depth is in metres where the
    poses are. World axes and scale are the file's: where they are not (a left-handed world), world_from_file
    [4, 4] says what was done. posed, calibrated: whether poses and intrinsics come from the file; if not, poses
    are the identity and the focal length is a guess. timestamps: seconds. points [P, 3] of the world, if the file
    has any. notes: what was passed over or assumed, in words.
    """

    views: Views | list[View]
    names: list[str]
    missing: list[str] = field(default_factory=list)
    kind: str = "views"
    posed: bool = True
    calibrated: bool = True
    timestamps: list[float] | None = None
    points: Float[Tensor, "P 3"] | None = None
    world_from_file: Float[Tensor, "4 4"] = field(default_factory=lambda: torch.eye(4))
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.views)

    @property
    def cameras(self) -> list[Camera]:
        """Of all views, without reading an image."""
        return self.views.cameras if isinstance(self.views, Views) else [view.camera for view in self.views]

    def thinned(self, every: int = 1, max_views: int | None = None) -> Captured:
        """Each `every`-th view, the first max_views of them."""
        kept = slice(0, None if max_views is None else every * max_views, every)
        views = Views(self.views.frames[kept]) if isinstance(self.views, Views) else self.views[kept]
        timestamps = None if self.timestamps is None else self.timestamps[kept]
        return replace(self, views=views, names=self.names[kept], timestamps=timestamps)


def guessed(size: tuple[int, int]) -> Intrinsics:
    """An uncalibrated camera: square pixels, centred, a focal length of 1.2 times the longer side (about 45
    degrees), from which structure from motion usually starts."""
    focal = 1.2 * max(size)
    return Intrinsics(size[0], size[1], focal, focal, size[0] / 2, size[1] / 2)


def _checked_image(path: Path, lens: Intrinsics) -> Float[Tensor, "H W 3"]:
    image = read_image(path)
    if image.shape[:2] != (lens.height, lens.width):
        got = f"{image.shape[1]} x {image.shape[0]}"
        raise FormatError(path, f"{lens.width} x {lens.height} pixels", got, "is it complete? copy it again")
    return image
