"""RealEstate10K: a camera file for a video, and the frames of it that were kept, named by their times.

Source: the dataset's own description: a URL, then rows of time in microseconds, fx fy cx cy as parts of the image's
width and height, k1 k2, and the 3x4 of w2c with OpenCV axes (Zhou et al., SIGGRAPH 2018).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from torch import Tensor

from render.camera import Camera
from render.formats.errors import FormatError

from . import tables
from .captured import Captured, Views, frame
from .images_folder import images_in
from .intrinsics import Intrinsics, checked
from .pictures import listed, size_of
from .poses import rigid


@dataclass(frozen=True)
class CameraPath:
    """Of one clip: its URL, times in microseconds, fx fy cx cy k1 k2 [N, 6] as parts of the image, w2c [N, 4, 4]."""

    path: Path
    url: str
    microseconds: list[int]
    normalised: Float64[np.ndarray, "N 6"]
    w2c: Float64[Tensor, "N 4 4"]

    def __len__(self) -> int:
        return len(self.microseconds)

    def intrinsics(self, index: int, width: int, height: int) -> Intrinsics:
        """In pixels of an image of that size. Raises FormatError for what no camera has."""
        fx, fy, cx, cy, k1, k2 = self.normalised[index].tolist()
        focal, principal = (fx * width, fy * height), (cx * width, cy * height)
        return checked(self.path, (width, height), focal, principal, (k1, k2, 0.0, 0.0))

    def cameras(self, width: int, height: int) -> Camera:
        """All of them [N] for images of that size. Raises FormatError where a lens is distorted (then images are
        needed, whose distortion is taken out)."""
        each = [self.intrinsics(index, width, height) for index in range(len(self))]
        if not all(camera.is_pinhole for camera in each):
            raise FormatError(self.path, "k1 = k2 = 0", "a distorted lens", "read it with its images")
        return Camera.stack(
            [Camera(lens.K.float(), w2c.float(), width, height) for lens, w2c in zip(each, self.w2c, strict=True)]
        )


def read_camera_path(path: str | Path) -> CameraPath:
    """A camera file without its images. Raises FileNotFoundError or FormatError."""
    path = Path(path)
    url, rows = "", []
    for at, words in tables.lines(path):
        if at == 1 and len(words) == 1:
            url = words[0]
            continue
        if len(words) != 19:
            expected = f"time fx fy cx cy k1 k2 and 12 numbers in line {at}"
            raise FormatError(path, expected, f"{len(words)} words", "is it a RealEstate10K file? copy it again")
        rows.append(tables.numbers(path, words, f"line {at}"))
    if not rows:
        raise FormatError(path, "rows of 19 numbers", "none", "copy it again")
    values = np.array(rows)
    w2c = rigid(path, values[:, 7:].reshape(-1, 3, 4))
    return CameraPath(path, url, [round(time) for time in values[:, 0]], values[:, 1:7], w2c)


def read_realestate10k(path: Path) -> Captured:
    """The frames of a clip, from a folder with one camera file in it or from that file: images named by their time
    in microseconds, beside the file, in images/, or in a folder of the clip's name. Others go to `missing`.

    Raises FileNotFoundError or FormatError.
    """
    file = find_camera_path(path) if path.is_dir() else path
    if file is None:
        raise FileNotFoundError(f"{path}: expected one RealEstate10K camera file (.txt); found none; name the file.")
    cameras = read_camera_path(file)
    images = images_in(file.parent)
    for name in (file.stem, f"images/{file.stem}", f"frames/{file.stem}"):
        if (file.parent / name).is_dir():
            images = listed(file.parent / name) or images
    by_time = {int(image.stem): image for image in images if image.stem.isascii() and image.stem.isdigit()}
    here = [index for index, time in enumerate(cameras.microseconds) if time in by_time]
    frames = []
    for index in here:
        image = by_time[cameras.microseconds[index]]
        frames.append(frame(image, cameras.intrinsics(index, *size_of(image)), cameras.w2c[index]))
    return Captured(
        Views(frames),
        [by_time[cameras.microseconds[index]].name for index in here],
        [str(time) for time in cameras.microseconds if time not in by_time],
        kind="realestate10k",
        timestamps=[cameras.microseconds[index] / 1e6 for index in here],
    )


def find_camera_path(folder: Path) -> Path | None:
    """The one text file of the folder that begins as a RealEstate10K file does."""
    found = []
    for path in sorted(folder.glob("*.txt"))[:100]:
        with path.open("rb") as file:
            head = file.readline(1000)
            second = file.readline(1000) if head.strip().startswith(b"http") else head
        if len(second.split()) == 19:
            found.append(path)
    return found[0] if len(found) == 1 else None
